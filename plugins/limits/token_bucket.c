#include "plugins/limits/token_bucket.h"
#include <assert.h>

#define DAY_NS (24ULL * 3600 * 1000000000)

struct token_rate token_rate_make(uint64_t per_day, uint64_t burst) {
    assert(per_day > 0 && per_day <= TOKEN_RATE_MOST && burst > 0 && burst <= TOKEN_BURST_MOST);
    return (struct token_rate){DAY_NS / per_day, burst};
}

uint64_t token_rate_window_ns(const struct token_rate *r) {
    return r->burst * r->interval_ns;
}

/* Time that the bucket still needs to be full. */
static uint64_t missing_ns(uint64_t full_at_ns, uint64_t now_ns) {
    return full_at_ns > now_ns ? full_at_ns - now_ns : 0;
}

uint64_t token_bucket_left(const struct token_rate *r, uint64_t full_at_ns, uint64_t now_ns) {
    uint64_t missing = missing_ns(full_at_ns, now_ns), window = token_rate_window_ns(r);
    return missing >= window ? 0 : (window - missing) / r->interval_ns;
}

uint64_t token_bucket_wait_ns(const struct token_rate *r, uint64_t full_at_ns, uint64_t now_ns) {
    uint64_t missing = missing_ns(full_at_ns, now_ns) + r->interval_ns, window = token_rate_window_ns(r);
    return missing > window ? missing - window : 0;
}

uint64_t token_bucket_take(const struct token_rate *r, uint64_t full_at_ns, uint64_t now_ns) {
    assert(token_bucket_wait_ns(r, full_at_ns, now_ns) == 0);
    return now_ns + missing_ns(full_at_ns, now_ns) + r->interval_ns;
}
