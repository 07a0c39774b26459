#include "gateway/command/token/mint.h"
#include <errno.h>
#include <jwt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static int refuse(struct error *e, const char *what, int errnum) {
    return error_set(e, ERROR_SYSTEM, "the token cannot be made: %s: %s", what, strerror(errnum));
}

static int fill(jwt_t *token, const struct mint_order *order, struct error *e) {
    jwt_alg_t algorithm = jwt_str_alg(order->algorithm);
    if (algorithm == JWT_ALG_INVAL || algorithm == JWT_ALG_NONE || order->key.n > INT_MAX)
        return error_set(e, ERROR_USAGE, "%s tokens cannot be made", order->algorithm);
    int errnum = jwt_set_alg(token, algorithm, (const unsigned char *)order->key.p, (int)order->key.n);
    if (errnum) return refuse(e, "the key", errnum);
    errnum = jwt_add_grants_json(token, order->claims);
    if (errnum) return refuse(e, "the claims", errnum);
    errnum = order->kid ? jwt_add_header(token, "kid", order->kid) : 0;
    return errnum ? refuse(e, "the header", errnum) : 0;
}

int mint_token(const struct mint_order *order, struct buf *out, struct error *e) {
    jwt_t *token = NULL;
    int errnum = jwt_new(&token);
    if (errnum) return refuse(e, "libjwt", errnum);
    int status = fill(token, order, e);
    char *text = status == 0 ? jwt_encode_str(token) : NULL;
    if (status == 0 && !text) status = refuse(e, "signing", errno);
    if (text) buf_append_text(out, text);
    free(text);
    jwt_free(token);
    return status;
}
