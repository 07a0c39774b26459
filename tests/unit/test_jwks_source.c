#include "plugins/auth/jwks_discovery.h"
#include "plugins/auth/jwks_source.h"
#include "tests/unit/jose_helper.h"

#define REQUESTS_MAX 32
#define ISSUER "https://id.example/shop"
#define OIDC_URL ISSUER "/.well-known/openid-configuration"
#define OAUTH_URL "https://id.example/.well-known/oauth-authorization-server/shop"
#define APPENDED_URL ISSUER "/.well-known/oauth-authorization-server"
#define KEYS_URL "https://id.example/keys"
#define SECOND 1000
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

/* A client that notes what is asked; the test answers. */
struct http_fetch {
    char url[256];
    struct http_get get;
    bool open;
    bool cancelled;
};
struct fixture {
    struct http_client client;
    struct http_fetch requests[REQUESTS_MAX];
    size_t count;
    struct clock_fake clock;
    struct deadlines deadlines;
    struct turn turn;
    struct arena arena;
    struct key_source *source;
    const char *first_keys, *second_keys;
};

static struct http_fetch *fake_get(struct http_client *client, const struct http_get *get) {
    struct fixture *f = container_of(client, struct fixture, client);
    assert_true(f->count < REQUESTS_MAX);
    struct http_fetch *r = &f->requests[f->count++];
    *r = (struct http_fetch){.get = *get, .open = true};
    assert_true(strlen(get->url) < sizeof r->url);
    strcpy(r->url, get->url);
    return r;
}

static void fake_cancel(struct http_client *client, struct http_fetch *r) {
    (void)client;
    assert_true(r->open);
    r->open = false;
    r->cancelled = true;
}

static void run_turn(struct fixture *f) {
    while (turn_run(&f->turn, 16)) continue;
}

static void pass(struct fixture *f, uint64_t ms) {
    clock_fake_advance_ms(&f->clock, ms);
    deadlines_run(&f->deadlines, clock_now_ms(&f->clock.clock));
    run_turn(f);
}

static struct http_fetch *last(struct fixture *f) {
    assert_true(f->count > 0);
    return &f->requests[f->count - 1];
}

static void answer_with(struct fixture *f, const struct http_answer *answer) {
    struct http_fetch *r = last(f);
    assert_true(r->open);
    r->open = false;
    r->get.on_done(r->get.context, answer);
    run_turn(f);
}

static void answer(struct fixture *f, int status, const char *body, const char *cache_control) {
    struct http_answer a = {.status = status, .body = slice_of(body)};
    if (cache_control) fields_add(&a.headers, &f->arena, SLICE("Cache-Control"), slice_of(cache_control));
    answer_with(f, &a);
}

static void answer_trouble(struct fixture *f, enum http_trouble trouble) {
    answer_with(f, &(struct http_answer){.trouble = trouble, .why = "no luck"});
}

static void open_source(struct fixture *f, struct slice url, struct jwks_times times) {
    const struct jwks_host host = {
        .clock = &f->clock.clock, .deadlines = &f->deadlines, .turn = &f->turn, .client = &f->client};
    const struct jwks_config config = {.name = SLICE("customer"), .issuer = SLICE(ISSUER), .url = url, .times = times};
    f->source = jwks_source_new(&host, &config);
}

static const char *make_keys(struct fixture *f, const char *kid) {
    EVP_PKEY *pkey = make_ec("P-256");
    const char *more = arena_printf(&f->arena, ",\"kid\":\"%s\"", kid).p;
    const char *text = arena_printf(&f->arena, "{\"keys\":[%s]}", jwk_of(&f->arena, pkey, more)).p;
    EVP_PKEY_free(pkey);
    return text;
}

static int set_up(void **state) {
    struct fixture *f = xcalloc(1, sizeof *f);
    f->client = (struct http_client){.get = fake_get, .cancel = fake_cancel};
    clock_fake_init(&f->clock);
    deadlines_init(&f->deadlines);
    turn_init(&f->turn);
    arena_init(&f->arena, 4096);
    f->first_keys = make_keys(f, "one");
    f->second_keys = make_keys(f, "two");
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    key_source_free(f->source);
    assert_int_equal(f->deadlines.count, 0);
    for (size_t i = 0; i < TURN_PHASES; i++) assert_true(list_empty(&f->turn.phases[i]));
    deadlines_free(&f->deadlines);
    arena_free(&f->arena);
    free(f);
    return 0;
}

