/* fake_store.h - a queue store in memory for tests of those who use one: one queue, a fake clock.
 *
 * Calls are carried out at once but answered only by fake_store_answer, as a store does from the turn. What a test
 * wants to fail, it says with `fails`.
 */
#pragma once
#include "gateway/base/memory.h"
#include "gateway/queue/store.h"
#include "tests/unit/unit.h"
#include <stdio.h>
#include <stdlib.h>

#define FAKE_MESSAGES 64

enum fake_state { FAKE_READY, FAKE_IN_FLIGHT, FAKE_GONE, FAKE_BURIED };
struct fake_message {
    enum fake_state state;
    char id[UUID_TEXT_SIZE + 1];
    char body[64];
    char receipt[32];
    uint64_t receive_count, visible_ms, sent_ms;
    uint64_t delay_ms; /* of the last retry or extension */
    unsigned extended;
    char reason[64], error[128];
};
struct fake_answer {
    struct queue_done done;
    struct queue_reply reply;
    struct arena memory;
};
struct fake_store {
    struct queue_store store;
    struct clock *clock;
    struct fake_message messages[FAKE_MESSAGES];
    size_t count;
    struct fake_answer answers[16];
    size_t answer_count;
    void (*on_ready)(void *context);
    void *context;
    bool paused;
    enum queue_result fails;     /* what the next settlements come to; QUEUE_OK = they do not fail */
    unsigned receives, asked;    /* asked: by the last receive */
    char sent[512], sent_to[64]; /* the last one */
};

static inline struct fake_store *fake_of(struct queue_store *s) {
    return container_of(s, struct fake_store, store);
}

static inline struct fake_answer *fake_answer_new(struct fake_store *f, struct queue_done done) {
    assert_true(f->answer_count < ARRAY_LEN(f->answers));
    struct fake_answer *a = &f->answers[f->answer_count++];
    *a = (struct fake_answer){.done = done};
    arena_init(&a->memory, 1024);
    return a;
}

/* Answers what has been asked so far. */
static inline void fake_store_answer(struct fake_store *f) {
    struct fake_answer answers[ARRAY_LEN(f->answers)];
    size_t count = f->answer_count;
    memcpy(answers, f->answers, sizeof answers);
    f->answer_count = 0;
    for (size_t i = 0; i < count; i++) {
        answers[i].reply.memory = &answers[i].memory;
        answers[i].done.on_done(answers[i].done.context, &answers[i].reply);
        arena_free(&answers[i].memory);
    }
}

static inline struct fake_message *fake_add(struct fake_store *f, const char *body) {
    assert_true(f->count < FAKE_MESSAGES);
    struct fake_message *m = &f->messages[f->count++];
    snprintf(m->id, sizeof m->id, "00000000-0000-7000-8000-%012zu", f->count);
    snprintf(m->body, sizeof m->body, "%s", body);
    m->sent_ms = clock_wall_ms(f->clock);
    return m;
}

static inline void fake_tell_ready(struct fake_store *f) {
    if (f->on_ready) f->on_ready(f->context);
}

/* --- what the operations do --- */

static inline bool fake_take(struct fake_store *f, struct fake_message *m, uint64_t visibility_ms) {
    uint64_t now_ms = clock_now_ms(f->clock);
    bool ready = m->state == FAKE_READY || m->state == FAKE_IN_FLIGHT;
    if (!ready || m->visible_ms > now_ms) return false;
    m->state = FAKE_IN_FLIGHT;
    m->receive_count++;
    m->visible_ms = now_ms + visibility_ms;
    snprintf(m->receipt, sizeof m->receipt, "%ld-%llu", (long)(m - f->messages), (unsigned long long)m->receive_count);
    return true;
}

