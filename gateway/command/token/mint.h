/* mint.h - signing tokens with libjwt; the only place that knows it.
 *
 * For this libjwt 1.10.2 is sound: we choose the key and the algorithm. Verifying is not its part, docs/dependencies.md
 * says why.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/base/error.h"

struct mint_order {
    const char *algorithm; /* HS256 to HS512, RS256 to RS512, ES256 */
    struct slice key;      /* the secret, or a private key as PEM */
    const char *kid;       /* NULL = none */
    const char *claims;    /* one JSON object */
};
/* Appends the compact JWS. */
int mint_token(const struct mint_order *order, struct buf *out, struct error *e) MUST_CHECK;
