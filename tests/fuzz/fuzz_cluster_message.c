/* Bytes from Redis. A message that is read must be written again as it was, and its fields must lie within it. The rest
 * is read as the record of a session, which must not lead anywhere else whatever it says. */
#include "gateway/source/websocket/websocket_private.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
    if (!condition) abort();
}

static void check_message(struct slice bytes) {
    struct cluster_message m;
    struct buf again = {0};
    if (!cluster_message_read(bytes, &m)) return;
    cluster_message_write(&again, &m);
    require(slice_equal(buf_slice(&again), bytes));
    struct slice rest = m.payload, field;
    while (cluster_field_read(&rest, &field))
        require(field.p >= bytes.p && field.p + field.n <= bytes.p + bytes.n && rest.p == field.p + field.n);
    buf_free(&again);
}

static void check_record(struct slice bytes) {
    struct session session = {0}, again = {0};
    struct buf once = {0}, twice = {0};
    arena_init(&session.memory, 512);
    arena_init(&again.memory, 512);
    if (session_record_read(bytes, &session)) {
        session_record_write(&once, &session);
        require(session_record_read(buf_slice(&once), &again));
        session_record_write(&twice, &again);
        require(slice_equal(buf_slice(&once), buf_slice(&twice)));
    }
    buf_free(&once);
    buf_free(&twice);
    arena_free(&session.memory);
    arena_free(&again.memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice bytes = slice_make((const char *)data, size);
    check_message(bytes);
    check_record(bytes);
    return 0;
}
