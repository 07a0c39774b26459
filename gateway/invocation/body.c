#include "gateway/invocation/body.h"
#include "gateway/base/memory.h"
#include "gateway/invocation/spill.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BODY_FIRST_CHUNK (16 * 1024)
#define BODY_LARGE_CHUNK (64 * 1024)

/* What the consumer has asked for. */
enum body_demand {
    DEMAND_NONE,
    DEMAND_FLOW,
    DEMAND_PAUSED, /* FLOW, but what is here passed the high-water mark and has not yet fallen below the low one */
    DEMAND_ALL,
};

struct body {
    enum body_state state;
    enum body_demand demand;
    bool has_producer;
    bool has_consumer;
    int64_t length; /* declared; exact once complete */
    uint64_t limit;
    uint64_t received;

    struct chunk *first; /* no chunk of the chain is empty */
    struct chunk *last;
    size_t consumed; /* of the first chunk */
    size_t buffered; /* bytes in the chain that are not consumed */
    char *room;      /* where body_append_copy goes on in the last chunk, if that is its own */
    size_t room_left;

    int spill_fd; /* -1 = all is in memory */
    uint64_t spilled;

    uint64_t taken;
    bool cut;
    enum failure fault;
    char *why;
    void (*on_over)(void *context, const struct body *b);
    void *over_context;
    struct body_tap tap; /* on_bytes NULL = none */

    void (*on_wanted)(void *context);
    void *wanted_context;
    void (*on_readable)(void *context);
    void *readable_context;
};

struct body *body_new(int64_t length, uint64_t limit) {
    struct body *b = xcalloc(1, sizeof *b);
    b->has_producer = true;
    b->has_consumer = true;
    b->length = length;
    b->limit = limit;
    b->spill_fd = -1;
    return b;
}

static void body_push(struct body *b, struct chunk *c) {
    c->next = NULL;
    if (b->last)
        b->last->next = c;
    else
        b->first = c;
    b->last = c;
    b->room_left = 0;
}

struct body *body_of_chunk(struct chunk *take_chunk) {
    size_t n = take_chunk ? take_chunk->bytes.n : 0;
    struct body *b = body_new((int64_t)n, UINT64_MAX);
    b->state = BODY_COMPLETE;
    b->has_producer = false;
    b->received = n;
    b->buffered = n;
    if (n)
        body_push(b, take_chunk);
    else
        chunk_release(take_chunk);
    return b;
}

static void body_pop(struct body *b) {
    struct chunk *c = b->first;
    b->first = c->next;
    if (!b->first) {
        b->last = NULL;
        b->room_left = 0;
    }
    b->consumed = 0;
    chunk_release(c);
}

static void body_drop_bytes(struct body *b) {
    while (b->first) body_pop(b);
    b->buffered = 0;
    if (b->spill_fd >= 0) close(b->spill_fd);
    b->spill_fd = -1;
}

static void body_free_if_left(struct body *b) {
    if (b->has_producer || b->has_consumer) return;
    if (b->on_over) b->on_over(b->over_context, b);
    if (b->tap.on_over) b->tap.on_over(b->tap.context, b);
    body_drop_bytes(b);
    free(b->why);
    free(b);
}

enum body_state body_state_of(const struct body *b) {
    return b->state;
}
int64_t body_length(const struct body *b) {
    return b->length;
}
uint64_t body_taken(const struct body *b) {
    return b->taken;
}
bool body_was_cut(const struct body *b) {
    return b->cut;
}
void body_on_over(struct body *b, void (*on_over)(void *context, const struct body *b), void *context) {
    b->on_over = on_over;
    b->over_context = context;
}

static void body_show_tap(const struct body *b, struct slice bytes) {
    if (b->tap.on_bytes && bytes.n) b->tap.on_bytes(b->tap.context, bytes);
}

void body_set_tap(struct body *b, const struct body_tap *tap) {
    size_t skipped = b->consumed;
    b->tap = tap ? *tap : (struct body_tap){.on_bytes = NULL};
    for (const struct chunk *c = b->first; c; c = c->next, skipped = 0)
        body_show_tap(b, slice_make(c->bytes.p + skipped, c->bytes.n - skipped));
}

uint64_t body_received(const struct body *b) {
    return b->received;
}
const char *body_failure(const struct body *b) {
    return b->why;
}
bool body_over_limit(const struct body *b) {
    return b->fault == FAILURE_BODY_TOO_LARGE;
}
enum failure body_fault(const struct body *b) {
    return b->fault;
}

static void body_notify_readable(struct body *b) {
    if (b->demand == DEMAND_ALL && b->state == BODY_OPEN) return;
    if (b->on_readable) b->on_readable(b->readable_context);
}

