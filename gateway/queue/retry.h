/* retry.h - whether a failed message is tried again, and when.
 *
 * Pure. The delay after attempt n is drawn from 0 to base * factor^(n-1), at most max ("full jitter"): handlers that
 * failed together do not come back together. What the handler itself asks for comes first: `retry: false`
 * ends it, `retry: {after: 30s}` is taken as it is.
 */
#pragma once
#include "gateway/base/clock.h"

enum retry_jitter { RETRY_JITTER_FULL, RETRY_JITTER_NONE };
struct retry_policy {
    uint64_t base_ms;
    double factor; /* at least 1 */
    uint64_t max_ms;
    enum retry_jitter jitter;
    uint64_t max_attempts; /* 0 = for ever */
};
#define RETRY_POLICY_DEFAULT ((struct retry_policy){1000, 2, 5 * 60 * 1000, RETRY_JITTER_FULL, 5})

enum retry_wish { RETRY_AS_POLICY, RETRY_NEVER, RETRY_AFTER };
enum retry_verdict { RETRY_AGAIN, RETRY_REFUSED, RETRY_EXHAUSTED };
struct retry_decision {
    enum retry_verdict verdict; /* but RETRY_AGAIN: bury it */
    uint64_t delay_ms;
};

/* After the failure of attempt `attempt` (1 = the first); after_ms is that of RETRY_AFTER. */
struct retry_decision retry_decide(const struct retry_policy *p, uint64_t attempt, enum retry_wish wish,
                                   uint64_t after_ms, struct clock *clock);
/* True when a message that was received for the `receive_count`th time has used its attempts up before: its earlier
 * receives ended without a word, because the gateway died with it. */
bool retry_is_spent(const struct retry_policy *p, uint64_t receive_count);
/* The reason of a burial in words: "attempts used up", "the handler asked for no retry". */
const char *retry_verdict_text(enum retry_verdict verdict);
