/* One message to many connections: those of this gateway get it at once, the others by one request to each node. */
#include "gateway/base/base64.h"
#include "gateway/base/json_read.h"
#include "gateway/base/memory.h"
#include "gateway/source/websocket/websocket_api_private.h"
#include <stdlib.h>

#define BATCH_MAX 10000

/* {"connectionIds": [ID, ...], "text": TEXT} or "base64". */
struct batch_words {
    struct json_value ids, text, base64;
};

struct batch_target {
    struct slice id, node; /* the node is absent when it is this one */
    int status;
};

/* A call while other nodes are asked. */
struct batch {
    struct websocket_call *call; /* NULL = nobody waits */
    struct arena memory;
    struct batch_target *targets;
    size_t count;
    size_t asked; /* nodes that have not answered */
};
struct batch_part {
    struct cluster_ask ask;
    struct batch *batch;
    struct slice node;
};

static bool words_read(struct asking *q, struct batch_words *b) {
    struct json_read json;
    struct slice name;
    struct json_value value;
    *b = (struct batch_words){0};
    if (!json_is_valid(q->request->body)) return false;
    json_read_init(&json, q->request->body);
    if (!json_read_open(&json, '{')) return false;
    while (json_read_name(&json, q->request->arena, &name) && json_read_value(&json, &value)) {
        if (slice_equal(name, SLICE("connectionIds"))) b->ids = value;
        if (slice_equal(name, SLICE("text"))) b->text = value;
        if (slice_equal(name, SLICE("base64"))) b->base64 = value;
    }
    return b->ids.kind == JSON_ARRAY && (b->text.kind == JSON_STRING) != (b->base64.kind == JSON_STRING);
}

static bool words_parcel(struct asking *q, const struct batch_words *b, struct parcel *p) {
    struct arena *a = q->request->arena;
    if (b->text.kind == JSON_STRING) {
        *p = parcel_make(WEBSOCKET_TEXT, json_text_of(a, b->text));
        return true;
    }
    struct slice text = json_text_of(a, b->base64);
    char *bytes = arena_alloc(a, text.n / 4 * 3 + 1);
    ptrdiff_t n = base64_decode(text, bytes);
    if (n < 0) return false;
    *p = parcel_make(WEBSOCKET_BINARY, slice_make(bytes, (size_t)n));
    return true;
}

static struct batch *batch_new(const struct batch_words *words) {
    struct batch *b = xcalloc(1, sizeof *b);
    struct json_read ids;
    struct json_value id;
    size_t room = 0;
    arena_init(&b->memory, 4096);
    json_read_init(&ids, words->ids.raw);
    json_read_open(&ids, '[');
    while (b->count < BATCH_MAX && json_read_element(&ids) && json_read_value(&ids, &id)) {
        if (b->count == room) {
            room = room ? 2 * room : 64;
            b->targets = xrealloc(b->targets, room * sizeof *b->targets);
        }
        struct slice text = id.kind == JSON_STRING ? json_text_of(&b->memory, id) : SLICE("");
        b->targets[b->count++] = (struct batch_target){.id = arena_copy(&b->memory, text), .status = 410};
    }
    return b;
}

static void batch_free(struct batch *b) {
    free(b->targets);
    arena_free(&b->memory);
    free(b);
}

static void batch_send(struct asking *q, struct batch *b, struct parcel *p) {
    for (size_t i = 0; i < b->count; i++) {
        struct batch_target *t = &b->targets[i];
        struct member *m = members_find(websocket_source_members(q->source), t->id);
        if (m && m->ops->send(m, p)) t->status = 200;
        if (!m) t->node = relay_node_of(q, t->id);
    }
}

static void batch_write(const struct batch *b, struct websocket_answer *answer) {
    struct json_write w = json_write_to(&answer->json);
    json_open(&w, '{');
    json_name(&w, SLICE("results"));
    json_open(&w, '[');
    for (size_t i = 0; i < b->count; i++) {
        json_open(&w, '{');
        json_member(&w, SLICE("connectionId"), b->targets[i].id);
        asking_write_number(&w, SLICE("status"), (uint64_t)b->targets[i].status);
        json_close(&w, '}');
    }
    json_close(&w, ']');
    json_close(&w, '}');
    answer->status = 200;
}

/* --- other nodes --- */

