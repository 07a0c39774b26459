/* A message as JSON, from anybody (the first byte even) or from an export: never a crash, and what was read comes back
 * the same when it is written and read again. */
#include "gateway/base/json_read.h"
#include "gateway/source/queue/queue_json.h"
#include <assert.h>

static void assert_same(struct slice a, struct slice b) {
    assert(slice_is_none(a) == slice_is_none(b) && slice_equal(a, b));
}

static void assert_same_sends(const struct queue_send *a, const struct queue_send *b) {
    assert_same(a->body, b->body);
    assert_same(a->content_type, b->content_type);
    assert_same(a->group_id, b->group_id);
    assert_same(a->dedup_id, b->dedup_id);
    assert(a->attribute_count == b->attribute_count && a->sent_ms == b->sent_ms && !a->death == !b->death);
    for (size_t i = 0; i < a->attribute_count; i++) {
        assert(a->attributes[i].type == b->attributes[i].type);
        assert_same(a->attributes[i].name, b->attributes[i].name);
        assert_same(a->attributes[i].value, b->attributes[i].value);
    }
    if (!a->death) return;
    assert_same(a->death->queue, b->death->queue);
    assert_same(a->death->error, b->death->error);
    assert(a->death->attempts == b->death->attempts && a->death->died_ms == b->death->died_ms);
}

static void write_and_read(const struct queue_send *send, struct arena *a) {
    struct buf out = {0};
    struct json_write w = json_write_to(&out);
    struct queue_send again = {.body = SLICE_NONE};
    struct error e;
    const struct queue_message m = {.id = "id",
                                    .body = send->body,
                                    .content_type = send->content_type,
                                    .attributes = send->attributes,
                                    .attribute_count = send->attribute_count,
                                    .dedup_id = send->dedup_id,
                                    .group_id = send->group_id,
                                    .sent_ms = send->sent_ms,
                                    .death = send->death};
    queue_json_write(&w, &m);
    assert(json_is_valid(buf_slice(&out)));
    int status = queue_json_read(&again, buf_slice(&out), QUEUE_JSON_RECORD, a, &e);
    assert(status == 0);
    (void)status;
    assert_same_sends(send, &again);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
    struct queue_send send = {.body = SLICE_NONE};
    struct arena a;
    struct error e;
    if (size == 0) return 0;
    struct slice text = slice_make((const char *)data + 1, size - 1);
    enum queue_json_kind kind = data[0] % 2 ? QUEUE_JSON_RECORD : QUEUE_JSON_SEND;
    arena_init(&a, 1024);
    if (json_is_valid(text) && queue_json_read(&send, text, kind, &a, &e) == 0) write_and_read(&send, &a);
    arena_free(&a);
    return 0;
}
