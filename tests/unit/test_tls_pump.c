/* Bytes through the pump: large ones both ways, sides that are full, sides that end, clients that misbehave. */
#include "tests/support/tls_desk.h"
#include <sys/ioctl.h>
#include <sys/resource.h>

#define LARGE ((size_t)6 << 20)

struct bench {
    struct desk *desk;
    struct identity shop;
};

static int setup_for(void **state, uint64_t connections, uint64_t timeout_ms) {
    struct bench *b = xcalloc(1, sizeof *b);
    b->desk = desk_new();
    b->shop = identity_make(&(struct identity_wish){.name = "shop", .hosts = "DNS:shop.test"});
    desk_certify(b->desk, &b->shop, "shop.pem", "shop.key");
    struct limits_config *limits = &b->desk->limits;
    limits->connections = connections;
    limits->header_timeout_ms = limits->body_timeout_ms = limits->idle_timeout_ms = timeout_ms;
    desk_open(b->desk);
    *state = b;
    return 0;
}

static int setup(void **state) {
    return setup_for(state, 20, 800);
}

static int setup_crowd(void **state) {
    return setup_for(state, 200, WAIT_MS);
}

static int teardown(void **state) {
    struct bench *b = *state;
    desk_free(b->desk);
    identity_free(&b->shop);
    free(b);
    return 0;
}

static struct tls_client *meet(struct bench *b) {
    struct tls_client *c = tls_client_new(b->desk->loop, b->desk->port, NULL);
    assert_true(tls_client_shake(c));
    return c;
}

static size_t connections(struct bench *b) {
    return http_source_is_idle(b->desk->source) ? 0 : 1;
}

static bool is_empty(void *context) {
    return connections(context) == 0;
}

static void wait_empty(struct bench *b) {
    assert_true(loop_run_until(b->desk->loop, is_empty, b, 2 * WAIT_MS));
}

static void expect_text(const struct buf *in, size_t n) {
    static const char start[] = "https 127.0.0.1 \n";
    assert_int_equal(in->n, n);
    assert_memory_equal(in->p, start, strlen(start));
    for (size_t i = strlen(start); i < n; i++)
        if (in->p[i] != (char)('a' + i % 23)) fail_msg("byte %zu is wrong", i);
}

static void a_large_answer_arrives_whole(void **state) {
    struct bench *b = *state;
    b->desk->answer_size = LARGE;
    struct tls_client *c = meet(b);
    tls_client_send(c, GET);
    tls_client_expect(c, "\r\n\r\n");
    tls_client_expect_size(c, LARGE);
    expect_text(&c->in, LARGE);
    tls_client_free(c);
    wait_empty(b);
}

static void fill(struct tls_client *c, size_t n) {
    memset(buf_reserve(&c->out, n), 'u', n);
    c->out.n += n;
}

static void a_large_body_arrives_whole(void **state) {
    struct bench *b = *state;
    struct tls_client *c = meet(b);
    char head[128];
    snprintf(head, sizeof head, "POST /a HTTP/1.1\r\nHost: shop.test\r\nContent-Length: %zu\r\n\r\n", LARGE);
    buf_append_text(&c->out, head);
    fill(c, LARGE);
    tls_client_expect(c, "https 127.0.0.1 \n");
    assert_int_equal(b->desk->body_size, LARGE);
    tls_client_free(c);
}

static void many_requests_share_a_connection(void **state) {
    struct bench *b = *state;
    struct tls_client *c = meet(b);
    for (int i = 0; i < 50; i++) buf_append_text(&c->out, GET);
    for (int i = 0; i < 50; i++) tls_client_expect(c, "https 127.0.0.1 \n");
    assert_int_equal(b->desk->submitted, 50);
    assert_int_equal(http_source_tls_counters(b->desk->source)->handshakes, 1);
    tls_client_free(c);
}

/* Sent in pieces that end at odd places, each after the answers to those before: what is left over of one piece waits
 * in the server for the next, which must wake it. */