static bool knows(struct fixture *f, const char *kid) {
    const struct jwk_set *set = key_source_current(f->source);
    const struct jwk *key;
    return set && jwk_set_find(set, slice_of(kid), JOSE_ES256, &key).result == JOSE_OK;
}

struct waiter {
    struct key_waiter waiter;
    unsigned called;
};
static void on_keys(struct key_waiter *w) {
    container_of(w, struct waiter, waiter)->called++;
}
static struct waiter waiter_make(void) {
    return (struct waiter){.waiter.on_keys = on_keys};
}

static uint64_t until_next(struct fixture *f) {
    uint64_t next = jwks_source_count(f->source).next_ms;
    assert_true(next != DEADLINE_NEVER);
    return next - clock_now_ms(&f->clock.clock);
}

static void open_with_keys(struct fixture *f) {
    open_source(f, SLICE(KEYS_URL), (struct jwks_times){0});
    answer(f, 200, f->first_keys, NULL);
    assert_true(knows(f, "one"));
}

/* --- tests --- */

static void fetches_at_start_and_before_the_end(void **state) {
    struct fixture *f = *state;
    open_source(f, SLICE(KEYS_URL), (struct jwks_times){0});
    assert_int_equal(f->count, 1);
    assert_string_equal(last(f)->url, KEYS_URL);
    assert_int_equal(last(f)->get.max_size, 256 * 1024);
    assert_int_equal(last(f)->get.timeout_ms, 5 * SECOND);
    assert_null(key_source_current(f->source));
    answer(f, 200, f->first_keys, "public, max-age=1000");
    assert_true(knows(f, "one"));
    assert_in_range(until_next(f), 800 * SECOND, 900 * SECOND);
    pass(f, 790 * SECOND);
    assert_int_equal(f->count, 1);
    pass(f, 120 * SECOND);
    assert_int_equal(f->count, 2);
    assert_true(knows(f, "one")); /* while the renewal is under way */
    answer(f, 200, f->second_keys, NULL);
    assert_true(knows(f, "two"));
    assert_false(knows(f, "one"));
}

static void discovers_by_metadata(void **state) {
    struct fixture *f = *state;
    open_source(f, SLICE_NONE, (struct jwks_times){0});
    assert_string_equal(last(f)->url, OIDC_URL);
    answer(f, 404, "", NULL);
    assert_string_equal(last(f)->url, OAUTH_URL);
    answer(f, 200, "<!doctype html>", NULL);
    assert_string_equal(last(f)->url, APPENDED_URL);
    answer(f, 200, "{\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"" KEYS_URL "\"}", "max-age=3600");
    assert_string_equal(last(f)->url, KEYS_URL);
    answer(f, 200, f->first_keys, "max-age=60");
    assert_true(knows(f, "one"));
    pass(f, MINUTE); /* the metadata is still fresh */
    assert_string_equal(last(f)->url, KEYS_URL);
    answer(f, 200, f->first_keys, "max-age=86400");
    pass(f, 24 * HOUR); /* and now it is not */
    assert_string_equal(last(f)->url, OIDC_URL);
    assert_true(knows(f, "one"));
}

