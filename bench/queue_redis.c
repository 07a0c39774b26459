/* queue_redis PORT: what the Redis store costs, as one JSON object on stdout.
 *
 * MESSAGES through an empty queue of the Redis server at 127.0.0.1:PORT, whose data this program deletes. The store:
 * one send call per message with WINDOW of them under way, then receives of PAGE, each acknowledged by one call.
 * Against a bare client with hiredis: XADD in pipelines of WINDOW, XREADGROUP of PAGE, and an XACK for each message, in
 * one pipeline per page, PAGES of them under way. Sides alternate; each figure is a median of ROUNDS.
 */
#include "gateway/base/memory.h"
#include "gateway/queue/redis_store.h"
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 5
#define MESSAGES 50000
#define WINDOW 1000
#define PAGE 100
#define PAGES 10
#define BODY_SIZE 200

struct bench {
    struct clock *clock;
    struct loop *loop;
    struct queue_store *store;
    redisContext *bare;
    unsigned left;      /* to be asked for */
    unsigned under_way; /* asked, not answered */
    bool closed;
    char body[BODY_SIZE];
};

static double now_s(struct bench *b) {
    return (double)clock_now_us(b->clock) / 1e6;
}

static void give_up(const char *why) {
    fprintf(stderr, "%s\n", why);
    exit(1);
}

static void check(const struct queue_reply *reply) {
    if (reply->result != QUEUE_OK) give_up(reply->error.message);
}

static bool is_done(void *context) {
    struct bench *b = context;
    return b->left == 0 && b->under_way == 0;
}

static void await(struct bench *b) {
    if (!loop_run_until(b->loop, is_done, b, 600000)) give_up("the store does not answer");
}

/* --- the store --- */

static void send_one(struct bench *b);

static void on_sent(void *context, struct queue_reply *reply) {
    struct bench *b = context;
    check(reply);
    b->under_way--;
    if (b->left) send_one(b);
}

static void send_one(struct bench *b) {
    b->left--;
    b->under_way++;
    const struct queue_send send = {.queue = SLICE("q"), .body = slice_make(b->body, BODY_SIZE)};
    b->store->ops->send(b->store, &send, 1, (struct queue_done){on_sent, b});
}

static void receive_page(struct bench *b);

static void on_acked(void *context, struct queue_reply *reply) {
    struct bench *b = context;
    check(reply);
    b->under_way--;
    if (b->left) receive_page(b);
}

static void on_received(void *context, struct queue_reply *reply) {
    struct bench *b = context;
    struct queue_settlement items[PAGE];
    check(reply);
    if (reply->count != PAGE) give_up("a page is not full");
    for (size_t i = 0; i < PAGE; i++)
        items[i] = (struct queue_settlement){.queue = SLICE("q"), .receipt = reply->messages[i].receipt};
    b->store->ops->settle(b->store, items, PAGE, (struct queue_done){on_acked, b});
}

static void receive_page(struct bench *b) {
    b->left -= PAGE;
    b->under_way++;
    b->store->ops->receive(b->store, &(struct queue_receive){SLICE("q"), PAGE, 30000},
                           (struct queue_done){on_received, b});
}

static double store_time(struct bench *b) {
    double began = now_s(b);
    b->left = MESSAGES;
    while (b->left && b->under_way < WINDOW) send_one(b);
    await(b);
    b->left = MESSAGES;
    while (b->left && b->under_way < PAGES) receive_page(b);
    await(b);
    return now_s(b) - began;
}

/* --- the bare client --- */

static redisReply *bare_reply(struct bench *b) {
    void *reply;
    if (redisGetReply(b->bare, &reply) != REDIS_OK) give_up(b->bare->errstr);
    if (((redisReply *)reply)->type == REDIS_REPLY_ERROR) give_up(((redisReply *)reply)->str);
    return reply;
}

static void bare_do(struct bench *b, const char *command) {
    redisAppendCommand(b->bare, command);
    freeReplyObject(bare_reply(b));
}

static void bare_sends(struct bench *b) {
    for (unsigned done = 0; done < MESSAGES; done += WINDOW) {
        for (unsigned i = 0; i < WINDOW; i++)
            redisAppendCommand(b->bare, "XADD bare * body %b", b->body, (size_t)BODY_SIZE);
        for (unsigned i = 0; i < WINDOW; i++) freeReplyObject(bare_reply(b));
    }
}

static void bare_ack(struct bench *b, const redisReply *page) {
    const redisReply *entries = page->element[0]->element[1];
    if (entries->elements != PAGE) give_up("a bare page is not full");
    for (size_t i = 0; i < PAGE; i++)
        redisAppendCommand(b->bare, "XACK bare g %s", entries->element[i]->element[0]->str);
}

static void bare_receives(struct bench *b) {
    for (unsigned done = 0; done < MESSAGES; done += PAGE * PAGES) {
        for (unsigned i = 0; i < PAGES; i++)
            redisAppendCommand(b->bare, "XREADGROUP GROUP g c COUNT %d STREAMS bare >", PAGE);
        redisReply *pages[PAGES];
        for (unsigned i = 0; i < PAGES; i++) pages[i] = bare_reply(b);
        for (unsigned i = 0; i < PAGES; i++) bare_ack(b, pages[i]);
        for (unsigned i = 0; i < PAGES * PAGE; i++) freeReplyObject(bare_reply(b));
        for (unsigned i = 0; i < PAGES; i++) freeReplyObject(pages[i]);
    }
}

static double bare_time(struct bench *b) {
    bare_do(b, "DEL bare");
    bare_do(b, "XGROUP CREATE bare g 0 MKSTREAM");
    double began = now_s(b);
    bare_sends(b);
    bare_receives(b);
    return now_s(b) - began;
}

/* --- both --- */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values) {
    qsort(values, ROUNDS, sizeof *values, by_value);
    return values[ROUNDS / 2];
}

static void on_closed(void *context) {
    ((struct bench *)context)->closed = true;
}

static bool is_closed(void *context) {
    return ((struct bench *)context)->closed;
}

static void bench_open(struct bench *b, int port) {
    struct error e;
    char *url = xasprintf("redis://127.0.0.1:%d", port);
    const struct redis_store_options options = {.url = slice_of(url), .name = SLICE("bench")};
    b->clock = clock_system_new();
    b->loop = loop_new(b->clock, &e);
    b->bare = redisConnect("127.0.0.1", port);
    if (!b->loop || b->bare->err) give_up(b->bare->errstr);
    bare_do(b, "FLUSHALL");
    b->store = redis_store_open(b->loop, &options, &e);
    if (!b->store) give_up(e.message);
    free(url);
    memset(b->body, 'x', BODY_SIZE);
}

static void bench_close(struct bench *b) {
    b->store->ops->close(b->store, on_closed, b);
    if (!loop_run_until(b->loop, is_closed, b, 60000)) give_up("the store does not close");
    redisFree(b->bare);
    loop_free(b->loop);
    clock_system_free(b->clock);
}

int main(int argc, char **argv) {
    struct bench b = {0};
    double store[ROUNDS], bare[ROUNDS], ratios[ROUNDS];
    if (argc != 2) give_up("usage: queue_redis PORT");
    bench_open(&b, atoi(argv[1]));
    for (int i = 0; i < ROUNDS; i++) {
        store[i] = MESSAGES / store_time(&b);
        bare[i] = MESSAGES / bare_time(&b);
        ratios[i] = store[i] / bare[i];
    }
    bench_close(&b);
    printf("{\"store\": %.0f, \"bare\": %.0f, \"ratio\": %.3f}\n", median(store), median(bare), median(ratios));
    return 0;
}
