/* cors_origin.h - which origins are trusted.
 *
 * An origin is what a browser says about the page that asks: `scheme://host[:port]`, lower-case, without
 * the scheme's default port and without a path (RFC 6454 6.2), or `null` for a page that has none to tell.
 * A set of them holds exact origins, wildcards and perhaps everyone:
 *
 *   https://shop.example      that origin and no other
 *   the same with `*.` before the host: every host below it, however deep, but not the host itself
 *   null                      pages without an origin: sandboxed frames, files. Anybody can make one.
 *   *                         everyone
 *
 * Origins are compared byte by byte, so whatever is spelled in another way is another origin. The cost of
 * a look-up depends on the number of labels of a wildcard, not on the number of origins. Pure.
 */
#pragma once
#include "gateway/base/slice.h"

enum cors_verdict { CORS_REFUSED, CORS_LISTED, CORS_ANYONE };

struct cors_origins;

/* Why a list may not hold this text, for people; NULL when it may. */
const char *cors_origin_objection(struct slice text);

struct cors_origins *cors_origins_new(void);
/* One that there is no objection to. */
void cors_origins_add(struct cors_origins *o, struct slice text);
/* `origin` is what a client sent; anything but an origin in the set is refused, the absent slice too, unless everyone
 * is trusted. */
enum cors_verdict cors_origins_match(const struct cors_origins *o, struct slice origin);
void cors_origins_free(struct cors_origins *o); /* NULL is fine */