static void believes_only_the_issuers_own_metadata(void **state) {
    static const char *const documents[] = {
        "{\"issuer\":\"https://id.example\",\"jwks_uri\":\"" KEYS_URL "\"}",
        "{\"issuer\":\"" ISSUER "/\",\"jwks_uri\":\"" KEYS_URL "\"}",
        "{\"issuer\":\"" ISSUER "\",\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"" KEYS_URL "\"}",
        "{\"issuer\":\"" ISSUER "\"}",
        "{\"jwks_uri\":\"" KEYS_URL "\"}",
        "{\"issuer\":\"" ISSUER "\",\"jwks_uri\":7}",
        "{\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"http://id.example/keys\"}",
        "{\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"http://127.0.0.1/keys\"}",
        "{\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"file:///etc/passwd\"}",
        "[]",
        "",
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        f->count = 0;
        open_source(f, SLICE_NONE, (struct jwks_times){0});
        for (size_t place = 0; place < JWKS_METADATA_PLACES; place++) answer(f, 200, documents[i], NULL);
        assert_int_equal(f->count, JWKS_METADATA_PLACES);
        assert_int_equal(jwks_source_count(f->source).failures, 1);
        key_source_free(f->source);
        f->source = NULL;
    }
}

static void a_server_in_trouble_ends_the_attempt(void **state) {
    struct fixture *f = *state;
    open_source(f, SLICE_NONE, (struct jwks_times){0});
    answer(f, 503, "", NULL);
    assert_int_equal(f->count, 1);
    assert_in_range(until_next(f), 500, 1000);
    pass(f, SECOND);
    assert_int_equal(f->count, 2);
    answer_trouble(f, HTTP_TROUBLE_TIMEOUT);
    assert_int_equal(f->count, 2);
    assert_in_range(until_next(f), 1000, 2000);
    pass(f, 2 * SECOND);
    answer(f, 429, "", NULL);
    assert_int_equal(f->count, 3);
}

static void an_outage_keeps_the_keys_until_they_are_stale(void **state) {
    struct fixture *f = *state;
    open_source(f, SLICE(KEYS_URL), (struct jwks_times){.stale = HOUR});
    answer(f, 200, f->first_keys, NULL);
    uint64_t fresh_until = clock_now_ms(&f->clock.clock) + 10 * MINUTE;
    for (uint64_t pause = until_next(f); clock_now_ms(&f->clock.clock) + pause < fresh_until + HOUR;) {
        f->count = 0;
        pass(f, pause);
        assert_int_equal(f->count, 1);
        assert_true(knows(f, "one"));
        answer_trouble(f, HTTP_TROUBLE_CONNECT);
        assert_true(knows(f, "one"));
        pause = until_next(f);
        assert_in_range(pause, 500, 30 * SECOND);
    }
    pass(f, 30 * SECOND);
    assert_null(key_source_current(f->source));
    struct waiter w = waiter_make();
    assert_int_equal(key_source_fetch(f->source, &w.waiter), KEY_FETCH_WAIT);
    answer(f, 200, f->second_keys, NULL);
    assert_int_equal(w.called, 1);
    assert_true(knows(f, "two"));
    assert_in_range(until_next(f), 8 * MINUTE, 9 * MINUTE);
    pass(f, until_next(f));
    answer_trouble(f, HTTP_TROUBLE_CONNECT);
    assert_in_range(until_next(f), 500, SECOND); /* the back-off begins anew */
}

static void bad_answers_are_failures(void **state) {
    struct fixture *f = *state;
    static const struct {
        int status;
        const char *body;
    } rows[] = {{302, ""},
                {301, ""},
                {404, ""},
                {500, ""},
                {204, ""},
                {200, "<html>"},
                {200, ""},
                {200, "{\"keys\":[]}"},
                {200, "{\"keys\":{}}"},
                {200, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}"},
                {206, "{\"keys\":[]}"}};
    open_with_keys(f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        f->count = 0;
        pass(f, until_next(f));
        answer(f, rows[i].status, rows[i].body, "max-age=86400");
        assert_int_equal(jwks_source_count(f->source).failures, i + 1);
        assert_true(knows(f, "one"));
        assert_in_range(until_next(f), 500, 30 * SECOND);
    }
    pass(f, until_next(f));
    answer_trouble(f, HTTP_TROUBLE_TOO_LARGE);
    assert_true(knows(f, "one"));
}

static void only_status_200_counts(void **state) {
    struct fixture *f = *state;
    static const int statuses[] = {100, 201, 203, 204, 206, 301, 302, 304, 307, 400, 401, 403, 404, 500, 503};
    open_with_keys(f);
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        pass(f, until_next(f));
        answer(f, statuses[i], f->second_keys, NULL);
        assert_true(knows(f, "one"));
        assert_false(knows(f, "two"));
    }
}

