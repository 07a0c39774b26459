/* PROXY headers before HTTP and before TLS, and listeners that only redirect. */
#include "tests/support/tls_desk.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define BINARY SIGNATURE "\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x02\x1f\x90\x01\xbb"

struct bench {
    struct desk *desk;
    struct identity shop;
    struct cidr here;
    uint16_t plain, tls;
};

static struct listener_config plain_listener(void) {
    return (struct listener_config){.kind = LISTENER_TCP, .host = "127.0.0.1", .text = "plain"};
}

static uint16_t listen_too(struct bench *b, const struct listener_config *c) {
    struct error e;
    assert_int_equal(http_source_listen(b->desk->source, c, &e), 0);
    return desk_port(b->desk, http_source_listener_count(b->desk->source) - 1);
}

/* A listener with TLS and one without, both of which expect a PROXY header from this machine. */
static int setup(void **state) {
    struct error e;
    struct bench *b = xcalloc(1, sizeof *b);
    b->desk = desk_new();
    b->shop = identity_make(&(struct identity_wish){.name = "shop", .hosts = "DNS:shop.test"});
    desk_certify(b->desk, &b->shop, "shop.pem", "shop.key");
    b->desk->limits.header_timeout_ms = b->desk->limits.idle_timeout_ms = 700;
    b->desk->listener.proxy_protocol = true;
    assert_int_equal(cidr_parse(SLICE("127.0.0.0/8"), &b->here, &e), 0);
    b->desk->trusted = &b->here;
    b->desk->trusted_count = 1;
    desk_open(b->desk);
    struct listener_config plain = plain_listener();
    plain.proxy_protocol = true;
    b->tls = b->desk->port;
    b->plain = listen_too(b, &plain);
    *state = b;
    return 0;
}

static int teardown(void **state) {
    struct bench *b = *state;
    desk_free(b->desk);
    identity_free(&b->shop);
    free(b);
    return 0;
}

static void the_header_names_the_client(void **state) {
    struct bench *b = *state;
    struct client *c = client_new(b->desk->loop, b->plain);
    client_send(c, "PROXY TCP4 192.0.2.7 198.51.100.2 56324 443\r\n" GET);
    client_expect(c, "http 192.0.2.7 \n");
    client_send(c, GET);
    client_expect(c, "http 192.0.2.7 \n");
    client_free(c);
    c = client_new(b->desk->loop, b->plain);
    client_send(c, "PROXY TCP6 2001:db8::7 2001:db8::2 56324 443\r\n" GET);
    client_expect(c, "http 2001:db8::7 \n");
    client_free(c);
}

/* Cut at every place, with time between the pieces: nothing is lost and nothing is taken from what follows. */
static void the_header_may_come_in_pieces(void **state) {
    struct bench *b = *state;
    static const struct slice whole = {BINARY GET, sizeof BINARY - 1 + sizeof GET - 1};
    for (size_t at = 1; at < sizeof BINARY + 2; at++) {
        struct client *c = client_new(b->desk->loop, b->plain);
        client_send_slice(c, slice_make(whole.p, at));
        run_on(b->desk->loop, 3);
        client_send_slice(c, slice_make(whole.p + at, whole.n - at));
        client_expect(c, "http 192.0.2.7 \n");
        client_free(c);
    }
}

static void the_header_may_come_byte_by_byte(void **state) {
    struct bench *b = *state;
    struct client *c = client_new(b->desk->loop, b->plain);
    static const char text[] = "PROXY TCP4 192.0.2.7 198.51.100.2 56324 443\r\n" GET;
    for (size_t i = 0; i < sizeof text - 1; i++) {
        client_send_slice(c, slice_make(text + i, 1));
        run_on(b->desk->loop, 1);
    }
    client_expect(c, "http 192.0.2.7 \n");
    client_free(c);
}

