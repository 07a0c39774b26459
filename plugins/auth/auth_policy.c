#include "plugins/auth/auth_policy.h"
#include "gateway/base/file.h"
#include "plugins/auth/jwk.h"

static bool set_serves(const struct jwk_set *set, unsigned algorithms) {
    for (size_t i = 0; i < jwk_set_count(set); i++)
        if (jwk_set_at(set, i)->algorithms & algorithms) return true;
    return false;
}

/* No algorithms: the blueprint named wrong ones, which is an error of its own. */
struct jwk_set *jwt_policy_read_keys(const struct jwt_policy *p, struct error *e) {
    struct buf text = {0};
    struct jwk_set *set = NULL;
    if (file_read(p->key_text.p, "the keys", JWK_SET_SIZE_LIMIT, &text, e) == 0)
        set = jwk_set_from_file_text(buf_slice(&text), e);
    buf_free(&text);
    if (!set || !p->algorithms || set_serves(set, p->algorithms)) return set;
    jwk_set_release(set);
    error_set(e, ERROR_FORMAT, "no key in this file is made for the guard's algorithms");
    return NULL;
}