static void a_failure_makes_it_discover_anew(void **state) {
    struct fixture *f = *state;
    const char *metadata = "{\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"" KEYS_URL "\"}";
    const char *moved = "{\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"" KEYS_URL "/2\"}";
    open_source(f, SLICE_NONE, (struct jwks_times){0});
    answer(f, 200, metadata, "max-age=86400");
    answer(f, 200, f->first_keys, NULL);
    pass(f, until_next(f));
    assert_string_equal(last(f)->url, KEYS_URL);
    answer(f, 404, "", NULL);
    pass(f, until_next(f));
    assert_string_equal(last(f)->url, OIDC_URL);
    answer(f, 200, moved, NULL);
    assert_string_equal(last(f)->url, KEYS_URL "/2");
    answer(f, 200, f->second_keys, NULL);
    assert_true(knows(f, "two"));
}

static void too_many_keys_are_a_failure(void **state) {
    struct fixture *f = *state;
    struct buf text = {0};
    buf_append_text(&text, "{\"keys\":[{}");
    for (size_t i = 0; i < JWK_SET_KEY_LIMIT; i++) buf_append_text(&text, ",{}");
    buf_append(&text, "]}", 3);
    open_with_keys(f);
    pass(f, until_next(f));
    answer(f, 200, text.p, NULL);
    assert_int_equal(jwks_source_count(f->source).failures, 1);
    assert_true(knows(f, "one"));
    buf_free(&text);
}

static void a_storm_of_unknown_keys_is_one_fetch(void **state) {
    struct fixture *f = *state;
    static struct waiter waiters[JWKS_WAITERS_MAX + 1];
    open_with_keys(f);
    struct waiter early = waiter_make();
    assert_int_equal(key_source_fetch(f->source, &early.waiter), KEY_FETCH_NO_NEWER);
    pass(f, 30 * SECOND);
    for (size_t i = 0; i < JWKS_WAITERS_MAX; i++) {
        waiters[i] = waiter_make();
        assert_int_equal(key_source_fetch(f->source, &waiters[i].waiter), KEY_FETCH_WAIT);
    }
    waiters[JWKS_WAITERS_MAX] = waiter_make();
    assert_int_equal(key_source_fetch(f->source, &waiters[JWKS_WAITERS_MAX].waiter), KEY_FETCH_NO_NEWER);
    assert_int_equal(f->count, 2);
    key_source_forget(f->source, &waiters[7].waiter);
    answer(f, 200, f->second_keys, NULL);
    for (size_t i = 0; i < JWKS_WAITERS_MAX; i++) assert_int_equal(waiters[i].called, i == 7 ? 0 : 1);
    assert_true(knows(f, "two"));
    assert_int_equal(key_source_fetch(f->source, &early.waiter), KEY_FETCH_NO_NEWER);
    pass(f, 29 * SECOND);
    assert_int_equal(key_source_fetch(f->source, &early.waiter), KEY_FETCH_NO_NEWER);
    pass(f, SECOND);
    assert_int_equal(key_source_fetch(f->source, &early.waiter), KEY_FETCH_WAIT);
    assert_int_equal(f->count, 3);
    answer_trouble(f, HTTP_TROUBLE_CONNECT);
    assert_int_equal(early.called, 1);
    assert_true(knows(f, "two"));
}

