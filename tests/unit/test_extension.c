/* The Extensions API subset: what the Go and Rust SIGTERM helpers and wrappers of servers do with it. */
#include "tests/support/booth.h"

#define REGISTER "/2020-01-01/extension/register"
#define EVENT_NEXT "/2020-01-01/extension/event/next"
#define NAME "Lambda-Extension-Name: helper\r\n"

struct helper {
    struct client *client;
    char id[37];
};

static void enlist(struct booth *b, struct helper *h, const char *events) {
    h->client = booth_dial(b, 0);
    client_post(h->client, REGISTER, NAME, events);
    struct message m = client_receive(h->client);
    assert_int_equal(m.status, 200);
    assert_string_equal(m.body.p, "{\"functionName\":\"shop\",\"functionVersion\":\"$LATEST\",\"handler\":\"shop\"}");
    snprintf(h->id, sizeof h->id, SLICE_FMT, SLICE_ARG(message_field(&m, "Lambda-Extension-Identifier")));
    assert_int_equal(strlen(h->id), 36);
    message_free(&m);
}

static void ask(struct helper *h) {
    client_printf(h->client, "GET " EVENT_NEXT " HTTP/1.1\r\nHost: x\r\nLambda-Extension-Identifier: %s\r\n\r\n",
                  h->id);
}

static void refused_registrations(void **state) {
    (void)state;
    static const char *const cases[][4] = {
        {"", "{\"events\":[]}", "403", "Extension.InvalidExtensionName"},
        {NAME, "{\"events\":[\"SLEEP\"]}", "403", "Extension.InvalidEventType"},
        {NAME, "{\"events\":\"INVOKE\"}", "403", "InvalidRequestFormat"},
        {NAME, "{\"events\":[1]}", "403", "InvalidRequestFormat"},
        {NAME, "[]", "403", "InvalidRequestFormat"},
        {NAME, "", "403", "InvalidRequestFormat"},
        {NAME "Lambda-Extension-Accept-Feature: accountId\r\n", "{}", "200", "\"accountId\":\"012345678912\""},
        {NAME, "{\"events\":null}", "200", "functionName"},
    };
    struct booth b;
    booth_open(&b);
    booth_build(&b);
    struct client *c = booth_dial(&b, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        client_post(c, REGISTER, cases[i][0], cases[i][1]);
        client_expect_reply(c, atoi(cases[i][2]), cases[i][3]);
    }
    struct client *runtime = booth_dial(&b, 0);
    client_get(runtime, "/2018-06-01/runtime/invocation/next");
    run_on(b.loop, 10);
    for (int i = 2; i < 10; i++) { /* the registration stays open: who registers may run beside who asks for events */
        client_post(c, REGISTER, NAME, "{}");
        client_expect_reply(c, 200, "functionName");
    }
    client_post(c, REGISTER, NAME, "{}");
    client_expect_reply(c, 403, "Extension.TooManyExtensions");
    client_free(c);
    client_free(runtime);
    booth_close(&b);
}

static void identifiers(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", "Extension.MissingExtensionIdentifier"},
        {"Lambda-Extension-Identifier: x\r\n", "Extension.InvalidExtensionIdentifier"},
        {"Lambda-Extension-Identifier: 11111111-1111-4111-8111-111111111111\r\n",
         "Extension.UnknownExtensionIdentifier"},
    };
    struct booth b;
    booth_open(&b);
    booth_build(&b);
    struct client *c = booth_dial(&b, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        client_printf(c, "GET " EVENT_NEXT " HTTP/1.1\r\nHost: x\r\n%s\r\n", cases[i][0]);
        client_expect_reply(c, 403, cases[i][1]);
        client_post(c, "/2020-01-01/extension/exit/error", cases[i][0], "{}");
        client_expect_reply(c, 403, cases[i][1]);
    }
    client_free(c);
    booth_close(&b);
}

