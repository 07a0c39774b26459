/* encoding_choice.h - which content coding a client likes best (RFC 9110 12.5.3).
 *
 * The client's Accept-Encoding weighs codings with q-values, `*` speaks for all that it does not name, q=0 refuses.
 * The heaviest coding that we offer wins, our own order decides between equals, and any coding beats identity at
 * equal weight. Without the field, and when nothing that we offer is wanted, the choice is identity. Pure.
 */
#pragma once
#include "gateway/base/fields.h"

enum coding { CODING_IDENTITY, CODING_GZIP, CODING_BROTLI, CODING_ZSTD, CODINGS };

/* The codings that we offer, the one we like best first; without identity. */
struct coding_offer {
    enum coding items[CODINGS];
    size_t count;
};
struct coding_choice {
    enum coding coding;
    bool identity_refused; /* then a body that is hardly worth it is encoded, too */
};

/* "gzip"; also of Content-Encoding. */
struct slice coding_name(enum coding c);
/* By name, without case, `x-gzip` too (RFC 9110 8.4.1.3); CODINGS when it is none of ours. */
enum coding coding_named(struct slice name);
struct coding_choice encoding_choose(const struct fields *request, const struct coding_offer *offer);
