/* queue_load.h - the load that benchmarks put on a queue store, the same whatever keeps the messages.
 *
 * Sends: one call per message, LOAD_WINDOW of them under way. Receives: pages of PAGE, each acknowledged by one call,
 * PAGES of them under way. A program defines LOAD_WINDOW and ROUNDS before it includes this.
 */
#pragma once
#include "gateway/base/memory.h"
#include "gateway/loop/loop.h"
#include "gateway/queue/store.h"
#include <stdio.h>
#include <stdlib.h>

#define PAGE 100
#define PAGES 10
#define BODY_SIZE 200

struct load {
    struct clock *clock;
    struct loop *loop;
    struct queue_store *store;
    unsigned left;      /* to be asked for */
    unsigned under_way; /* asked, not answered */
    char body[BODY_SIZE];
};

static void give_up(const char *why) {
    fprintf(stderr, "%s\n", why);
    exit(1);
}

static void load_open(struct load *l) {
    struct error e;
    l->clock = clock_system_new();
    l->loop = loop_new(l->clock, &e);
    if (!l->loop) give_up(e.message);
    memset(l->body, 'x', BODY_SIZE);
}

static double now_s(struct load *l) {
    return (double)clock_now_us(l->clock) / 1e6;
}

static void load_check(const struct queue_reply *reply) {
    if (reply->result != QUEUE_OK) give_up(reply->error.message);
}

static bool load_is_done(void *context) {
    struct load *l = context;
    return l->left == 0 && l->under_way == 0;
}

static void load_await(struct load *l) {
    if (!loop_run_until(l->loop, load_is_done, l, 600000)) give_up("the store does not answer");
}

/* --- sends --- */

static void send_one(struct load *l);

static void on_sent(void *context, struct queue_reply *reply) {
    struct load *l = context;
    load_check(reply);
    l->under_way--;
    if (l->left) send_one(l);
}

static void send_one(struct load *l) {
    l->left--;
    l->under_way++;
    const struct queue_send send = {.queue = SLICE("q"), .body = slice_make(l->body, BODY_SIZE)};
    l->store->ops->send(l->store, &send, 1, (struct queue_done){on_sent, l});
}

static double sends_time(struct load *l, struct queue_store *store, unsigned count) {
    double began = now_s(l);
    l->store = store;
    l->left = count;
    while (l->left && l->under_way < LOAD_WINDOW) send_one(l);
    load_await(l);
    return now_s(l) - began;
}

/* --- receives --- */

static void receive_page(struct load *l);

static void on_acked(void *context, struct queue_reply *reply) {
    struct load *l = context;
    load_check(reply);
    l->under_way--;
    if (l->left) receive_page(l);
}

static void on_received(void *context, struct queue_reply *reply) {
    struct load *l = context;
    struct queue_settlement items[PAGE];
    load_check(reply);
    if (reply->count != PAGE) give_up("a page is not full");
    for (size_t i = 0; i < PAGE; i++)
        items[i] = (struct queue_settlement){.queue = SLICE("q"), .receipt = reply->messages[i].receipt};
    l->store->ops->settle(l->store, items, PAGE, (struct queue_done){on_acked, l});
}

static void receive_page(struct load *l) {
    l->left -= PAGE;
    l->under_way++;
    l->store->ops->receive(l->store, &(struct queue_receive){SLICE("q"), PAGE, 30000},
                           (struct queue_done){on_received, l});
}

static double receives_time(struct load *l, struct queue_store *store, unsigned count) {
    double began = now_s(l);
    l->store = store;
    l->left = count;
    while (l->left && l->under_way < PAGES) receive_page(l);
    load_await(l);
    return now_s(l) - began;
}

/* --- figures --- */

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values) {
    qsort(values, ROUNDS, sizeof *values, by_size);
    return values[ROUNDS / 2];
}
