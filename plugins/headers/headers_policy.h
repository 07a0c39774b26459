/* headers_policy.h - what `headers:` means, once it has been checked. Immutable, in the blueprint's arena. */
#pragma once
#include "gateway/base/fields.h"
#include "gateway/blueprint/section.h"

struct header_names {
    struct slice *items;
    size_t count;
};
struct headers_policy {
    struct fields set; /* the fixed ones, then those of `set:` */
    struct slice hsts; /* absent = none */
    bool force;
    struct header_names remove; /* from answers */
    struct header_names strip;  /* from requests */
};
struct headers_settings {
    const struct headers_policy *application; /* NULL = off */
    const struct headers_policy **triggers;   /* by http_trigger_config.number; NULL = off */
    size_t trigger_count;
};

extern const struct section headers_section; /* makes a struct headers_settings */