static void tls_follows_the_header(void **state) {
    struct bench *b = *state;
    for (int round = 0; round < 2; round++) {
        struct client *wire = client_new(b->desk->loop, b->tls);
        client_send_slice(wire, (struct slice){BINARY, sizeof BINARY - 1});
        if (round) run_on(b->desk->loop, 20);
        struct tls_client *c = tls_client_over(wire, NULL);
        assert_true(tls_client_shake(c));
        tls_client_send(c, GET);
        tls_client_expect(c, "https 192.0.2.7 \n");
        tls_client_free(c);
    }
}

static void the_proxys_own_connection_keeps_its_address(void **state) {
    struct bench *b = *state;
    struct client *c = client_new(b->desk->loop, b->plain);
    client_send_slice(c, (struct slice){SIGNATURE "\x20\0\0\0" GET, 16 + sizeof GET - 1});
    client_expect(c, "http 127.0.0.1 \n");
    client_free(c);
    c = client_new(b->desk->loop, b->plain);
    client_send(c, "PROXY UNKNOWN\r\n" GET);
    client_expect(c, "http 127.0.0.1 \n");
    client_free(c);
}

static void without_a_header_nobody_gets_in(void **state) {
    struct bench *b = *state;
    static const char *const starts[] = {GET, "PROXY TCP4 192.0.2.7\r\n" GET, "PROXY TCP9 a b c d\r\n" GET,
                                         "\x16\x03\x01"};
    uint16_t ports[] = {b->plain, b->tls};
    for (size_t i = 0; i < ARRAY_LEN(starts) * 2; i++) {
        struct client *c = client_new(b->desk->loop, ports[i % 2]);
        client_send(c, starts[i / 2]);
        client_expect_end(c);
        assert_int_equal(c->in.n, 0);
        client_free(c);
    }
    assert_int_equal(b->desk->submitted, 0);
    assert_true(desk_logged(b->desk, "\"reason\":\"there is none\""));
}

static void the_header_has_a_deadline(void **state) {
    struct bench *b = *state;
    struct client *silent = client_new(b->desk->loop, b->plain);
    struct client *slow = client_new(b->desk->loop, b->plain);
    client_send(slow, "PROXY TCP4 192.0.2.7 ");
    uint64_t before = clock_now_ms(b->desk->clock);
    client_expect_end(silent);
    client_expect_end(slow);
    assert_true(clock_now_ms(b->desk->clock) - before >= 600);
    client_free(silent);
    client_free(slow);
    assert_true(desk_logged(b->desk, "it did not come in time"));
}

/* The deadline is one for header and handshake together. */
static void a_handshake_does_not_start_the_time_anew(void **state) {
    struct bench *b = *state;
    struct client *c = client_new(b->desk->loop, b->tls);
    uint64_t before = clock_now_ms(b->desk->clock);
    run_on(b->desk->loop, 400);
    client_send_slice(c, (struct slice){BINARY, sizeof BINARY - 1});
    client_expect_end(c);
    assert_in_range(clock_now_ms(b->desk->clock) - before, 600, 1000);
    client_free(c);
}

/* Nobody is trusted when nobody is named. */
static void only_trusted_peers_may_send_one(void **state) {
    struct bench *b = *state;
    struct cidr far;
    struct error e;
    assert_int_equal(cidr_parse(SLICE("10.0.0.0/8"), &far, &e), 0);
    struct listener_config plain = plain_listener();
    plain.proxy_protocol = true;
    uint16_t port = listen_too(b, &plain);
    struct client *c;
    for (size_t trusted = 0; trusted < 2; trusted++) {
        http_source_trust(b->desk->source, trusted ? &far : NULL, trusted);
        c = client_new(b->desk->loop, port);
        client_expect_end(c);
        client_free(c);
    }
    assert_true(desk_logged(b->desk, "the peer is not among trustedProxies"));
    http_source_trust(b->desk->source, &b->here, 1); /* holds for listeners that are open, too */
    c = client_new(b->desk->loop, port);
    client_send(c, "PROXY TCP4 192.0.2.7 198.51.100.2 56324 443\r\n" GET);
    client_expect(c, "http 192.0.2.7 \n");
    client_free(c);
}

