/* queue_redis PORT: what the Redis store costs, as one JSON object on stdout.
 *
 * MESSAGES through an empty queue of the Redis server at 127.0.0.1:PORT, whose data this program deletes. The store:
 * one send call per message with LOAD_WINDOW of them under way, then receives of PAGE, each acknowledged by one call.
 * Against a bare client with hiredis: XADD in pipelines of LOAD_WINDOW, XREADGROUP of PAGE, and an XACK for each
 * message, in one pipeline per page, PAGES of them under way. Sides alternate; each figure is a median of ROUNDS.
 */
#define ROUNDS 5
#define LOAD_WINDOW 1000
#include "bench/queue_load.h"
#include "gateway/queue/redis_store.h"
#include <hiredis/hiredis.h>

#define MESSAGES 50000

struct bench {
    struct load load;
    redisContext *bare;
    bool closed;
};

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
    for (unsigned done = 0; done < MESSAGES; done += LOAD_WINDOW) {
        for (unsigned i = 0; i < LOAD_WINDOW; i++)
            redisAppendCommand(b->bare, "XADD bare * body %b", b->load.body, (size_t)BODY_SIZE);
        for (unsigned i = 0; i < LOAD_WINDOW; i++) freeReplyObject(bare_reply(b));
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
    double began = now_s(&b->load);
    bare_sends(b);
    bare_receives(b);
    return now_s(&b->load) - began;
}

/* --- both --- */

static void on_closed(void *context) {
    ((struct bench *)context)->closed = true;
}

static bool is_closed(void *context) {
    return ((struct bench *)context)->closed;
}

static struct queue_store *bench_open(struct bench *b, int port) {
    struct error e;
    char *url = xasprintf("redis://127.0.0.1:%d", port);
    const struct redis_store_options options = {.url = slice_of(url), .name = SLICE("bench")};
    load_open(&b->load);
    b->bare = redisConnect("127.0.0.1", port);
    if (b->bare->err) give_up(b->bare->errstr);
    bare_do(b, "FLUSHALL");
    struct queue_store *store = redis_store_open(b->load.loop, &options, &e);
    if (!store) give_up(e.message);
    free(url);
    return store;
}

static void bench_close(struct bench *b, struct queue_store *store) {
    store->ops->close(store, on_closed, b);
    if (!loop_run_until(b->load.loop, is_closed, b, 60000)) give_up("the store does not close");
    redisFree(b->bare);
    loop_free(b->load.loop);
    clock_system_free(b->load.clock);
}

int main(int argc, char **argv) {
    struct bench b = {0};
    double ours[ROUNDS], bare[ROUNDS], ratios[ROUNDS];
    if (argc != 2) give_up("usage: queue_redis PORT");
    struct queue_store *store = bench_open(&b, atoi(argv[1]));
    for (int i = 0; i < ROUNDS; i++) {
        double sent = sends_time(&b.load, store, MESSAGES);
        ours[i] = MESSAGES / (sent + receives_time(&b.load, store, MESSAGES));
        bare[i] = MESSAGES / bare_time(&b);
        ratios[i] = ours[i] / bare[i];
    }
    bench_close(&b, store);
    printf("{\"store\": %.0f, \"bare\": %.0f, \"ratio\": %.3f}\n", median(ours), median(bare), median(ratios));
    return 0;
}
