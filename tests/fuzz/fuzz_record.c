/* A line of a record file: never a crash, and what is read is written and read back as the same, and can be turned into
 * a request and compared with itself. */
#include "gateway/command/replay/answer_diff.h"
#include "gateway/command/replay/replay_request.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct record *r, struct arena *a) {
    struct buf first = {0}, second = {0};
    struct record again;
    struct error e;
    record_write(r, &first);
    assert(first.n && first.p[first.n - 1] == '\n' && !memchr(first.p, '\n', first.n - 1));
    int status = record_read(&again, slice_make(first.p, first.n - 1), a, &e);
    assert(status == 0);
    record_write(&again, &second);
    assert(slice_equal(buf_slice(&first), buf_slice(&second)));
    buf_free(&first);
    buf_free(&second);
}

static void check_request(const struct record *r, enum replay_way way, struct arena *a) {
    struct replay_request q;
    replay_request_make(&q, r, way, NULL, a);
    (void)replay_request_obstacle(&q, r, way);
    for (size_t i = 0; i < q.headers.count; i++) {
        struct slice name = q.headers.items[i].name; /* the length is always our own */
        assert(slice_equal(name, SLICE("Content-Length")) || !record_redacts(r, SLICE("header"), name));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct record r;
    struct error e;
    struct arena a;
    const void *end = size ? memchr(data, '\n', size) : NULL;
    if (end) size = (size_t)((const uint8_t *)end - data);
    arena_init(&a, 1024);
    if (record_read(&r, slice_make((const char *)data, size), &a, &e) == 0) {
        struct answer_diff same = {.arena = &a};
        check_again(&r, &a);
        check_request(&r, REPLAY_HERE, &a);
        check_request(&r, REPLAY_TO_URL, &a);
        answer_diff(&same, &r, &r.answer);
        assert(same.count == 0 || r.answer.body.cut.p);
    }
    arena_free(&a);
    return 0;
}