static void those_without_keys_wait_for_the_first_fetch(void **state) {
    struct fixture *f = *state;
    struct waiter one = waiter_make(), two = waiter_make(), late = waiter_make();
    open_source(f, SLICE(KEYS_URL), (struct jwks_times){0});
    assert_int_equal(key_source_fetch(f->source, &one.waiter), KEY_FETCH_WAIT);
    pass(f, 3 * SECOND);
    assert_int_equal(key_source_fetch(f->source, &two.waiter), KEY_FETCH_WAIT);
    pass(f, 2 * SECOND - 1);
    assert_int_equal(one.called, 0);
    pass(f, 1); /* its time is over, the fetch goes on */
    assert_int_equal(one.called, 1);
    assert_int_equal(two.called, 0);
    assert_int_equal(f->count, 1);
    answer_trouble(f, HTTP_TROUBLE_TIMEOUT);
    assert_int_equal(two.called, 1);
    assert_int_equal(key_source_fetch(f->source, &late.waiter), KEY_FETCH_FAILED);
    pass(f, SECOND);
    assert_int_equal(key_source_fetch(f->source, &late.waiter), KEY_FETCH_WAIT);
    answer(f, 200, f->first_keys, NULL);
    assert_int_equal(late.called, 1);
    assert_int_equal(one.called, 1);
    assert_true(knows(f, "one"));
}

static void the_back_off_doubles_to_a_bound(void **state) {
    struct fixture *f = *state;
    static const uint64_t most[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};
    open_source(f, SLICE(KEYS_URL), (struct jwks_times){0});
    for (size_t i = 0; i < ARRAY_LEN(most); i++) {
        answer_trouble(f, HTTP_TROUBLE_CONNECT);
        assert_in_range(until_next(f), most[i] / 2, most[i]);
        pass(f, until_next(f));
    }
    for (size_t i = 0; i < 100; i++) { /* no shift runs over */
        f->count = 0;
        pass(f, 0);
        pass(f, jwks_source_count(f->source).next_ms == DEADLINE_NEVER ? 0 : until_next(f));
        if (f->count) answer_trouble(f, HTTP_TROUBLE_CONNECT);
    }
}

static void freeing_cancels_the_fetch(void **state) {
    struct fixture *f = *state;
    open_source(f, SLICE(KEYS_URL), (struct jwks_times){0});
    key_source_free(f->source);
    f->source = NULL;
    assert_true(last(f)->cancelled);
}

static void the_same_document_replaces_nothing(void **state) {
    struct fixture *f = *state;
    open_with_keys(f);
    uint64_t generation = jwk_set_generation(key_source_current(f->source));
    pass(f, until_next(f));
    answer(f, 200, f->first_keys, NULL);
    assert_int_equal(jwk_set_generation(key_source_current(f->source)), generation);
    assert_int_equal(jwks_source_count(f->source).replacements, 1);
}