static inline void fake_receive(struct queue_store *s, const struct queue_receive *receive, struct queue_done done) {
    struct fake_store *f = fake_of(s);
    struct fake_answer *a = fake_answer_new(f, done);
    struct queue_message *messages = arena_zalloc(&a->memory, receive->max * sizeof *messages);
    f->receives++;
    f->asked = receive->max;
    for (size_t i = 0; i < f->count && a->reply.count < receive->max; i++) {
        struct fake_message *from = &f->messages[i];
        if (!fake_take(f, from, receive->visibility_ms)) continue;
        struct queue_message *m = &messages[a->reply.count++];
        *m = (struct queue_message){.body = arena_copy(&a->memory, slice_of(from->body)),
                                    .receipt = arena_copy(&a->memory, slice_of(from->receipt)),
                                    .receive_count = from->receive_count,
                                    .sent_ms = from->sent_ms};
        memcpy(m->id, from->id, sizeof m->id);
    }
    a->reply.messages = messages;
}

static inline struct fake_message *fake_held(struct fake_store *f, struct slice receipt) {
    for (size_t i = 0; i < f->count; i++)
        if (f->messages[i].state == FAKE_IN_FLIGHT && slice_equal(slice_of(f->messages[i].receipt), receipt))
            return &f->messages[i];
    return NULL;
}

static inline enum queue_settled fake_settle_one(struct fake_store *f, const struct queue_settlement *item) {
    struct fake_message *m = fake_held(f, item->receipt);
    if (!m) return QUEUE_STALE;
    m->delay_ms = item->delay_ms;
    snprintf(m->error, sizeof m->error, SLICE_FMT, SLICE_ARG(item->error));
    snprintf(m->reason, sizeof m->reason, SLICE_FMT, SLICE_ARG(item->reason));
    m->visible_ms = clock_now_ms(f->clock) + item->delay_ms;
    m->extended += item->action == QUEUE_EXTEND;
    if (item->action == QUEUE_RETRY) m->state = FAKE_READY;
    if (item->action == QUEUE_ACK) m->state = FAKE_GONE;
    if (item->action == QUEUE_BURY) m->state = FAKE_BURIED;
    return QUEUE_SETTLED;
}

static inline void fake_settle(struct queue_store *s, const struct queue_settlement *items, size_t count,
                               struct queue_done done) {
    struct fake_store *f = fake_of(s);
    struct fake_answer *a = fake_answer_new(f, done);
    enum queue_settled *settled = arena_zalloc(&a->memory, count * sizeof *settled);
    a->reply.result = f->fails;
    if (f->fails != QUEUE_OK) {
        error_set(&a->reply.error, ERROR_SYSTEM, "told to fail");
        return;
    }
    for (size_t i = 0; i < count; i++) settled[i] = fake_settle_one(f, &items[i]);
    a->reply.settled = settled;
    a->reply.count = count;
}

static inline void fake_send(struct queue_store *s, const struct queue_send *sends, size_t count,
                             struct queue_done done) {
    struct fake_store *f = fake_of(s);
    struct fake_answer *a = fake_answer_new(f, done);
    struct queue_sent *sent = arena_zalloc(&a->memory, count * sizeof *sent);
    snprintf(f->sent, sizeof f->sent, SLICE_FMT, SLICE_ARG(sends->body));
    snprintf(f->sent_to, sizeof f->sent_to, SLICE_FMT, SLICE_ARG(sends->queue));
    a->reply.sent = sent;
    a->reply.count = count;
}

static inline void fake_recall(struct queue_store *s, struct slice key, struct queue_done done) {
    struct fake_store *f = fake_of(s);
    struct fake_answer *a = fake_answer_new(f, done);
    assert_slice(key, "pause/q");
    if (f->paused) a->reply.value = SLICE("by hand");
}

static inline struct queue_watch *fake_watch(struct queue_store *s, struct slice queue, void (*on_ready)(void *context),
                                             void *context) {
    struct fake_store *f = fake_of(s);
    (void)queue;
    f->on_ready = on_ready;
    f->context = context;
    on_ready(context);
    return (struct queue_watch *)f;
}

static inline void fake_unwatch(struct queue_watch *w) {
    if (w) ((struct fake_store *)w)->on_ready = NULL;
}

static const struct queue_store_ops fake_store_ops = {.send = fake_send,
                                                      .receive = fake_receive,
                                                      .settle = fake_settle,
                                                      .recall = fake_recall,
                                                      .watch = fake_watch,
                                                      .unwatch = fake_unwatch};

static inline void fake_store_init(struct fake_store *f, struct clock *clock) {
    *f = (struct fake_store){.store = {&fake_store_ops}, .clock = clock};
}