static void a_listener_without_it_believes_no_header(void **state) {
    struct bench *b = *state;
    struct listener_config plain = plain_listener();
    uint16_t port = listen_too(b, &plain);
    struct client *c = client_new(b->desk->loop, port);
    client_send(c, "PROXY TCP4 192.0.2.7 198.51.100.2 56324 443\r\n" GET);
    client_expect_end(c);
    assert_int_equal(b->desk->submitted, 0);
    client_free(c);
}

struct redirect_row {
    const char *request;
    const char *status;
    const char *place; /* %u: the port */
};

static const struct redirect_row redirects[] = {
    {"GET /a?b=c HTTP/1.1\r\nHost: shop.test\r\n\r\n", "308 Permanent Redirect", "https://shop.test:%u/a?b=c\r\n"},
    {"POST /a HTTP/1.1\r\nHost: shop.test:80\r\nContent-Length: 2\r\n\r\nhi", "308 ", "https://shop.test:%u/a\r\n"},
    {"GET /a%20b HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "308 ", "https://[::1]:%u/a%%20b\r\n"},
    {"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n", "308 ", "https://[::1]:%u/\r\n"},
    {"GET http://other.test/x HTTP/1.1\r\nHost: shop.test\r\n\r\n", "308 ", "https://other.test:%u/x\r\n"},
    {"GET //evil.test/x HTTP/1.1\r\nHost: shop.test\r\n\r\n", "308 ", "https://shop.test:%u//evil.test/x\r\n"},
    {"GET /nowhere HTTP/1.1\r\nHost: shop.test\r\n\r\n", "308 ", "https://shop.test:%u/nowhere\r\n"},
};

static void expect_redirect(struct bench *b, uint16_t port, const struct redirect_row *row) {
    char place[128] = "\r\nLocation: ";
    size_t n = strlen(place);
    const char *mark = strstr(row->place, "%u");
    snprintf(place + n, sizeof place - n, "%.*s%u", (int)(mark - row->place), row->place, (unsigned)b->tls);
    for (const char *p = mark + 2; *p; p += p[0] == '%' && p[1] == '%' ? 2 : 1) strncat(place, p, 1);
    struct client *c = client_new(b->desk->loop, port);
    client_send(c, row->request);
    client_expect(c, row->status);
    client_expect(c, place);
    client_free(c);
}

static void a_listener_may_only_redirect(void **state) {
    struct bench *b = *state;
    struct listener_config plain = plain_listener();
    plain.redirect = true;
    uint16_t port = listen_too(b, &plain);
    for (size_t i = 0; i < ARRAY_LEN(redirects); i++) expect_redirect(b, port, &redirects[i]);
    struct client *c = client_new(b->desk->loop, port);
    client_send(c, "GET / HTTP/1.0\r\n\r\n");
    client_expect(c, "HTTP/1.1 400 Bad Request\r\n");
    client_free(c);
    assert_int_equal(b->desk->submitted, 0);
}

static void schemes_are_told(void **state) {
    struct bench *b = *state;
    assert_int_equal(http_source_scheme(b->desk->source, 0), LISTENER_HTTPS);
    assert_int_equal(http_source_scheme(b->desk->source, 1), LISTENER_HTTP);
}

#define stage_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        stage_test(the_header_names_the_client),
        stage_test(the_header_may_come_in_pieces),
        stage_test(the_header_may_come_byte_by_byte),
        stage_test(tls_follows_the_header),
        stage_test(the_proxys_own_connection_keeps_its_address),
        stage_test(without_a_header_nobody_gets_in),
        stage_test(the_header_has_a_deadline),
        stage_test(a_handshake_does_not_start_the_time_anew),
        stage_test(only_trusted_peers_may_send_one),
        stage_test(a_listener_without_it_believes_no_header),
        stage_test(a_listener_may_only_redirect),
        stage_test(schemes_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