static void body_notify_wanted(struct body *b) {
    if (b->has_producer && b->on_wanted) b->on_wanted(b->wanted_context);
}

static void body_set_failed(struct body *b, enum failure f, const char *why) {
    b->state = BODY_FAILED;
    b->fault = f;
    b->why = xstrdup(why);
}

static void body_set_failed_over_limit(struct body *b) {
    char why[64];
    snprintf(why, sizeof why, "at most %llu bytes are accepted", (unsigned long long)b->limit);
    body_set_failed(b, FAILURE_BODY_TOO_LARGE, why);
}

void body_set_limit(struct body *b, uint64_t limit) {
    b->limit = limit;
    if (b->state == BODY_OPEN && b->received > limit) body_set_failed_over_limit(b);
}

/* --- the producer's end --- */

void body_on_wanted(struct body *b, void (*on_wanted)(void *context), void *context) {
    b->on_wanted = on_wanted;
    b->wanted_context = context;
}

bool body_wants(const struct body *b) {
    return b->has_consumer && b->state == BODY_OPEN && (b->demand == DEMAND_FLOW || b->demand == DEMAND_ALL);
}

bool body_abandoned(const struct body *b) {
    return !b->has_consumer;
}

/* Moves what is in memory to the file. */
static int body_spill(struct body *b, struct error *e) {
    if (b->spill_fd < 0) b->spill_fd = spill_open(e);
    if (b->spill_fd < 0) return b->spill_fd;
    int result = spill_write(b->spill_fd, b->first, e);
    if (result < 0) return result;
    while (b->first) body_pop(b);
    b->spilled += b->buffered;
    b->buffered = 0;
    return 0;
}

/* A collected body keeps little in memory. The writes go to the page cache and do not wait for a disk. */
static void body_spill_if_large(struct body *b) {
    size_t bound = b->spill_fd < 0 ? BODY_SPILL : BODY_HIGH_WATER;
    struct error e;
    if (b->consumed || b->buffered <= bound) return;
    if (body_spill(b, &e) < 0) body_set_failed(b, FAILURE_INTERNAL, e.message);
}

static int body_map_spilled(struct body *b, struct error *e) {
    int result = body_spill(b, e);
    if (result < 0) return result;
    struct chunk *whole = spill_map(b->spill_fd, (size_t)b->spilled, e);
    if (!whole) return -1;
    close(b->spill_fd);
    b->spill_fd = -1;
    body_push(b, whole);
    b->buffered = whole->bytes.n;
    return 0;
}

/* True when n more bytes may come; otherwise it has failed, had ended, or nobody wants it. */
static bool body_admits(struct body *b, size_t n) {
    if (b->state != BODY_OPEN || !b->has_consumer) return false;
    if (n > b->limit - b->received)
        body_set_failed_over_limit(b);
    else if (b->length >= 0 && n > (uint64_t)b->length - b->received)
        body_set_failed(b, FAILURE_BAD_REQUEST, "more bytes than declared");
    else
        return true;
    body_notify_readable(b);
    return false;
}

static bool body_grew(struct body *b, size_t n) {
    b->received += n;
    b->buffered += n;
    if (b->demand == DEMAND_ALL) body_spill_if_large(b);
    if (b->demand == DEMAND_FLOW && b->buffered >= BODY_HIGH_WATER) b->demand = DEMAND_PAUSED;
    bool alive = b->state == BODY_OPEN;
    body_notify_readable(b);
    return alive;
}

bool body_append(struct body *b, struct chunk *take_chunk) {
    size_t n = take_chunk->bytes.n;
    bool admitted = body_admits(b, n);
    if (!admitted || n == 0) {
        chunk_release(take_chunk);
        return admitted;
    }
    body_show_tap(b, take_chunk->bytes);
    body_push(b, take_chunk);
    return body_grew(b, n);
}

/* A small declared length gets its exact size; a large or unknown one starts small and goes on in large pieces. */
static void body_add_room(struct body *b) {
    size_t size = b->received ? BODY_LARGE_CHUNK : BODY_FIRST_CHUNK;
    if (b->length > BODY_LARGE_CHUNK) size = BODY_LARGE_CHUNK;
    if (b->length >= 0 && b->length <= BODY_LARGE_CHUNK) size = (size_t)b->length - (size_t)b->received;
    struct chunk *c = chunk_new(size);
    body_push(b, c);
    b->room = c->memory;
    b->room_left = size;
}

static void body_fill_room(struct body *b, struct slice bytes) {
    memcpy(b->room, bytes.p, bytes.n);
    b->last->bytes.n += bytes.n;
    b->room += bytes.n;
    b->room_left -= bytes.n;
}