static void part_settle(const struct batch_part *part, int status) {
    struct batch *b = part->batch;
    for (size_t i = 0; i < b->count; i++)
        if (slice_equal(b->targets[i].node, part->node)) b->targets[i].status = status;
}

/* The results have the order in which the node was asked. */
static void part_read(const struct batch_part *part, struct slice json) {
    struct batch *b = part->batch;
    struct json_read results;
    struct json_value one;
    struct slice name;
    size_t i = 0;
    json_read_init(&results, json);
    if (!json_is_valid(json) || !json_read_open(&results, '{') || !json_read_name(&results, &b->memory, &name)) return;
    if (!json_read_open(&results, '[')) return;
    while (json_read_element(&results) && json_read_value(&results, &one)) {
        while (i < b->count && !slice_equal(b->targets[i].node, part->node)) i++;
        if (i == b->count) return;
        b->targets[i++].status = relay_count_of(one.raw, SLICE("status")) == 200 ? 200 : 410;
    }
}

static void batch_drop(struct websocket_call *c) {
    ((struct batch *)c->work)->call = NULL;
}

static void batch_finish(struct batch *b) {
    struct websocket_call *c = b->call;
    if (c) batch_write(b, &c->answer);
    batch_free(b);
    if (c) call_answered(c);
}

static void on_part(struct cluster_ask *ask, enum cluster_outcome outcome, struct slice bytes) {
    struct batch_part *part = container_of(ask, struct batch_part, ask);
    struct batch *b = part->batch;
    struct websocket_answer answer = {0};
    bool well = outcome == CLUSTER_ANSWERED && relay_read(bytes, &b->memory, &answer) && answer.status == 200;
    part_settle(part, well || outcome == CLUSTER_GONE ? 410 : 503);
    if (well) part_read(part, buf_slice(&answer.json));
    buf_free(&answer.json);
    free(part);
    if (--b->asked == 0) batch_finish(b);
}

static void part_write(struct buf *body, const struct batch *b, const struct batch_words *words, struct slice node) {
    struct json_write w = json_write_to(body);
    bool text = words->text.kind == JSON_STRING;
    json_open(&w, '{');
    json_name(&w, SLICE("connectionIds"));
    json_open(&w, '[');
    for (size_t i = 0; i < b->count; i++)
        if (slice_equal(b->targets[i].node, node)) json_text(&w, b->targets[i].id);
    json_close(&w, ']');
    json_name(&w, text ? SLICE("text") : SLICE("base64"));
    json_raw(&w, text ? words->text.raw : words->base64.raw);
    json_close(&w, '}');
}

static void part_send(struct asking *q, struct batch *b, const struct batch_words *words, struct slice node) {
    struct batch_part *part = xcalloc(1, sizeof *part);
    struct buf body = {0}, payload = {0};
    part->batch = b;
    part->node = node;
    part->ask.on_end = on_part;
    part_write(&body, b, words, node);
    relay_write(&payload, q->request, buf_slice(&body));
    buf_free(&body);
    if (payload.n > CLUSTER_PAYLOAD_MAX) {
        part_settle(part, 413);
        buf_free(&payload);
        free(part);
        return;
    }
    b->asked++;
    cluster_ask(q->source->cluster, node, &payload, &part->ask);
}

/* Each node once: with the first of its connections. */
static void batch_spread(struct asking *q, struct batch *b, const struct batch_words *words) {
    struct map *seen = map_new();
    for (size_t i = 0; i < b->count; i++) {
        struct slice node = b->targets[i].node;
        if (slice_is_none(node) || map_put(seen, node, b)) continue;
        part_send(q, b, words, node);
    }
    map_free(seen);
}

void answer_batch(struct asking *q) {
    struct batch_words words;
    struct parcel p;
    if (asking_refuse_acknowledgement(q)) return;
    if (!words_read(q, &words)) {
        asking_refuse(q, 400,
                      "expected {\"connectionIds\": [ID, ...], \"text\": TEXT} or \"base64\" instead of \"text\"");
        return;
    }
    if (!words_parcel(q, &words, &p)) {
        asking_refuse(q, 400, "base64: that is no base64");
        return;
    }
    struct batch *b = batch_new(&words);
    batch_send(q, b, &p);
    parcel_free(&p);
    batch_spread(q, b, &words);
    if (b->asked == 0) {
        batch_write(b, q->answer);
        batch_free(b);
        return;
    }
    b->call = q->call;
    q->call->work = b;
    q->call->drop = batch_drop;
}
