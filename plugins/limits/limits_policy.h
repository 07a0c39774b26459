/* limits_policy.h - what `limits:` and the triggers' limits mean, once checked. Immutable, in the blueprint's arena. */
#pragma once
#include "gateway/blueprint/section.h"
#include "plugins/limits/token_bucket.h"

/* Whom a limit counts apart. The last two are known only once the guards have passed. */
enum rate_by { RATE_BY_ADDRESS, RATE_BY_ROUTE, RATE_BY_HEADER, RATE_BY_SUBJECT, RATE_BY_CLAIM };

struct rate_limit {
    size_t number; /* counts the limits of a blueprint */
    struct slice name;
    enum rate_by by;
    struct slice by_name; /* of the header or claim */
    struct token_rate rate;
};
/* Those that one route has; a request must pass all of them. */
struct rate_limits {
    struct rate_limit *items;
    size_t count;
    struct slice policy; /* the value of RateLimit-Policy */
};
struct limits_policy {
    uint64_t max_body;
    uint64_t max_header;
    uint64_t max_uri;
    uint64_t max_concurrency;        /* 0 = no bound */
    uint64_t timeout_ms;             /* 0 = the handler's */
    const struct rate_limits *rates; /* NULL = none */
};
struct limits_settings {
    size_t limit_count;
    struct limits_policy *triggers; /* by http_trigger_config.number */
    size_t trigger_count;
};

extern const struct section limits_section; /* makes a struct limits_settings */