static void lifetimes_are_read_and_bounded(void **state) {
    struct fixture *f = *state;
    static const struct jwks_times times = {.least_age = MINUTE, .usual_age = 10 * MINUTE, .most_age = 24 * HOUR};
    static const struct {
        const char *cache_control, *age;
        uint64_t ms;
    } rows[] = {
        {NULL, NULL, 10 * MINUTE},
        {"public", NULL, 10 * MINUTE},
        {"max-age", NULL, 10 * MINUTE},
        {"max-age=300", NULL, 5 * MINUTE},
        {"MAX-AGE=300", NULL, 5 * MINUTE},
        {"private , max-age=300", NULL, 5 * MINUTE},
        {"max-age=\"300\"", NULL, 5 * MINUTE},
        {"max-age=300, max-age=600", NULL, 5 * MINUTE},
        {"s-maxage=300", NULL, 10 * MINUTE},
        {"max-age=600", "300", 5 * MINUTE},
        {"max-age=600", "900", MINUTE},
        {"max-age=600", "soon", 10 * MINUTE},
        {"max-age=0", NULL, MINUTE},
        {"max-age=1", NULL, MINUTE},
        {"no-store, max-age=300", NULL, MINUTE},
        {"no-cache", NULL, MINUTE},
        {"max-age=31536000", NULL, 24 * HOUR},
        {"max-age=99999999999999999999999", NULL, 24 * HOUR},
        {"max-age=4294967295", "5", 24 * HOUR},
        {"max-age=-1", NULL, MINUTE},
        {"max-age=", NULL, MINUTE},
        {"max-age=1h", NULL, MINUTE},
        {"", NULL, 10 * MINUTE},
        {",,=,", NULL, 10 * MINUTE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fields headers = {0};
        if (rows[i].cache_control)
            fields_add(&headers, &f->arena, SLICE("cache-control"), slice_of(rows[i].cache_control));
        if (rows[i].age) fields_add(&headers, &f->arena, SLICE("Age"), slice_of(rows[i].age));
        uint64_t ms = jwks_lifetime_ms(&headers, &times);
        if (ms != rows[i].ms) print_error("row %zu: %llu\n", i, (unsigned long long)ms);
        assert_int_equal(ms, rows[i].ms);
    }
}

static void urls_are_https_or_of_this_machine(void **state) {
    (void)state;
    static const char *const good[] = {
        "https://id.example", "https://id.example:8443/a/b", "https://[2001:db8::1]/", "http://127.0.0.1:8080/x",
        "http://127.8.9.1",   "http://localhost/",           "http://[::1]:9"};
    static const char *const bad[] = {"",
                                      "id.example",
                                      "http://id.example",
                                      "http://127.0.0.1.example/",
                                      "http://localhost.example/",
                                      "http://127.1/",
                                      "http://0177.0.0.1/",
                                      "HTTPS://id.example",
                                      "ftp://id.example",
                                      "file:///keys.json",
                                      "https://",
                                      "https:///path",
                                      "https://:443/",
                                      "https://user@id.example/",
                                      "https://user:word@id.example/",
                                      "http://127.0.0.1:80@id.example/",
                                      "http://127.0.0.1\\@id.example/",
                                      "https://id.example/#part",
                                      "https://id.example/a b",
                                      "https://id.example:port/",
                                      "https://id.example:99999/",
                                      "https://id.example/\r\nX: 1",
                                      "https://id.ex\xc3\xa4mple/"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) assert_null(jwks_url_objection(slice_of(good[i]), JWKS_PLACE_ISSUER));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (!jwks_url_objection(slice_of(bad[i]), JWKS_PLACE_KEYS)) print_error("row %zu was taken\n", i);
        assert_non_null(jwks_url_objection(slice_of(bad[i]), JWKS_PLACE_KEYS));
    }
    assert_null(jwks_url_objection(SLICE("https://id.example/keys?tenant=a"), JWKS_PLACE_KEYS));
    assert_non_null(jwks_url_objection(SLICE("https://id.example/?tenant=a"), JWKS_PLACE_ISSUER));
}

static void metadata_has_its_places(void **state) {
    struct fixture *f = *state;
    const char *urls[JWKS_METADATA_PLACES];
    assert_int_equal(jwks_metadata_urls(SLICE("https://id.example/"), &f->arena, urls), 2);
    assert_string_equal(urls[0], "https://id.example/.well-known/openid-configuration");
    assert_string_equal(urls[1], "https://id.example/.well-known/oauth-authorization-server");
    assert_int_equal(jwks_metadata_urls(SLICE("http://[::1]:8080/a/b/"), &f->arena, urls), 3);
    assert_string_equal(urls[0], "http://[::1]:8080/a/b/.well-known/openid-configuration");
    assert_string_equal(urls[1], "http://[::1]:8080/.well-known/oauth-authorization-server/a/b");
    assert_string_equal(urls[2], "http://[::1]:8080/a/b/.well-known/oauth-authorization-server");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(fetches_at_start_and_before_the_end),
        TEST(discovers_by_metadata),
        TEST(believes_only_the_issuers_own_metadata),
        TEST(a_server_in_trouble_ends_the_attempt),
        TEST(an_outage_keeps_the_keys_until_they_are_stale),
        TEST(bad_answers_are_failures),
        TEST(only_status_200_counts),
        TEST(a_failure_makes_it_discover_anew),
        TEST(too_many_keys_are_a_failure),
        TEST(a_storm_of_unknown_keys_is_one_fetch),
        TEST(those_without_keys_wait_for_the_first_fetch),
        TEST(the_back_off_doubles_to_a_bound),
        TEST(freeing_cancels_the_fetch),
        TEST(the_same_document_replaces_nothing),
        TEST(lifetimes_are_read_and_bounded),
        TEST(urls_are_https_or_of_this_machine),
        TEST(metadata_has_its_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
