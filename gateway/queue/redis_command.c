#include "gateway/queue/redis_private.h"
#include <assert.h>
#include <stdio.h>

/* A time is written with as many digits as it has until 2286, so that it can be filled in later. */
#define TIME_DIGITS 13

void redis_bulk(struct buf *out, struct slice argument) {
    buf_append_char(out, '$');
    buf_append_u64(out, argument.n);
    buf_append(out, "\r\n", 2);
    buf_append_slice(out, argument);
    buf_append(out, "\r\n", 2);
}

/* EVALSHA digest 1 prefix now wall ... */
static void command_begin(struct redis_call *c, size_t arguments) {
    struct redis_store *s = c->store;
    static const struct slice no_time = {"0000000000000", TIME_DIGITS};
    buf_append_char(&c->command, '*');
    buf_append_u64(&c->command, 6 + arguments);
    buf_append(&c->command, "\r\n", 2);
    redis_bulk(&c->command, SLICE("EVALSHA"));
    redis_bulk(&c->command, slice_make(s->scripts.digests[c->kind->script], REDIS_DIGEST_SIZE));
    redis_bulk(&c->command, SLICE("1"));
    redis_bulk(&c->command, s->prefix);
    c->stamp = c->command.n;
    redis_bulk(&c->command, no_time);
    redis_bulk(&c->command, no_time);
}

struct redis_call *redis_call_new(struct redis_store *s, const struct redis_kind *kind, size_t arguments, size_t size,
                                  struct queue_done done) {
    struct arena a;
    arena_init(&a, sizeof(struct redis_call) + 512);
    struct redis_call *c = arena_alloc(&a, sizeof *c);
    memset(c, 0, offsetof(struct redis_call, reply));
    c->reply.result = QUEUE_OK;
    c->reply.error = (struct error){0};
    memset((char *)&c->reply + offsetof(struct queue_reply, sent), 0,
           sizeof c->reply - offsetof(struct queue_reply, sent));
    c->arena = a;
    c->store = s;
    c->kind = kind;
    c->done = done;
    buf_reserve(&c->command, 192 + size);
    command_begin(c, arguments);
    return c;
}

void redis_call_free(struct redis_call *c) {
    struct arena memory = c->arena;
    buf_free(&c->command);
    arena_free(&memory);
}

void redis_put(struct redis_call *c, struct slice argument) {
    redis_bulk(&c->command, argument);
}

void redis_put_number(struct redis_call *c, uint64_t number) {
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    redis_bulk(&c->command, slice_make(digits, (size_t)n));
}

static void time_fill(char *at, uint64_t ms) {
    char digits[32];
    int n = snprintf(digits, sizeof digits, "%0*llu", TIME_DIGITS, (unsigned long long)ms);
    assert(n == TIME_DIGITS);
    memcpy(at, digits, TIME_DIGITS);
}

/* Behind "$13\r\n", twice. */
void redis_call_stamp(struct redis_call *c, uint64_t now_ms, uint64_t wall_ms) {
    const size_t head = 5, whole = head + TIME_DIGITS + 2;
    time_fill(c->command.p + c->stamp + head, now_ms);
    time_fill(c->command.p + c->stamp + whole + head, wall_ms);
}
