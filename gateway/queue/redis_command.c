#include "gateway/queue/redis_private.h"

struct redis_call *redis_call_new(struct redis_store *s, const struct redis_kind *kind, size_t size,
                                  struct queue_done done) {
    struct arena a;
    arena_init(&a, sizeof(struct redis_call) + 512);
    struct redis_call *c = arena_alloc(&a, sizeof *c);
    memset(c, 0, offsetof(struct redis_call, reply));
    /* All but the text of an error that was not set: a kilobyte that nobody need touch. */
    c->reply.result = QUEUE_OK;
    c->reply.error.code = ERROR_NONE;
    c->reply.error.message[0] = '\0';
    memset((char *)&c->reply + offsetof(struct queue_reply, sent), 0,
           sizeof c->reply - offsetof(struct queue_reply, sent));
    c->arena = a;
    c->store = s;
    c->kind = kind;
    c->done = done;
    buf_reserve(&c->arguments, 64 + size);
    return c;
}

void redis_call_free(struct redis_call *c) {
    struct arena memory = c->arena;
    buf_free(&c->arguments);
    arena_free(&memory);
}

void redis_put(struct redis_call *c, struct slice argument) {
    c->argument_count++;
    redis_bulk(&c->arguments, argument);
}

void redis_put_number(struct redis_call *c, uint64_t number) {
    c->argument_count++;
    redis_bulk_number(&c->arguments, number);
}

/* EVALSHA digest 1 prefix now wall calls, and for each call its number of arguments and these. */
void redis_batch_write(struct redis_store *s, const struct list *calls) {
    const struct redis_call *first = list_entry(list_first(calls), struct redis_call, node);
    size_t words = 7;
    list_each (calls, node) words += 1 + list_entry(node, struct redis_call, node)->argument_count;
    s->command.n = 0;
    redis_command_begin(&s->command, words);
    redis_bulk(&s->command, SLICE("EVALSHA"));
    redis_bulk(&s->command, slice_make(s->scripts.digests[first->kind->script], REDIS_DIGEST_SIZE));
    redis_bulk(&s->command, SLICE("1"));
    redis_bulk(&s->command, s->prefix);
    redis_bulk_number(&s->command, s->has_time ? redis_now_ms(s) : 0);
    redis_bulk_number(&s->command, clock_wall_ms(s->clock));
    redis_bulk_number(&s->command, calls->length);
    list_each (calls, node) {
        const struct redis_call *c = list_entry(node, struct redis_call, node);
        redis_bulk_number(&s->command, c->argument_count);
        buf_append_slice(&s->command, buf_slice(&c->arguments));
    }
}
