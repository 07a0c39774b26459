/* jwk_import.h - from the members of a JWK, or from PEM, to an OpenSSL key; between jwk.c and OpenSSL.
 *
 * Every way in ends in jwk_classify, which alone decides whether a key is good enough and what it is. On
 * failure *why is a static text. Callers keep OpenSSL's error queue clean (ERR_set_mark, ERR_pop_to_mark).
 */
#pragma once
#include "plugins/auth/jwk.h"

/* The caller owns the key; NULL with *why set. Reads only public members. */
struct evp_pkey_st *jwk_import_members(const struct jose_object *o, struct arena *scratch, const char **why);
/* Likewise, of a text that holds exactly one public key or certificate. */
struct evp_pkey_st *jwk_import_pem(struct slice pem, const char **why);
/* NULL, or why the key cannot be used. */
const char *jwk_classify(const struct evp_pkey_st *pkey, enum jose_kind *kind);
