/* Events of queues, schedules and WebSockets: what the samples of `execgate event` (tests/e2e/test_event.py) leave out.
 */
#include "local-api/event_queue.h"
#include "local-api/event_schedule.h"
#include "local-api/event_websocket.h"
#include "tests/unit/unit.h"
#include <jansson.h>

static json_t *parsed(struct buf *text) {
    json_error_t e;
    json_t *event = json_loadb(text->p, text->n, JSON_REJECT_DUPLICATES, &e);
    if (!event) fail_msg("%s in " SLICE_FMT, e.text, SLICE_ARG(buf_slice(text)));
    buf_free(text);
    return event;
}

static const char *text_at(json_t *object, const char *name) {
    return json_string_value(json_object_get(object, name));
}

static void a_batch_with_everything(void **state) {
    (void)state;
    struct field attributes[] = {{SLICE("tenant"), SLICE("a\"b")}};
    const struct queue_record messages[] = {
        {.id = SLICE("m-1"),
         .receipt = SLICE("r-1"),
         .body = SLICE("hello"),
         .group_id = SLICE("g"),
         .deduplication_id = SLICE("d"),
         .sequence = 18446744073709551615u,
         .receive_count = 3,
         .sent_ms = 1584039838001,
         .first_received_ms = 1584039838002,
         .attributes = {attributes, 1, 1},
         .died = {SLICE("checkout"), SLICE("expired"), SLICE("no \xff"), 5}},
        {.id = SLICE("m-2"), .receipt = SLICE("r-2"), .body = SLICE(""), .receive_count = 1},
    };
    const struct queue_event queue = {.queue = SLICE("orders"), .messages = messages, .count = 2};
    struct buf out = {0};
    assert_slice(queue_event_write(&out, &queue), "application/json");
    json_t *event = parsed(&out);
    json_t *records = json_object_get(event, "Records"), *first = json_array_get(records, 0);
    json_t *second = json_array_get(records, 1), *known = json_object_get(first, "attributes");
    assert_int_equal(json_array_size(records), 2);
    assert_string_equal(text_at(first, "messageId"), "m-1");
    assert_string_equal(text_at(first, "receiptHandle"), "r-1");
    assert_string_equal(text_at(first, "md5OfBody"), "5d41402abc4b2a76b9719d911017c592");
    assert_string_equal(text_at(first, "eventSourceARN"), "arn:aws:sqs:us-east-1:012345678912:orders");
    assert_string_equal(text_at(known, "ApproximateReceiveCount"), "3");
    assert_string_equal(text_at(known, "SentTimestamp"), "1584039838001");
    assert_string_equal(text_at(known, "ApproximateFirstReceiveTimestamp"), "1584039838002");
    assert_string_equal(text_at(known, "SequenceNumber"), "18446744073709551615");
    assert_string_equal(text_at(known, "MessageGroupId"), "g");
    assert_string_equal(text_at(known, "MessageDeduplicationId"), "d");
    assert_string_equal(text_at(known, "DeadLetterQueueSourceArn"), "arn:aws:sqs:us-east-1:012345678912:checkout");
    assert_string_equal(text_at(known, "DeadLetterReason"), "expired");
    assert_string_equal(text_at(known, "DeadLetterError"), "no ");
    assert_string_equal(text_at(known, "DeadLetterAttempts"), "5");
    json_t *sent = json_object_get(json_object_get(first, "messageAttributes"), "tenant");
    assert_string_equal(text_at(sent, "stringValue"), "a\"b");
    assert_string_equal(text_at(sent, "dataType"), "String");
    assert_string_equal(text_at(second, "body"), "");
    assert_string_equal(text_at(second, "md5OfBody"), "d41d8cd98f00b204e9800998ecf8427e");
    assert_int_equal(json_object_size(json_object_get(second, "attributes")), 4);
    assert_int_equal(json_object_size(json_object_get(second, "messageAttributes")), 0);
    json_decref(event);
}

