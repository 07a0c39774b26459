/* auth_policy.h - what `auth:` means, once it has been checked. Immutable, in the blueprint's arena. */
#pragma once
#include "gateway/blueprint/section.h"
#include "plugins/auth/credential.h"
#include "plugins/auth/jwt.h"

struct texts {
    const struct slice *items;
    size_t count;
};

enum guard_type { GUARD_JWT, GUARD_API_KEY, GUARD_BASIC, GUARD_HMAC, GUARD_HANDLER, GUARD_ANY };

enum jwt_keys { JWT_KEYS_SECRET, JWT_KEYS_FILE, JWT_KEYS_URL, JWT_KEYS_DISCOVER };
struct jwt_policy {
    struct jwt_rules rules;
    unsigned algorithms; /* JOSE_BIT of each */
    enum jwt_keys keys;
    struct slice key_text; /* the secret, the file's absolute path or the URL; of DISCOVER, the issuer */
    uint64_t refetch_ms, fetch_timeout_ms, stale_ms; /* of URL and DISCOVER */
    struct credential_places places;
};

#define API_KEY_DIGEST 32
struct api_key {
    struct slice name;
    unsigned char digest[API_KEY_DIGEST]; /* SHA-256 */
};
struct api_key_policy {
    struct credential_places places; /* one */
    const struct api_key *keys;
    size_t key_count;
};

struct basic_policy {
    const char *users; /* absolute path of the htpasswd file */
};

enum hmac_style { HMAC_STYLE_GITHUB, HMAC_STYLE_STRIPE };
struct hmac_policy {
    enum hmac_style style;
    struct slice header;
    struct texts secrets; /* any of them: the new and the old */
    uint64_t tolerance_ms;
};

enum authorizer_memory { AUTHORIZER_BY_REQUEST, AUTHORIZER_BY_CREDENTIAL };
struct authorizer_policy {
    const char *handler;
    uint64_t cache_ms; /* 0 = it is asked every time */
    enum authorizer_memory memory;
    struct credential_places places; /* none: it is asked whatever the client sends */
};

struct any_policy {
    const size_t *guards; /* by number */
    size_t count;
};

struct guard_policy {
    struct slice name;
    enum guard_type type;
    union {
        struct jwt_policy jwt;
        struct api_key_policy api_key;
        struct basic_policy basic;
        struct hmac_policy hmac;
        struct authorizer_policy authorizer;
        struct any_policy any;
    };
};

/* What a trigger asks for. */
struct route_policy {
    const size_t *guards; /* by number; all of them, in order */
    size_t guard_count;
    struct jwt_rules require; /* scopes and claims only */
};

struct auth_settings {
    struct slice realm;
    const struct guard_policy *guards;
    size_t guard_count;
    const struct route_policy *routes; /* by http_trigger_config.number */
    size_t route_count;
};

extern const struct section auth_section; /* makes a struct auth_settings */

/* The keys in the file of JWT_KEYS_FILE, at least one of which is made for the guard's algorithms; one reference. NULL
 * with the error set. */
struct jwk_set *jwt_policy_read_keys(const struct jwt_policy *p, struct error *e);
