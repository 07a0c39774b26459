#include "local-api/event.h"
#include "local-api/answer_http.h"
#include "local-api/event_http.h"
#include "local-api/event_invoke.h"
#include "local-api/event_queue.h"
#include "local-api/event_schedule.h"
#include "local-api/event_websocket.h"
#include <assert.h>

static struct slice queue_write(struct buf *out, struct invocation *inv, const char *application) {
    (void)application;
    return queue_event_write(out, inv->messages);
}

static struct slice websocket_write(struct buf *out, struct invocation *inv, const char *application) {
    return websocket_event_write(out, &inv->arena, inv->websocket, application);
}

static struct slice scheduled_write(struct buf *out, struct invocation *inv, const char *application) {
    (void)application;
    return schedule_event_write(out, inv->schedule);
}

static const struct event_shape shapes[TRIGGER_KINDS] = {
    [TRIGGER_HTTP] = {.write = http_event_write, .read = http_answer_read, .answer = EVENT_ANSWER_HTTP},
    /* The guard reads what it says (plugins/auth/authorizer_answer.h). */
    [TRIGGER_AUTHORIZER] = {.write = http_event_write, .read = event_bytes_read, .answer = EVENT_ANSWER_HTTP},
    [TRIGGER_QUEUE] = {.write = queue_write, .read = event_bytes_read, .answer = EVENT_ANSWER_BYTES},
    /* $connect is answered as a request is, and messages with a body and a type. */
    [TRIGGER_WEBSOCKET] = {.write = websocket_write, .read = http_answer_read, .answer = EVENT_ANSWER_HTTP},
    [TRIGGER_INVOKE] = {.write = invoke_event_write, .read = event_bytes_read, .answer = EVENT_ANSWER_BYTES},
    [TRIGGER_SCHEDULE] = {.write = scheduled_write, .read = event_bytes_read, .answer = EVENT_ANSWER_BYTES},
};

const struct event_shape *event_shape_of(const struct invocation *inv) {
    assert(inv->trigger < TRIGGER_KINDS && shapes[inv->trigger].write);
    return &shapes[inv->trigger];
}

struct outcome event_bytes_read(struct invocation *inv, struct chunk *take_chunk) {
    (void)inv;
    if (take_chunk->bytes.n) return (struct outcome){.status = 200, .body = body_of_chunk(take_chunk)};
    chunk_release(take_chunk);
    return (struct outcome){.status = 200};
}

struct outcome event_outcome(struct invocation *inv, struct outcome answer) {
    if (event_shape_of(inv)->answer == EVENT_ANSWER_HTTP) return answer;
    if (answer.status >= 200 && answer.status <= 299) return answer;
    return outcome_failure(inv, FAILURE_HANDLER_ERROR, "it answered with the status %d", answer.status);
}
