/* clock.h - time and randomness, injected.
 *
 * Everything that reads the time or needs a random number does it through one struct clock, so
 * deadlines, back-off and schedules are tested without waiting. The system clock reads
 * CLOCK_MONOTONIC and CLOCK_REALTIME and draws from getrandom(2) in blocks.
 */
#pragma once
#include "gateway/base/slice.h"

struct clock {
    uint64_t (*monotonic_us)(struct clock *c); /* never goes back; origin unspecified */
    uint64_t (*wall_ms)(struct clock *c);      /* Unix time */
    void (*random)(struct clock *c, void *p, size_t n);
};

/* Freed with clock_system_free. A forked child may go on using it: its random bytes are its own. */
struct clock *clock_system_new(void);
void clock_system_free(struct clock *c);

/* A clock that stands still until it is told; random bytes from a fixed seed. For tests. */
struct clock_fake {
    struct clock clock;
    uint64_t now_us;
    uint64_t wall_now_ms;
    uint64_t seed;
};
void clock_fake_init(struct clock_fake *f);
void clock_fake_advance_ms(struct clock_fake *f, uint64_t ms);

static inline uint64_t clock_now_us(struct clock *c) {
    return c->monotonic_us(c);
}
static inline uint64_t clock_now_ms(struct clock *c) {
    return c->monotonic_us(c) / 1000;
}
static inline uint64_t clock_wall_ms(struct clock *c) {
    return c->wall_ms(c);
}
/* Uniform in [0, bound); bound > 0. */
uint64_t clock_random_below(struct clock *c, uint64_t bound);

#define UUID_TEXT_SIZE 36
/* Version 4 (RFC 9562), lower case, not NUL-terminated. */
void clock_uuid(struct clock *c, char text[UUID_TEXT_SIZE]);
/* `n` random bytes as 2n lower-case hex digits, not NUL-terminated. */
void clock_random_hex(struct clock *c, char *text, size_t n);
/* "2026-11-20T12:00:00.123Z" (RFC 3339), 24 bytes plus NUL. */
void clock_iso_time(uint64_t wall_ms, char text[25]);