static void a_schedule_tells_its_whole_second(void **state) {
    (void)state;
    const struct schedule_event schedule = {
        .schedule = SLICE("nightly"), .id = SLICE("i-1"), .due_ms = 1584039838999, .input = SLICE("{\"a\":[1]}")};
    struct buf out = {0};
    schedule_event_write(&out, &schedule);
    json_t *event = parsed(&out);
    assert_string_equal(text_at(event, "time"), "2020-03-12T19:03:58Z");
    assert_string_equal(text_at(event, "id"), "i-1");
    assert_string_equal(json_string_value(json_array_get(json_object_get(event, "resources"), 0)),
                        "arn:aws:events:us-east-1:012345678912:rule/nightly");
    assert_int_equal(json_array_size(json_object_get(json_object_get(event, "detail"), "a")), 1);
    json_decref(event);
}

static json_t *websocket(const struct websocket_event *event) {
    struct buf out = {0};
    struct arena scratch;
    arena_init(&scratch, 1024);
    assert_slice(websocket_event_write(&out, &scratch, event, "chat"), "application/json");
    arena_free(&scratch);
    return parsed(&out);
}

static void assert_texts(json_t *list, const char *first, const char *second) {
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(json_string_value(json_array_get(list, 0)), first);
    assert_string_equal(json_string_value(json_array_get(list, 1)), second);
}

/* Repeated headers and parameters in both spellings; what is the gateway's own does not come along. */
static void a_connection_tells_of_its_request(void **state) {
    (void)state;
    struct field items[] = {{SLICE("Host"), SLICE("chat.example")},
                            {SLICE("X-Many"), SLICE("1")},
                            {SLICE("x-many"), SLICE("2")},
                            {SLICE("Execgate-Claims"), SLICE("forged")},
                            {SLICE("Connection"), SLICE("Upgrade")}};
    const struct fields headers = {items, 5, 5};
    json_t *event = websocket(&(struct websocket_event){.type = WEBSOCKET_CONNECT,
                                                        .route_key = SLICE("$connect"),
                                                        .connection_id = SLICE("c-1"),
                                                        .headers = &headers,
                                                        .query = SLICE("a=1&b=%20&a=2")});
    json_t *last = json_object_get(event, "headers"), *all = json_object_get(event, "multiValueHeaders");
    assert_int_equal(json_object_size(last), 2);
    assert_string_equal(text_at(last, "X-Many"), "2");
    assert_texts(json_object_get(all, "X-Many"), "1", "2");
    assert_string_equal(text_at(json_object_get(event, "queryStringParameters"), "a"), "2");
    assert_string_equal(text_at(json_object_get(event, "queryStringParameters"), "b"), " ");
    assert_texts(json_object_get(json_object_get(event, "multiValueQueryStringParameters"), "a"), "1", "2");
    assert_null(json_object_get(event, "body"));
    assert_string_equal(text_at(json_object_get(event, "requestContext"), "connectionId"), "c-1");
    json_decref(event);
}

static void a_disconnection_tells_why(void **state) {
    (void)state;
    json_t *event = websocket(&(struct websocket_event){.type = WEBSOCKET_DISCONNECT,
                                                        .route_key = SLICE("$disconnect"),
                                                        .close_code = 1001,
                                                        .groups = SLICE("a%2Cb,c%20d"),
                                                        .close_reason = SLICE("going away")});
    json_t *context = json_object_get(event, "requestContext");
    assert_int_equal(json_integer_value(json_object_get(context, "disconnectStatusCode")), 1001);
    assert_string_equal(text_at(context, "disconnectReason"), "going away");
    assert_texts(json_object_get(context, "groups"), "a,b", "c d");
    assert_null(json_object_get(event, "headers"));
    assert_null(json_object_get(context, "messageId"));
    json_decref(event);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_with_everything),
        cmocka_unit_test(a_schedule_tells_its_whole_second),
        cmocka_unit_test(a_connection_tells_of_its_request),
        cmocka_unit_test(a_disconnection_tells_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
