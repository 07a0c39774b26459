/* auth_document.h - `auth:` as it is written; the tables are in auth_schema.c, what they come to mean in auth_check.c.
 */
#pragma once
#include "gateway/blueprint/section.h"

struct require_document {
    struct node *origin;
    struct bound_items scope; /* of text */
    struct bound_items claims;
};
struct jwt_document {
    struct node *origin;
    struct node *issuer;
    struct bound_items audience;
    struct node *jwks, *secret;
    struct bound_items algorithms;
    struct bound_items token;
    uint64_t leeway_ms;
    uint64_t refetch_ms, fetch_timeout_ms, stale_ms;
    uint64_t expiry; /* enum jwt_expiry */
    struct require_document require;
};
struct api_key_document {
    struct node *origin;
    struct node *in;
    struct bound_items keys;
};
struct basic_document {
    struct node *origin;
    struct node *users;
};
struct hmac_document {
    struct node *origin;
    uint64_t style; /* enum hmac_style */
    struct node *header;
    struct bound_items secret;
    uint64_t tolerance_ms;
};
struct authorizer_document {
    struct node *origin;
    struct node *handler;
    struct bound_items credential;
    uint64_t cache_ms;
    uint64_t cache_by; /* enum authorizer_memory */
};
struct any_document {
    struct node *origin;
    struct bound_items of;
};
struct guard_document {
    struct node *origin;
    uint64_t type; /* enum guard_type, or VALUE_UNSET */
    union {
        struct jwt_document jwt;
        struct api_key_document api_key;
        struct basic_document basic;
        struct hmac_document hmac;
        struct authorizer_document authorizer;
        struct any_document any;
    };
};
struct auth_document {
    struct node *origin;
    struct bound_items preset; /* `default` */
    struct bound_items guards; /* of struct guard_document */
};
struct auth_trigger {
    struct node *origin;
    struct bound_items guard;
    struct require_document require;
};

#define GUARD_NONE SLICE("none")
#define HANDLER_NO_CREDENTIAL SLICE("none")

extern const struct object_schema auth_schema;
extern const struct object_schema auth_trigger_schema;
