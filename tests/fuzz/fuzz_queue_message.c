/* Whatever is handed in for a queue, whatever a handler answers for its batch, and whatever a filter looks at: never a
 * crash, and what comes out is in bounds. The first byte chooses. */
#include "gateway/source/queue/queue_answer.h"
#include "gateway/source/queue/queue_filter.h"
#include "gateway/source/queue/queue_frame.h"
#include "gateway/source/queue/queue_posting.h"
#include <assert.h>
#include <string.h>

static void write_frame(const struct queue_send *send, struct arena *a) {
    struct queue_record record = {.id = SLICE("id"),
                                  .body = send->body,
                                  .content_type = send->content_type,
                                  .group_id = send->group_id,
                                  .deduplication_id = send->dedup_id};
    for (size_t i = 0; i < send->attribute_count; i++)
        fields_add(&record.attributes, a, send->attributes[i].name, send->attributes[i].value);
    const struct queue_event event = {.queue = SLICE("q"), .messages = &record, .count = 1};
    struct buf out = {0};
    queue_frame_write(&out, &event, a);
    struct slice frame = buf_slice(&out);
    assert(frame.n >= send->body.n &&
           (send->body.n == 0 || memcmp(frame.p + frame.n - send->body.n, send->body.p, send->body.n) == 0));
    struct slice head = slice_make(frame.p, frame.n - send->body.n);
    assert(!memchr(head.p, '\0', head.n));
    buf_free(&out);
}

static void hand_in(const struct fields *headers, struct slice body) {
    static const struct queue_config queue = {.name = "q", .max_message = 1000};
    struct queue_posting p;
    struct arena a;
    struct error e;
    arena_init(&a, 1024);
    if (queue_posting_read(&p, &queue, headers, body, &a, &e) == 0) {
        assert(p.count >= 1 && p.count <= QUEUE_PAGE_MAX);
        for (size_t i = 0; i < p.count; i++) {
            assert(!slice_is_none(p.sends[i].body) && p.sends[i].attribute_count <= QUEUE_ATTRIBUTES_MAX);
            write_frame(&p.sends[i], &a);
        }
    }
    arena_free(&a);
}

static void hand_in_list(struct slice text) {
    struct field type = {SLICE("Content-Type"), SLICE(QUEUE_POSTING_TYPE)};
    hand_in(&(const struct fields){&type, 1, 1}, text);
}

static void hand_in_one(struct slice text) {
    struct field items[] = {
        {SLICE("Queue-Delay"), text}, {SLICE("Queue-Group-Id"), text}, {SLICE("Queue-Attributes"), text}};
    hand_in(&(const struct fields){items + 1, 2, 2}, text);
    hand_in(&(const struct fields){items, 3, 3}, text);
}

static void answer(struct slice text) {
    static const struct queue_record records[] = {{.id = SLICE("a")}, {.id = SLICE("b")}};
    const struct queue_event batch = {.queue = SLICE("q"), .messages = records, .count = 2};
    bool failed[2] = {false, false};
    (void)queue_answer_read(text, &batch, failed);
}

static void filter(struct slice text) {
    static const struct filter_config filters[] = {{SLICE("a.b"), SLICE("1")}, {SLICE("c"), SLICE("x")}};
    const struct queue_trigger_config t = {.filters = filters, .filter_count = 2};
    (void)queue_filter_fits(&t, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const ways[])(struct slice text) = {hand_in_list, hand_in_one, answer, filter};
    if (size < 1) return 0;
    ways[data[0] % 4](slice_make((const char *)data + 1, size - 1));
    return 0;
}
