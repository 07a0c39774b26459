#include "gateway/base/clock.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

#define RANDOM_POOL_SIZE 1024

/* Lives in a mapping that the kernel zeroes in a forked child, so that two processes never draw the same bytes:
 * left == 0 makes the child draw anew. */
struct random_pool {
    size_t left;
    unsigned char bytes[RANDOM_POOL_SIZE];
};
struct clock_system {
    struct clock clock;
    struct random_pool *pool;
};

static void die(const char *what) {
    perror(what);
    abort();
}

static struct timespec read_clock(clockid_t id) {
    struct timespec t;
    if (clock_gettime(id, &t) != 0) die("execgate: clock_gettime");
    return t;
}

static uint64_t system_monotonic_us(struct clock *c) {
    (void)c;
    struct timespec t = read_clock(CLOCK_MONOTONIC);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t system_wall_ms(struct clock *c) {
    (void)c;
    struct timespec t = read_clock(CLOCK_REALTIME);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void draw(unsigned char *p, size_t n) {
    while (n) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno != EINTR) die("execgate: getrandom");
        if (got < 0) continue;
        p += got;
        n -= (size_t)got;
    }
}

static void system_random(struct clock *c, void *p, size_t n) {
    struct random_pool *pool = container_of(c, struct clock_system, clock)->pool;
    if (!pool || n > RANDOM_POOL_SIZE) {
        draw(p, n);
        return;
    }
    if (pool->left < n) {
        draw(pool->bytes, RANDOM_POOL_SIZE);
        pool->left = RANDOM_POOL_SIZE;
    }
    pool->left -= n;
    memcpy(p, pool->bytes + pool->left, n);
    memset(pool->bytes + pool->left, 0, n); /* what was handed out is not kept */
}

struct clock *clock_system_new(void) {
    struct clock_system *s = xcalloc(1, sizeof *s);
    void *pool = mmap(NULL, sizeof *s->pool, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pool == MAP_FAILED) die("execgate: mmap");
    s->pool = pool;
    if (madvise(pool, sizeof *s->pool, MADV_WIPEONFORK) != 0) {
        munmap(pool, sizeof *s->pool);
        s->pool = NULL; /* a kernel that cannot: every draw is a system call then */
    }
    s->clock = (struct clock){system_monotonic_us, system_wall_ms, system_random};
    return &s->clock;
}

void clock_system_free(struct clock *c) {
    if (!c) return;
    struct clock_system *s = container_of(c, struct clock_system, clock);
    if (s->pool) munmap(s->pool, sizeof *s->pool);
    free(s);
}

static uint64_t fake_monotonic_us(struct clock *c) {
    return container_of(c, struct clock_fake, clock)->now_us;
}

static uint64_t fake_wall_ms(struct clock *c) {
    return container_of(c, struct clock_fake, clock)->wall_now_ms;
}

/* A Weyl sequence with its bits mixed: enough for tests. */
static unsigned char fake_random_byte(struct clock_fake *f) {
    f->seed += 0x9e3779b97f4a7c15u;
    uint64_t x = (f->seed ^ f->seed >> 31) * 0xd6e8feb86659fd93u;
    return (unsigned char)(x >> 56);
}

static void fake_random(struct clock *c, void *p, size_t n) {
    unsigned char *bytes = p;
    for (size_t i = 0; i < n; i++) bytes[i] = fake_random_byte(container_of(c, struct clock_fake, clock));
}

void clock_fake_init(struct clock_fake *f) {
    *f = (struct clock_fake){.clock = {fake_monotonic_us, fake_wall_ms, fake_random},
                             .now_us = 1000000,
                             .wall_now_ms = 1750000000000,
                             .seed = 1};
}

void clock_fake_advance_ms(struct clock_fake *f, uint64_t ms) {
    f->now_us += ms * 1000;
    f->wall_now_ms += ms;
}

uint64_t clock_random_below(struct clock *c, uint64_t bound) {
    assert(bound > 0);
    /* 2^64 modulo bound: draws below it would favour the small results. */
    uint64_t uneven = -bound % bound;
    uint64_t x;
    do c->random(c, &x, sizeof x);
    while (x < uneven);
    return x % bound;
}

static char *put_hex(char *at, const unsigned char *bytes, size_t n) {
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *at++ = hex[bytes[i] >> 4];
        *at++ = hex[bytes[i] & 15];
    }
    return at;
}

void clock_uuid(struct clock *c, char text[UUID_TEXT_SIZE]) {
    static const unsigned char groups[] = {4, 2, 2, 2, 6};
    unsigned char bytes[16];
    const unsigned char *from = bytes;
    c->random(c, bytes, sizeof bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40; /* version 4 */
    bytes[8] = (bytes[8] & 0x3f) | 0x80; /* variant 10 */
    for (size_t i = 0; i < sizeof groups; i++) {
        if (i) *text++ = '-';
        text = put_hex(text, from, groups[i]);
        from += groups[i];
    }
}

void clock_random_hex(struct clock *c, char *text, size_t n) {
    unsigned char bytes[64];
    while (n) {
        size_t part = n < sizeof bytes ? n : sizeof bytes;
        c->random(c, bytes, part);
        text = put_hex(text, bytes, part);
        n -= part;
    }
}

void clock_iso_time(uint64_t wall_ms, char text[25]) {
    time_t seconds = (time_t)(wall_ms / 1000);
    int ms = (int)(wall_ms % 1000);
    struct tm t = {0};
    gmtime_r(&seconds, &t);
    memcpy(text, "0000-00-00T00:00:00.000Z", 25);
    text_put_4(text, t.tm_year + 1900);
    text_put_2(text + 5, t.tm_mon + 1);
    text_put_2(text + 8, t.tm_mday);
    text_put_2(text + 11, t.tm_hour);
    text_put_2(text + 14, t.tm_min);
    text_put_2(text + 17, t.tm_sec);
    text[20] = (char)('0' + ms / 100);
    text_put_2(text + 21, ms % 100);
}
