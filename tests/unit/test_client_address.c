/* Who the client is: what proxies say, and whose word counts. */
#include "gateway/base/memory.h"
#include "gateway/source/http/client_address.h"
#include "tests/unit/unit.h"
#include <stdio.h>

#define MAX_FIELDS 8

/* Proxies in 10.0.0.0/8 and fd00::/8, and everybody on a local socket. */
static struct client_proxies proxies(struct cidr ranges[3]) {
    static const char *const texts[] = {"10.0.0.0/8", "fd00::/8", "unix"};
    struct error e;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) assert_int_equal(cidr_parse(slice_of(texts[i]), &ranges[i], &e), 0);
    return (struct client_proxies){ranges, ARRAY_LEN(texts)};
}

struct row {
    const char *peer;
    const char *fields[2 * MAX_FIELDS]; /* names and values in turns */
    const char *address;                /* NULL = nothing is believed */
    unsigned port;
    const char *scheme, *host;
};
#define XFF "X-Forwarded-For"
#define FWD "Forwarded"
#define PROTO "X-Forwarded-Proto"
#define HOST "X-Forwarded-Host"

static const struct row rows[] = {
    /* a peer that is not trusted */
    {"192.0.2.9", {XFF, "198.51.100.1", FWD, "for=198.51.100.1;proto=https"}, NULL, 0, NULL, NULL},
    {"2001:db8::1", {XFF, "198.51.100.1"}, NULL, 0, NULL, NULL},
    /* a trusted one that says nothing */
    {"10.0.0.1", {"Accept", "*/*"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {XFF, ""}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {FWD, " , ,"}, "10.0.0.1", 4711, NULL, NULL},

    /* X-Forwarded-For: forms */
    {"10.0.0.1", {XFF, "192.0.2.1"}, "192.0.2.1", 0, NULL, NULL},
    {"unix:", {XFF, "192.0.2.1"}, "192.0.2.1", 0, NULL, NULL},
    {"fd00::1", {XFF, "192.0.2.1"}, "192.0.2.1", 0, NULL, NULL},
    {"10.0.0.1", {XFF, "192.0.2.1:8080"}, "192.0.2.1", 8080, NULL, NULL},
    {"10.0.0.1", {XFF, "2001:DB8::1"}, "2001:db8::1", 0, NULL, NULL},
    {"10.0.0.1", {XFF, "[2001:db8::1]"}, "2001:db8::1", 0, NULL, NULL},
    {"10.0.0.1", {XFF, "[2001:db8::1]:443"}, "2001:db8::1", 443, NULL, NULL},
    {"10.0.0.1", {XFF, "::ffff:192.0.2.1"}, "192.0.2.1", 0, NULL, NULL},
    {"10.0.0.1", {"x-forwarded-for", "\t192.0.2.1 "}, "192.0.2.1", 0, NULL, NULL},
    /* X-Forwarded-For: the walk */
    {"10.0.0.1", {XFF, "6.6.6.6, 192.0.2.1"}, "192.0.2.1", 0, NULL, NULL},
    {"10.0.0.1", {XFF, "6.6.6.6, 192.0.2.1, 10.0.0.2, 10.3.3.3"}, "192.0.2.1", 0, NULL, NULL},
    {"10.0.0.1", {XFF, "6.6.6.6,192.0.2.1", XFF, "10.0.0.2"}, "192.0.2.1", 0, NULL, NULL},
    {"10.0.0.1", {XFF, "6.6.6.6", "Via", "x", XFF, ", 192.0.2.1 ,,"}, "192.0.2.1", 0, NULL, NULL},
    {"10.0.0.1", {XFF, "10.0.0.3, 10.0.0.2"}, "10.0.0.3", 0, NULL, NULL},
    {"10.0.0.1", {XFF, "6.6.6.6, fd00::7"}, "6.6.6.6", 0, NULL, NULL},
    {"10.0.0.1", {XFF, "6.6.6.6, ::ffff:10.0.0.2"}, "6.6.6.6", 0, NULL, NULL},
    /* X-Forwarded-For: what says nothing ends the walk */
    {"10.0.0.1", {XFF, "6.6.6.6, unknown"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {XFF, "6.6.6.6, nonsense, 10.0.0.2"}, "10.0.0.2", 0, NULL, NULL},
    {"10.0.0.1", {XFF, "6.6.6.6, _hidden, 10.0.0.2"}, "10.0.0.2", 0, NULL, NULL},
    {"10.0.0.1", {XFF, "6.6.6.6, 1.2.3"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {XFF, "6.6.6.6, 192.0.2.1:99999"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {XFF, "6.6.6.6, 192.0.2.1:"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {XFF, "6.6.6.6, [2001:db8::1"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {XFF, "6.6.6.6, [192.0.2.1]"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {XFF, "6.6.6.6, []"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {XFF, "6.6.6.6, [2001:db8::1]x"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {XFF, "6.6.6.6, fe80::1%eth0"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {XFF, "6.6.6.6, unix:"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {XFF, "6.6.6.6, unix:a:b"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {XFF, "6.6.6.6, [unix:]"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {XFF, "6.6.6.6, \"192.0.2.1\""}, "10.0.0.1", 4711, NULL, NULL},
    /* its companions, each by its place from the right */
    {"10.0.0.1",
     {XFF, "192.0.2.1", PROTO, "https", HOST, "shop.example:8443"},
     "192.0.2.1",
     0,
     "https",
     "shop.example:8443"},
    {"10.0.0.1", {PROTO, "HTTPS"}, "10.0.0.1", 4711, "https", NULL},
    {"10.0.0.1", {PROTO, "ftp"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {PROTO, "wss"}, "10.0.0.1", 4711, "https", NULL},
    {"10.0.0.1", {XFF, "192.0.2.1", PROTO, "https, http"}, "192.0.2.1", 0, "http", NULL},
    {"10.0.0.1", {XFF, "192.0.2.1, 10.0.0.2", PROTO, "https, http"}, "192.0.2.1", 0, "https", NULL},
    {"10.0.0.1", {XFF, "192.0.2.1, 10.0.0.2", PROTO, "https"}, "192.0.2.1", 0, "https", NULL},
    {"10.0.0.1",
     {XFF, "6.6.6.6, 192.0.2.1, 10.0.0.2", PROTO, "evil, https, http", HOST, "evil.example, a.example, b.example"},
     "192.0.2.1",
     0,
     "https",
     "a.example"},
    {"10.0.0.1", {XFF, "unknown, 10.0.0.2", PROTO, "https, http"}, "10.0.0.2", 0, "https", NULL},
    {"10.0.0.1", {XFF, "rubbish, 10.0.0.2", PROTO, "https, http"}, "10.0.0.2", 0, "http", NULL},
    {"10.0.0.1", {HOST, "a b"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {HOST, "[2001:db8::1]:443"}, "10.0.0.1", 4711, NULL, "[2001:db8::1]:443"},

    /* Forwarded: forms (RFC 7239 4 to 6) */
    {"10.0.0.1", {FWD, "for=192.0.2.60;proto=http;by=203.0.113.43"}, "192.0.2.60", 0, "http", NULL},
    {"10.0.0.1", {FWD, "For=\"[2001:db8:cafe::17]:4711\""}, "2001:db8:cafe::17", 4711, NULL, NULL},
    {"10.0.0.1",
     {FWD, "FOR=\"192.0.2.1:80\";HOST=\"shop.example:81\";PROTO=HTTPS"},
     "192.0.2.1",
     80,
     "https",
     "shop.example:81"},
    {"10.0.0.1", {FWD, "for=\"192.0.2.1:_p0rt\""}, "192.0.2.1", 0, NULL, NULL},
    {"10.0.0.1", {FWD, "for=\"\\192.0.2.1\""}, "192.0.2.1", 0, NULL, NULL},
    {"10.0.0.1", {FWD, "for=192.0.2.1;secret=\"a\\\"b, c;for=6.6.6.6\""}, "192.0.2.1", 0, NULL, NULL},
    {"10.0.0.1", {FWD, ";for=192.0.2.1 ; proto=https;"}, "192.0.2.1", 0, "https", NULL},
    {"10.0.0.1", {FWD, "for=192.0.2.1;host=\"a/b\""}, "192.0.2.1", 0, NULL, NULL},
    /* Forwarded: the walk */
    {"10.0.0.1",
     {FWD, "for=6.6.6.6, for=192.0.2.1;proto=https;host=a.example, for=10.0.0.2;proto=http;host=b.example"},
     "192.0.2.1",
     0,
     "https",
     "a.example"},
    {"10.0.0.1", {FWD, "for=192.0.2.1, for=10.0.0.2;proto=https"}, "192.0.2.1", 0, "https", NULL},
    {"10.0.0.1", {FWD, "for=6.6.6.6", FWD, "for=192.0.2.1", FWD, "for=\"[fd00::2]\""}, "192.0.2.1", 0, NULL, NULL},
    {"10.0.0.1", {FWD, "for=6.6.6.6, for=unknown;proto=https"}, "10.0.0.1", 4711, "https", NULL},
    {"10.0.0.1", {FWD, "for=6.6.6.6, for=_SEVKISEK, for=10.0.0.2"}, "10.0.0.2", 0, NULL, NULL},
    {"10.0.0.1", {FWD, "for=6.6.6.6, for=\"unknown:80\""}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {FWD, "for=6.6.6.6, proto=https"}, "10.0.0.1", 4711, "https", NULL},
    /* Forwarded: an element that is malformed says nothing, and neither does what stands left of it */
    {"10.0.0.1", {FWD, "for=6.6.6.6, for=[2001:db8::1];proto=https"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {FWD, "for=6.6.6.6, for=\"2001:db8::1\";proto=https"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {FWD, "for=6.6.6.6, for=192.0.2.1:80"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {FWD, "for=6.6.6.6, for=192.0.2.1;for=192.0.2.2"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {FWD, "for=6.6.6.6, for"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {FWD, "for=6.6.6.6, for="}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {FWD, "for=6.6.6.6, for=\"192.0.2.1\"x"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {FWD, "for=6.6.6.6, for = 192.0.2.1"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {FWD, "for=6.6.6.6, proto=https for=192.0.2.1"}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {FWD, "for=6.6.6.6, for=\"\""}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {FWD, "for=6.6.6.6, for=\"_\""}, "10.0.0.1", 4711, NULL, NULL},
    {"10.0.0.1", {FWD, "for=6.6.6.6, =x"}, "10.0.0.1", 4711, NULL, NULL},
    /* a quote that the client has opened cannot swallow what the proxy appends */
    {"10.0.0.1", {FWD, "for=\"6.6.6.6, for=192.0.2.1"}, "192.0.2.1", 0, NULL, NULL},
    {"10.0.0.1", {FWD, "for=\"6.6.6.6, for=\"[2001:db8::1]:1\";proto=https"}, "2001:db8::1", 1, "https", NULL},
    {"10.0.0.1", {FWD, "for=\"6.6.6.6\\, for=\"192.0.2.1\""}, "192.0.2.1", 0, NULL, NULL},
    {"10.0.0.1", {FWD, "for=\"6.6.6.6", FWD, "for=192.0.2.1"}, "192.0.2.1", 0, NULL, NULL},
    {"10.0.0.1", {FWD, "for=6.6.6.6, for=\"10.0.0.9"}, "10.0.0.1", 4711, NULL, NULL},

    /* both: Forwarded is not read */
    {"10.0.0.1", {XFF, "192.0.2.1", FWD, "for=6.6.6.6;proto=https;host=evil.example"}, "192.0.2.1", 0, NULL, NULL},
    {"10.0.0.1", {FWD, "for=6.6.6.6", PROTO, "https"}, "10.0.0.1", 4711, "https", NULL},
};

static void expect_text(const struct row *r, size_t i, const char *what, struct slice found, const char *expected) {
    if (slice_equal(found, slice_of(expected)) && slice_is_none(found) == !expected) return;
    fail_msg("row %zu (%s: %s): %s is \"" SLICE_FMT "\", not \"%s\"", i, r->fields[0], r->fields[1], what,
             SLICE_ARG(found), expected ? expected : "(absent)");
}

static void the_table_holds(void **state) {
    (void)state;
    struct cidr ranges[3];
    const struct client_proxies trusted = proxies(ranges);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        struct arena a;
        struct fields f = {0};
        struct client_view view = {.port = 1}, peer = {.port = 4711};
        arena_init(&a, 1024);
        snprintf(peer.address, sizeof peer.address, "%s", r->peer);
        for (size_t k = 0; k < 2 * MAX_FIELDS && r->fields[k]; k += 2)
            fields_add(&f, &a, slice_of(r->fields[k]), slice_of(r->fields[k + 1]));
        bool believed = client_view_find(&view, &trusted, &peer, &f, &a);
        if (believed != (r->address != NULL)) fail_msg("row %zu: %s", i, believed ? "believed" : "not believed");
        if (believed) {
            expect_text(r, i, "the address", slice_of(view.address), r->address);
            expect_text(r, i, "the scheme", view.scheme, r->scheme);
            expect_text(r, i, "the host", view.host, r->host);
            if (view.port != r->port) fail_msg("row %zu: port %u, not %u", i, view.port, r->port);
        }
        arena_free(&a);
    }
}

static void without_proxies_nobody_is_believed(void **state) {
    (void)state;
    struct arena a;
    struct fields f = {0};
    struct client_view view, peer = {.address = "127.0.0.1"};
    const struct client_proxies none = {NULL, 0};
    arena_init(&a, 1024);
    fields_add(&f, &a, SLICE(XFF), SLICE("192.0.2.1"));
    assert_false(client_view_find(&view, &none, &peer, &f, &a));
    arena_free(&a);
}

static void what_strangers_say_of_clients_goes(void **state) {
    (void)state;
    static const char *const names[] = {"Accept",    "forwarded", "X-FORWARDED-FOR", "X-Forwarded-Anything",
                                        "x-real-ip", "X-Forward", "Forwarded-For",   "Host"};
    struct arena a;
    struct fields f = {0};
    arena_init(&a, 1024);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) fields_add(&f, &a, slice_of(names[i]), SLICE("x"));
    client_fields_drop(&f);
    assert_int_equal(f.count, 4);
    assert_slice(f.items[0].name, "Accept");
    assert_slice(f.items[1].name, "X-Forward");
    assert_slice(f.items[2].name, "Forwarded-For");
    assert_slice(f.items[3].name, "Host");
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_holds),
        cmocka_unit_test(without_proxies_nobody_is_believed),
        cmocka_unit_test(what_strangers_say_of_clients_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