static void events_of_a_life(void **state) {
    (void)state;
    struct booth b;
    struct reply r;
    struct helper every, end, silent;
    char id[37];
    booth_open(&b);
    booth_build(&b);
    b.processes[0]->stubborn = true;
    enlist(&b, &every, "{\"events\":[\"INVOKE\",\"SHUTDOWN\"]}");
    enlist(&b, &end, "{\"events\":[\"SHUTDOWN\"]}");
    enlist(&b, &silent, "{\"events\":[]}");
    ask(&every);
    ask(&end);
    ask(&silent);
    struct client *runtime = booth_dial(&b, 0);
    client_get(runtime, "/2018-06-01/runtime/invocation/next");
    struct invocation *inv = booth_submit(&b, &r, "/items/1", NULL);
    snprintf(id, sizeof id, "%.36s", inv->id);
    struct message event = client_receive(runtime);
    struct message m = client_receive(every.client);
    assert_int_equal(m.status, 200);
    assert_false(slice_is_none(message_field(&m, "Lambda-Extension-Event-Identifier")));
    assert_non_null(strstr(m.body.p, "\"eventType\":\"INVOKE\""));
    assert_non_null(strstr(m.body.p, id));
    assert_non_null(strstr(m.body.p, "\"type\":\"X-Amzn-Trace-Id\",\"value\":\"Root=1-"));
    message_free(&m);
    message_free(&event);
    char path[128];
    snprintf(path, sizeof path, "/2018-06-01/runtime/invocation/%s/response", id);
    client_post(runtime, path, "", "1");
    client_expect_reply(runtime, 202, "OK");
    booth_await(&b, &r, 200, "1");
    pool_drain(b.pool); /* it is told although it has not asked yet */
    client_expect_reply(end.client, 200, "{\"eventType\":\"SHUTDOWN\",\"shutdownReason\":\"spindown\",\"deadlineMs\":");
    ask(&every);
    client_expect_reply(every.client, 200, "SHUTDOWN");
    run_on(b.loop, 10);
    client_pump(silent.client);
    assert_int_equal(silent.client->in.n, 0);
    b.processes[0]->stubborn = false;
    client_free(runtime);
    client_free(every.client);
    client_free(end.client);
    client_free(silent.client);
    booth_close(&b);
}

static void one_wait_at_a_time_and_a_lost_one(void **state) {
    (void)state;
    struct booth b;
    struct helper h;
    booth_open(&b);
    booth_build(&b);
    enlist(&b, &h, "{\"events\":[\"SHUTDOWN\"]}");
    struct helper again = {booth_dial(&b, 0), ""};
    memcpy(again.id, h.id, sizeof h.id);
    ask(&h);
    run_on(b.loop, 5);
    ask(&again);
    client_expect_reply(again.client, 403, "Extension.InvalidExtensionState");
    client_leave(h.client);
    run_on(b.loop, 250); /* a parked connection's end is noticed by and by */
    ask(&again);
    run_on(b.loop, 10);
    client_pump(again.client);
    assert_int_equal(again.client->in.n, 0);
    client_free(h.client);
    client_free(again.client);
    booth_close(&b);
}

static void an_extension_that_gives_up(void **state) {
    (void)state;
    static const char *const paths[] = {"/2020-01-01/extension/init/error", "/2020-01-01/extension/exit/error"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct booth b;
        struct helper h;
        char fields[256];
        booth_open(&b);
        booth_build(&b);
        b.processes[0]->stubborn = true;
        enlist(&b, &h, "{}");
        snprintf(fields, sizeof fields,
                 "Lambda-Extension-Identifier: %s\r\nLambda-Extension-Function-Error-Type: Extension.NoKey\r\n", h.id);
        client_post(h.client, paths[i], fields, "{\"errorMessage\":\"no key\",\"errorType\":\"x\"}");
        client_expect_reply(h.client, 202, "OK");
        assert_int_equal(b.processes[0]->last_signal, SIGTERM);
        assert_true(booth_logged(&b, "Extension.NoKey"));
        assert_true(booth_logged(&b, "no key"));
        b.processes[0]->stubborn = false;
        client_free(h.client);
        booth_close(&b);
    }
}

static void telemetry_and_logs_are_not_supported(void **state) {
    (void)state;
    struct booth b;
    booth_open(&b);
    booth_build(&b);
    struct client *c = booth_dial(&b, 0);
    client_send(c, "PUT /2022-07-01/telemetry HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
    client_expect_reply(c, 202, "Telemetry.NotSupported");
    client_send(c, "PUT /2020-08-15/logs HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
    client_expect_reply(c, 202, "Logs.NotSupported");
    client_free(c);
    booth_close(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_registrations),      cmocka_unit_test(identifiers),
        cmocka_unit_test(events_of_a_life),           cmocka_unit_test(one_wait_at_a_time_and_a_lost_one),
        cmocka_unit_test(an_extension_that_gives_up), cmocka_unit_test(telemetry_and_logs_are_not_supported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
