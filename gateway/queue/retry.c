#include "gateway/queue/retry.h"
#include <assert.h>
#include <math.h>

/* base * factor^(attempt-1), at most max; a power beyond all numbers is infinite and so more than max. */
static uint64_t ceiling_ms(const struct retry_policy *p, uint64_t attempt) {
    assert(p->factor >= 1 && attempt >= 1);
    if (p->base_ms == 0) return 0;
    double ceiling = (double)p->base_ms * pow(p->factor, (double)(attempt - 1));
    return ceiling < (double)p->max_ms ? (uint64_t)ceiling : p->max_ms;
}

static uint64_t policy_delay_ms(const struct retry_policy *p, uint64_t attempt, struct clock *clock) {
    uint64_t ceiling = ceiling_ms(p, attempt);
    if (p->jitter == RETRY_JITTER_NONE || ceiling == UINT64_MAX) return ceiling;
    return clock_random_below(clock, ceiling + 1);
}

struct retry_decision retry_decide(const struct retry_policy *p, uint64_t attempt, enum retry_wish wish,
                                   uint64_t after_ms, struct clock *clock) {
    if (wish == RETRY_NEVER) return (struct retry_decision){RETRY_REFUSED, 0};
    if (p->max_attempts && attempt >= p->max_attempts) return (struct retry_decision){RETRY_EXHAUSTED, 0};
    if (wish == RETRY_AFTER) return (struct retry_decision){RETRY_AGAIN, after_ms};
    return (struct retry_decision){RETRY_AGAIN, policy_delay_ms(p, attempt, clock)};
}

bool retry_is_spent(const struct retry_policy *p, uint64_t receive_count) {
    return p->max_attempts && receive_count > p->max_attempts;
}

const char *retry_verdict_text(enum retry_verdict verdict) {
    static const char *const texts[] = {
        [RETRY_AGAIN] = "to be tried again",
        [RETRY_REFUSED] = "the handler asked for no retry",
        [RETRY_EXHAUSTED] = "attempts used up",
    };
    return texts[verdict];
}
