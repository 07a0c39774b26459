/* token_bucket.h - how many requests may still come, and when.
 *
 * A bucket holds up to `burst` tokens and gains one every interval; a request takes one, and is refused when there is
 * none. Refused requests take nothing. All that is kept of a bucket is the time at which it will be full again: what
 * is missing then is what time has yet to bring. So an untouched bucket, and one that nobody remembers, is one whose
 * time has passed, and 0 is a full one.
 *
 * Pure arithmetic in nanoseconds of a clock that never goes back. Tokens that come in fractions (3/s) are off by less
 * than a billionth of their interval.
 */
#pragma once
#include <stdint.h>

#define TOKEN_BURST_MOST 100000              /* times the longest interval, a day: still far from overflow */
#define TOKEN_RATE_MOST (1000000ULL * 86400) /* per day: a microsecond apart */

struct token_rate {
    uint64_t interval_ns;
    uint64_t burst;
};

/* 1 to TOKEN_RATE_MOST, 1 to TOKEN_BURST_MOST. */
struct token_rate token_rate_make(uint64_t per_day, uint64_t burst);
/* From empty to full. */
uint64_t token_rate_window_ns(const struct token_rate *r);

/* `full_at_ns` is the bucket. */
uint64_t token_bucket_left(const struct token_rate *r, uint64_t full_at_ns, uint64_t now_ns);
/* Until one can be taken; 0 = now. */
uint64_t token_bucket_wait_ns(const struct token_rate *r, uint64_t full_at_ns, uint64_t now_ns);
/* The bucket without one more token; only when there is one. */
uint64_t token_bucket_take(const struct token_rate *r, uint64_t full_at_ns, uint64_t now_ns);