bool body_append_copy(struct body *b, struct slice bytes) {
    if (!body_admits(b, bytes.n)) return false;
    if (bytes.n == 0) return true;
    body_show_tap(b, bytes);
    for (struct slice left = bytes; left.n;) {
        if (!b->room_left) body_add_room(b);
        size_t n = left.n < b->room_left ? left.n : b->room_left;
        body_fill_room(b, slice_make(left.p, n));
        left = slice_make(left.p + n, left.n - n);
    }
    return body_grew(b, bytes.n);
}

static void body_set_complete(struct body *b) {
    struct error e;
    if (b->spill_fd >= 0 && body_map_spilled(b, &e) < 0) {
        body_set_failed(b, FAILURE_INTERNAL, e.message);
        return;
    }
    b->state = BODY_COMPLETE;
    b->length = (int64_t)b->received;
}

void body_finish(struct body *b) {
    if (b->state != BODY_OPEN) return;
    if (b->length >= 0 && b->received < (uint64_t)b->length)
        body_set_failed(b, FAILURE_BAD_REQUEST, "fewer bytes than declared");
    else
        body_set_complete(b);
    body_notify_readable(b);
}

void body_fail_as(struct body *b, enum failure f, const char *why) {
    assert(f != FAILURE_NONE);
    if (b->state != BODY_OPEN) return;
    body_set_failed(b, f, why);
    body_notify_readable(b);
}

void body_fail(struct body *b, const char *why) {
    body_fail_as(b, FAILURE_BAD_REQUEST, why);
}

void body_release_producer(struct body *b) {
    assert(b->has_producer);
    b->on_wanted = NULL;
    body_fail(b, "the sender left before the end");
    b->has_producer = false;
    body_free_if_left(b);
}

/* --- the consumer's end --- */

void body_on_readable(struct body *b, void (*on_readable)(void *context), void *context) {
    b->on_readable = on_readable;
    b->readable_context = context;
}

static void body_demand(struct body *b, enum body_demand demand) {
    bool wanted = body_wants(b);
    b->demand = demand;
    if (!wanted && body_wants(b)) body_notify_wanted(b);
}

void body_want(struct body *b) {
    if (b->demand != DEMAND_NONE) return;
    body_demand(b, b->buffered >= BODY_HIGH_WATER ? DEMAND_PAUSED : DEMAND_FLOW);
}

void body_collect(struct body *b) {
    if (b->demand == DEMAND_ALL) return;
    if (b->state == BODY_OPEN) body_spill_if_large(b);
    body_demand(b, DEMAND_ALL);
}

struct slice body_peek(const struct body *b) {
    if (!b->first || (b->demand == DEMAND_ALL && b->state == BODY_OPEN)) return SLICE_NONE;
    return slice_make(b->first->bytes.p + b->consumed, b->first->bytes.n - b->consumed);
}

void body_consume(struct body *b, size_t n) {
    if (n == 0) return;
    assert(n <= body_peek(b).n);
    b->consumed += n;
    b->buffered -= n;
    b->taken += n;
    if (b->consumed == b->first->bytes.n) body_pop(b);
    if (b->demand == DEMAND_PAUSED && b->buffered < BODY_LOW_WATER) body_demand(b, DEMAND_FLOW);
}

size_t body_read(struct body *b, char *out, size_t room) {
    size_t done = 0;
    for (struct slice s = body_peek(b); s.n && done < room; s = body_peek(b)) {
        size_t n = s.n < room - done ? s.n : room - done;
        memcpy(out + done, s.p, n);
        body_consume(b, n);
        done += n;
    }
    return done;
}

bool body_at_end(const struct body *b) {
    return b->state == BODY_COMPLETE && !b->first;
}

static void body_join(struct body *b) {
    struct chunk *whole = chunk_new(b->buffered);
    char *to = whole->memory;
    while (b->first) {
        memcpy(to, b->first->bytes.p, b->first->bytes.n);
        to += b->first->bytes.n;
        body_pop(b);
    }
    whole->bytes.n = b->buffered;
    body_push(b, whole);
}

struct slice body_whole(struct body *b) {
    assert(b->state == BODY_COMPLETE && b->buffered == b->received);
    if (!b->first) return SLICE("");
    if (b->first != b->last) body_join(b);
    return b->first->bytes;
}

struct chunk *body_take_chunk(struct body *b) {
    if (b->state != BODY_COMPLETE || !b->first || b->first != b->last || b->consumed) return NULL;
    struct chunk *c = b->first;
    b->first = NULL;
    b->last = NULL;
    b->buffered = 0;
    return c;
}

void body_release_consumer(struct body *b) {
    assert(b->has_consumer);
    b->on_readable = NULL;
    b->has_consumer = false;
    b->cut = !body_at_end(b) && b->state != BODY_FAILED;
    body_drop_bytes(b);
    if (b->state != BODY_COMPLETE) body_notify_wanted(b);
    body_free_if_left(b);
}