static void requests_in_odd_pieces_are_answered(void **state) {
    static const char *const pieces[] = {
        GET "GET /a HT",
        "TP/1.1\r\nHost: shop.test\r\n\r\n\r\n\r\nG",
        "ET /a HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 3\r\n\r\nabcPOST /a HTTP/1.1\r\n",
        "Host: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        GET GET "GET",
        " /a HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        GET,
    };
    static const size_t answers[] = {1, 1, 1, 1, 1, 2, 1, 1};
    struct bench *b = *state;
    struct tls_client *c = meet(b);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        tls_client_send(c, pieces[i]);
        for (size_t k = 0; k < answers[i]; k++) tls_client_expect(c, "https 127.0.0.1 \n");
    }
    assert_int_equal(b->desk->submitted, 9);
    tls_client_free(c);
    wait_empty(b);
}

/* The pump takes the first answer while the second request is being worked on. */
static void a_request_that_comes_meanwhile_is_answered(void **state) {
    struct bench *b = *state;
    struct tls_client *c = meet(b);
    b->desk->silent = true;
    for (size_t i = 1; i < 20; i++) {
        tls_client_send(c, GET);
        wait_count(b->desk->loop, &b->desk->submitted, i);
        struct invocation *running = b->desk->last;
        if (i % 2) {
            buf_append_text(&c->out, GET);
            tls_client_step(c);
            run_on(b->desk->loop, 2);
        }
        desk_answer(b->desk, running);
        tls_client_expect(c, "https 127.0.0.1 \n");
        if (i % 2 == 0) continue;
        wait_count(b->desk->loop, &b->desk->submitted, ++i);
        desk_answer(b->desk, b->desk->last);
        tls_client_expect(c, "https 127.0.0.1 \n");
    }
    tls_client_free(c);
    wait_empty(b);
}

#define CROWD 150

/* A request's record, and not yet sent. */
static struct buf seal(struct tls_client *c, const char *text) {
    BIO *memory = BIO_new(BIO_s_mem());
    BIO *wire = SSL_get_wbio(c->ssl);
    BIO_up_ref(wire);
    SSL_set0_wbio(c->ssl, memory);
    assert_int_equal(SSL_write(c->ssl, text, (int)strlen(text)), strlen(text));
    struct buf record = {0};
    char *bytes = NULL;
    long n = BIO_get_mem_data(memory, &bytes);
    buf_append(&record, bytes, (size_t)n);
    SSL_set0_wbio(c->ssl, wire);
    return record;
}

static void crowd_asks(struct bench *b, struct tls_client **all, size_t n) {
    size_t before = b->desk->submitted;
    for (size_t i = 0; i < n; i++) tls_client_send(all[i], GET);
    for (size_t i = 0; i < n; i++) tls_client_expect(all[i], "https 127.0.0.1 \n");
    assert_int_equal(b->desk->submitted, before + n);
}

/* More than keep their buffers, and one that has half a record in its own while it is its turn to give them up. */
static void a_crowd_takes_turns(void **state) {
    struct bench *b = *state;
    struct tls_client *all[CROWD];
    for (size_t i = 0; i < CROWD; i++) all[i] = meet(b);
    crowd_asks(b, all, CROWD);
    crowd_asks(b, all, CROWD);
    struct buf record = seal(all[0], GET);
    client_send_slice(all[0]->wire, slice_make(record.p, record.n / 2));
    run_on(b->desk->loop, 20);
    crowd_asks(b, all + 1, CROWD - 1);
    client_send_slice(all[0]->wire, slice_make(record.p + record.n / 2, record.n - record.n / 2));
    tls_client_expect(all[0], "https 127.0.0.1 \n");
    buf_free(&record);
    for (size_t i = 0; i < CROWD; i++) tls_client_free(all[i]);
    wait_empty(b);
}

