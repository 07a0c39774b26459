/* utf8.h - whether text that comes in pieces is UTF-8 (RFC 3629), known as early as can be.
 *
 * A text message must be UTF-8 as a whole while its fragments may be cut anywhere (RFC 6455 5.6, 8.1). The check keeps
 * what the next byte may be, so that the first byte that no continuation could mend is refused at once.
 * Zero-initialised is the beginning of a text.
 */
#pragma once
#include "gateway/base/slice.h"

struct utf8_check {
    uint8_t left;        /* continuation bytes that are due */
    uint8_t least, most; /* of the next one */
};

/* False from the first byte on that cannot be UTF-8. */
bool utf8_check_feed(struct utf8_check *c, struct slice bytes);
/* No character is cut off. */
static inline bool utf8_check_whole(const struct utf8_check *c) {
    return c->left == 0;
}
