/* cors_policy.h - what `cors:` means, once it has been checked. Immutable, in the blueprint's arena. */
#pragma once
#include "gateway/blueprint/section.h"

struct slices {
    struct slice *items;
    size_t count;
};
struct cors_policy {
    size_t number; /* counts the policies of a blueprint */
    struct slices origins;
    struct slices methods;
    struct slices headers;
    struct slice expose;  /* a field value; absent = nothing */
    struct slice max_age; /* a field value; absent = the browser's own */
    bool any_method, any_header;
    bool credentials;
    bool private_network;
};
struct cors_settings {
    struct cors_policy *policies; /* each once */
    size_t policy_count;
    const struct cors_policy *application; /* NULL = none */
    const struct cors_policy **triggers;   /* by http_trigger_config.number; NULL = none */
    size_t trigger_count;
};

extern const struct section cors_section; /* makes a struct cors_settings */