/* Processor time of this thread. */
static uint64_t used_us(void) {
    struct rusage u;
    getrusage(RUSAGE_THREAD, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void expect_rest(struct bench *b) {
    run_on(b->desk->loop, 50);
    uint64_t before = used_us();
    run_on(b->desk->loop, 300);
    uint64_t used = used_us() - before;
    if (used > 100000) fail_msg("%llu us of 300 ms were busy", (unsigned long long)used);
}

/* How much of a large answer is under way while the client does not read: what the kernel keeps, no more. */
static void a_client_that_does_not_read_holds_the_answer_up(void **state) {
    struct bench *b = *state;
    b->desk->answer_size = LARGE;
    struct tls_client *c = meet(b);
    int small = 65536;
    setsockopt(c->wire->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    c->deaf = true;
    tls_client_send(c, GET);
    wait_count(b->desk->loop, &b->desk->submitted, 1);
    expect_rest(b);
    c->deaf = false;
    tls_client_expect(c, "\r\n\r\n");
    tls_client_expect_size(c, LARGE);
    expect_text(&c->in, LARGE);
    tls_client_free(c);
}

static void a_client_that_never_reads_is_cut_off(void **state) {
    struct bench *b = *state;
    b->desk->answer_size = LARGE;
    struct tls_client *c = meet(b);
    int small = 4096;
    setsockopt(c->wire->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    c->deaf = true;
    tls_client_send(c, GET);
    const struct http_server_counters *counters = http_source_counters(b->desk->source);
    wait_count(b->desk->loop, &counters->send_timeouts, 1);
    tls_client_free(c);
    wait_empty(b);
}

/* Reading a little now and then is progress, though neither the server nor the pair notice it. */
static void a_slow_reader_is_not_cut_off(void **state) {
    struct bench *b = *state;
    b->desk->answer_size = LARGE;
    struct tls_client *c = meet(b);
    c->deaf = true;
    tls_client_send(c, GET);
    wait_count(b->desk->loop, &b->desk->submitted, 1);
    for (int i = 0; i < 12; i++) {
        run_on(b->desk->loop, 200);
        SSL_read(c->ssl, buf_reserve(&c->in, 16384), 16384);
    }
    assert_int_equal(http_source_counters(b->desk->source)->send_timeouts, 0);
    tls_client_free(c);
}

/* The invocation keeps its body unread: the client must not be able to send all of it. */
static void a_server_that_does_not_read_holds_the_client_up(void **state) {
    struct bench *b = *state;
    b->desk->executor.streams_request = true;
    b->desk->silent = true;
    struct tls_client *c = meet(b);
    buf_append_text(&c->out, "POST /a HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 12000000\r\n\r\n");
    fill(c, 12000000);
    tls_client_step(c);
    wait_count(b->desk->loop, &b->desk->submitted, 1);
    for (int i = 0; i < 20; i++) {
        run_on(b->desk->loop, 10);
        tls_client_step(c);
    }
    assert_true(c->out.n - c->sent > 1000000);
    expect_rest(b);
    /* A reset, because a FIN would wait behind what we do not take. */
    struct linger none = {.l_onoff = 1};
    setsockopt(c->wire->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    tls_client_free(c);
    wait_count(b->desk->loop, &b->desk->cancelled, 1);
    wait_empty(b);
}

static void a_client_that_leaves_cancels(void **state) {
    struct bench *b = *state;
    b->desk->silent = true;
    struct tls_client *c = meet(b);
    tls_client_send(c, GET);
    wait_count(b->desk->loop, &b->desk->submitted, 1);
    expect_rest(b);
    assert_int_equal(b->desk->cancelled, 0);
    SSL_shutdown(c->ssl);
    wait_count(b->desk->loop, &b->desk->cancelled, 1);
    tls_client_expect_end(c);
    assert_true(c->closed);
    assert_int_equal(http_source_tls_counters(b->desk->source)->truncated, 0);
    tls_client_free(c);
    wait_empty(b);
}

static void a_client_that_vanishes_cancels(void **state) {
    struct bench *b = *state;
    b->desk->silent = true;
    struct tls_client *c = meet(b);
    tls_client_send(c, GET);
    wait_count(b->desk->loop, &b->desk->submitted, 1);
    tls_client_free(c);
    wait_count(b->desk->loop, &b->desk->cancelled, 1);
    wait_empty(b);
    assert_int_equal(http_source_tls_counters(b->desk->source)->truncated, 1);
}

static void a_body_cut_short_is_never_complete(void **state) {
    struct bench *b = *state;
    struct tls_client *c = meet(b);
    tls_client_send(c, "POST /a HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 100\r\n\r\nhalf");
    run_on(b->desk->loop, 50);
    tls_client_free(c);
    wait_empty(b);
    assert_int_equal(b->desk->submitted, 0);
}

static void the_last_answer_ends_with_close_notify(void **state) {
    struct bench *b = *state;
    b->desk->answer_size = 300000;
    struct tls_client *c = meet(b);
    tls_client_send(c, "GET /a HTTP/1.0\r\nHost: shop.test\r\n\r\n");
    tls_client_expect_end(c);
    assert_true(c->closed);
    assert_true(c->in.n > 300000);
    /* It stays for a moment, but not for ever, if the client does not close. */
    expect_rest(b);
    assert_int_equal(connections(b), 1);
    wait_empty(b);
    tls_client_free(c);
}

static void an_idle_connection_ends_in_order(void **state) {
    struct bench *b = *state;
    struct tls_client *c = meet(b);
    tls_client_send(c, GET);
    tls_client_expect(c, "https ");
    tls_client_expect_end(c);
    assert_true(c->closed);
    assert_int_equal(http_source_counters(b->desk->source)->idle_timeouts, 1);
    tls_client_free(c);
}

static void draining_closes_what_is_idle(void **state) {
    struct bench *b = *state;
    struct tls_client *c = meet(b);
    struct tls_client *shaking = tls_client_new(b->desk->loop, b->desk->port, NULL);
    tls_client_send(c, GET);
    tls_client_expect(c, "https ");
    run_on(b->desk->loop, 20);
    http_source_drain(b->desk->source);
    tls_client_expect_end(c);
    assert_true(c->closed);
    client_expect_end(shaking->wire);
    tls_client_free(c);
    wait_empty(b);
    tls_client_free(shaking);
}

/* --- what is no handshake --- */

static void plain_http_is_told_so(void **state) {
    struct bench *b = *state;
    static const char *const requests[] = {GET, "DELETE /a HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct client *c = client_new(b->desk->loop, b->desk->port);
        client_send(c, requests[i]);
        client_expect_end(c);
        assert_true(client_has(c, "HTTP/1.1 400 Bad Request\r\n"));
        assert_true(client_has(c, "Content-Length: 49\r\n"));
        char *body = memmem(c->in.p, c->in.n, "\r\n\r\n", 4);
        assert_int_equal(c->in.p + c->in.n - body - 4, 49);
        client_free(c);
    }
    assert_int_equal(b->desk->submitted, 0);
    assert_true(desk_logged(b->desk, "the client speaks plain HTTP"));
}

static void nonsense_is_closed(void **state) {
    struct bench *b = *state;
    struct client *c = client_new(b->desk->loop, b->desk->port);
    client_send_slice(c, SLICE("\0\1\2\3\4\5\6\7nonsense"));
    client_expect_end(c);
    client_free(c);
    wait_empty(b);
    assert_int_equal(http_source_tls_counters(b->desk->source)->failed_handshakes, 1);
}

static void a_handshake_has_a_deadline(void **state) {
    struct bench *b = *state;
    struct client *silent = client_new(b->desk->loop, b->desk->port);
    struct client *slow = client_new(b->desk->loop, b->desk->port);
    client_send_slice(slow, SLICE("\x16\x03\x01\x02\x00\x01"));
    expect_rest(b);
    client_expect_end(silent);
    client_expect_end(slow);
    client_free(silent);
    client_free(slow);
    assert_true(desk_logged(b->desk, "it took too long"));
}

/* A hello of 128 KiB in records that are fine one by one. */
static void a_handshake_has_a_size(void **state) {
    struct bench *b = *state;
    struct client *c = client_new(b->desk->loop, b->desk->port);
    char record[5 + 16384] = {0x16, 3, 1, 0x40, 0};
    record[5] = 1;
    record[6] = 1;
    record[7] = (char)0xff;
    int sent = 0;
    for (; sent < 40 && send(c->fd, record, sizeof record, MSG_NOSIGNAL) > 0; sent++) run_on(b->desk->loop, 5);
    client_expect_end(c);
    client_free(c);
    assert_int_equal(http_source_tls_counters(b->desk->source)->failed_handshakes, 1);
    assert_int_equal(b->desk->submitted, 0);
}

static void many_clients_come_and_go(void **state) {
    struct bench *b = *state;
    for (int round = 0; round < 5; round++) {
        struct tls_client *all[10];
        for (size_t i = 0; i < ARRAY_LEN(all); i++) all[i] = tls_client_new(b->desk->loop, b->desk->port, NULL);
        for (size_t i = 0; i < ARRAY_LEN(all); i++) assert_true(tls_client_shake(all[i]));
        for (size_t i = 0; i < ARRAY_LEN(all); i++) tls_client_send(all[i], GET);
        for (size_t i = 0; i < ARRAY_LEN(all); i++)
            if (i % 3) tls_client_expect(all[i], "https 127.0.0.1 \n");
        for (size_t i = 0; i < ARRAY_LEN(all); i++) tls_client_free(all[i]);
        wait_empty(b);
    }
}

/* More clients than there may be: the rest wait until one leaves, whatever stage it is in. */
static void a_full_house_lets_the_next_one_in(void **state) {
    struct bench *b = *state;
    struct client *silent[20];
    for (size_t i = 0; i < ARRAY_LEN(silent); i++) silent[i] = client_new(b->desk->loop, b->desk->port);
    run_on(b->desk->loop, 50);
    struct tls_client *late = tls_client_new(b->desk->loop, b->desk->port, NULL);
    for (int i = 0; i < 10; i++) {
        run_on(b->desk->loop, 10);
        tls_client_step(late);
    }
    assert_false(late->shaken);
    client_leave(silent[0]);
    assert_true(tls_client_shake(late));
    tls_client_send(late, GET);
    tls_client_expect(late, "https ");
    for (size_t i = 0; i < ARRAY_LEN(silent); i++) client_free(silent[i]);
    tls_client_free(late);
    wait_empty(b);
}

#define pump_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        pump_test(a_large_answer_arrives_whole),
        pump_test(a_large_body_arrives_whole),
        pump_test(many_requests_share_a_connection),
        pump_test(requests_in_odd_pieces_are_answered),
        pump_test(a_request_that_comes_meanwhile_is_answered),
        cmocka_unit_test_setup_teardown(a_crowd_takes_turns, setup_crowd, teardown),
        pump_test(a_client_that_does_not_read_holds_the_answer_up),
        pump_test(a_client_that_never_reads_is_cut_off),
        pump_test(a_slow_reader_is_not_cut_off),
        pump_test(a_server_that_does_not_read_holds_the_client_up),
        pump_test(a_client_that_leaves_cancels),
        pump_test(a_client_that_vanishes_cancels),
        pump_test(a_body_cut_short_is_never_complete),
        pump_test(the_last_answer_ends_with_close_notify),
        pump_test(an_idle_connection_ends_in_order),
        pump_test(draining_closes_what_is_idle),
        pump_test(plain_http_is_told_so),
        pump_test(nonsense_is_closed),
        pump_test(a_handshake_has_a_deadline),
        pump_test(a_handshake_has_a_size),
        pump_test(many_clients_come_and_go),
        pump_test(a_full_house_lets_the_next_one_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
