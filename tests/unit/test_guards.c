/* The parts that guards are made of, each as a table, and the guard of passwords on a real loop. */
#include "gateway/base/base64.h"
#include "gateway/blueprint/model.h"
#include "gateway/loop/loop.h"
#include "plugins/auth/authorizer_answer.h"
#include "plugins/auth/guard.h"
#include "plugins/auth/htpasswd.h"
#include "tests/support/house.h"
#include "tests/unit/unit.h"
#include <crypt.h>
#include <unistd.h>

#define WAIT_MS 20000

/* --- where credentials stand --- */

struct desk {
    struct house house;
    struct invocation *inv;
};

static void desk_open(struct desk *d, const char *target, const char *name, const char *value) {
    house_open(&d->house);
    d->inv = house_invocation(&d->house, "POST", target);
    fields_add(&d->inv->request.headers, &d->inv->arena, SLICE("Accept"), SLICE("*/*"));
    if (name) fields_add(&d->inv->request.headers, &d->inv->arena, slice_of(name), slice_of(value));
}

static void desk_close(struct desk *d) {
    invocation_cancel(d->inv, CANCEL_CLIENT_GONE);
    house_close(&d->house);
}

static const struct {
    const char *place, *target, *name, *value;
    enum credential_found found;
    const char *expected; /* the value */
    const char *left;     /* the field afterwards, or the target; NULL = the field is gone */
} places[] = {
    {"header:x-key", "/", "X-KEY", "abc", CREDENTIAL_FOUND, "abc", NULL},
    {"header:x-key", "/", "X-Key", "", CREDENTIAL_ABSENT, "", NULL},
    {"header:x-key", "/", NULL, NULL, CREDENTIAL_ABSENT, "", NULL},
    {"header:authorization", "/", "Authorization", "Bearer abc", CREDENTIAL_FOUND, "abc", NULL},
    {"header:authorization", "/", "authorization", "bEARER  abc ", CREDENTIAL_FOUND, "abc", NULL},
    {"header:authorization", "/", "Authorization", "Bearer", CREDENTIAL_ABSENT, "", NULL},
    {"header:authorization", "/", "Authorization", "Bearerabc", CREDENTIAL_ABSENT, "", NULL},
    {"header:authorization", "/", "Authorization", "Basic abc", CREDENTIAL_ABSENT, "", NULL},
    {"cookie:key", "/", "Cookie", "key=abc", CREDENTIAL_FOUND, "abc", NULL},
    {"cookie:key", "/", "Cookie", "a=1; key=abc; b=2", CREDENTIAL_FOUND, "abc", "a=1; b=2"},
    {"cookie:key", "/", "Cookie", "a=1;key=\"a=b\"", CREDENTIAL_FOUND, "a=b", "a=1"},
    {"cookie:key", "/", "Cookie", "Key=abc; xkey=abc; key", CREDENTIAL_ABSENT, "", "Key=abc; xkey=abc"},
    {"cookie:key", "/", "Cookie", "key=a; key=a", CREDENTIAL_REPEATED, "", NULL},
    {"query:key", "/p?key=abc", NULL, NULL, CREDENTIAL_FOUND, "abc", "/p"},
    {"query:key", "/p?a=%20&k%65y=a%62c+d&b", NULL, NULL, CREDENTIAL_FOUND, "abc d", "/p?a=%20&b"},
    {"query:key", "/p?a&&key=abc&&b", NULL, NULL, CREDENTIAL_FOUND, "abc", "/p?a&&&b"},
    {"query:key", "/p?xkey=abc&keyx=abc&key", NULL, NULL, CREDENTIAL_ABSENT, "", "/p?xkey=abc&keyx=abc"},
    {"query:key", "/p?key=a&key=b", NULL, NULL, CREDENTIAL_REPEATED, "", "/p"},
    {"query:key", "/p", NULL, NULL, CREDENTIAL_ABSENT, "", "/p"},
    {"protocol:key", "/", "Sec-WebSocket-Protocol", "chat, key.a.b-c", CREDENTIAL_FOUND, "a.b-c", "chat"},
    {"protocol:key", "/", "Sec-WebSocket-Protocol", "key.abc", CREDENTIAL_FOUND, "abc", NULL},
    {"protocol:key", "/", "Sec-WebSocket-Protocol", "keys.abc, key, Key.abc", CREDENTIAL_ABSENT, "",
     "keys.abc, key, Key.abc"},
    {"protocol:key", "/", "Sec-WebSocket-Protocol", "key.a, key.b", CREDENTIAL_REPEATED, "", NULL},
};

static void credentials_are_found_and_taken_out(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct desk d;
        struct credential_place place;
        struct error e;
        struct slice value = SLICE("");
        desk_open(&d, places[i].target, places[i].name, places[i].value);
        assert_int_equal(credential_place_parse(slice_of(places[i].place), &place, &e), 0);
        const struct credential_places one = {&place, 1};
        assert_int_equal(credential_find(&one, d.inv, SLICE("Bearer"), &value), places[i].found);
        if (places[i].found == CREDENTIAL_FOUND) assert_true(slice_equal(value, slice_of(places[i].expected)));
        credential_strip(&place, d.inv);
        struct slice left = place.kind == CREDENTIAL_QUERY
                                ? d.inv->request.target
                                : fields_get(&d.inv->request.headers, slice_of(places[i].name ? places[i].name : "x"));
        if (!slice_equal(left, slice_of(places[i].left)))
            fail_msg("row %zu: \"" SLICE_FMT "\" is left", i, SLICE_ARG(left));
        assert_slice(fields_get(&d.inv->request.headers, SLICE("accept")), "*/*");
        desk_close(&d);
    }
}

static void places_are_tried_in_order(void **state) {
    static const struct credential_place both[] = {{CREDENTIAL_HEADER, {"x-key", 5}}, {CREDENTIAL_QUERY, {"key", 3}}};
    const struct credential_places list = {both, 2};
    struct slice value;
    struct desk d;
    (void)state;
    desk_open(&d, "/?key=second", "X-Key", "first");
    assert_int_equal(credential_find(&list, d.inv, SLICE_NONE, &value), CREDENTIAL_FOUND);
    assert_slice(value, "first");
    fields_add(&d.inv->request.headers, &d.inv->arena, SLICE("x-key"), SLICE("first"));
    assert_int_equal(credential_find(&list, d.inv, SLICE_NONE, &value), CREDENTIAL_REPEATED);
    fields_remove(&d.inv->request.headers, SLICE("x-key"));
    assert_int_equal(credential_find(&list, d.inv, SLICE_NONE, &value), CREDENTIAL_FOUND);
    assert_slice(value, "second");
    desk_close(&d);
}

static void places_have_a_kind_and_a_name(void **state) {
    static const char *const bad[] = {"", "header", "header:", "Header:x", "header:a b", "body:x", ":x", "query:a:b"};
    struct credential_place place;
    struct error e;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) assert_true(credential_place_parse(slice_of(bad[i]), &place, &e) < 0);
}

/* --- identities --- */

static void claims_fit_on_a_line(void **state) {
    static const struct {
        const char *json, *line;
    } rows[] = {
        {"{}", "{}"},
        {"{\"a\":\"b\"}", "{\"a\":\"b\"}"},
        {"{ \"a\" : [1,\t2 ] }\r\n", "{\"a\":[1,2]}"},
        {"{\"a b\": \" c \"}", "{\"a b\":\" c \"}"},
        {"{\"a\":\"\\\"  \\\\\", \"b\":1}", "{\"a\":\"\\\"  \\\\\",\"b\":1}"},
        {"{\"a\":\"\xc3\xa9\"}", "{\"a\":\"\\u00e9\"}"},
        {"{\"\xe2\x82\xac\":\"\xf0\x9f\x98\x80\x7f\"}", "{\"\\u20ac\":\"\\ud83d\\ude00\\u007f\"}"},
    };
    struct arena a;
    (void)state;
    arena_init(&a, 1024);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice line = identity_json_line(slice_of(rows[i].json), &a);
        if (!slice_equal(line, slice_of(rows[i].line))) fail_msg("%s became " SLICE_FMT, rows[i].json, SLICE_ARG(line));
        assert_true(json_is_valid(line));
    }
    arena_free(&a);
}

/* --- a handler's answer --- */

static void only_clear_answers_open(void **state) {
    static const struct {
        int status;
        const char *body;
        enum authorizer_verdict verdict;
        const char *context;
    } rows[] = {
        {204, "", AUTHORIZER_ALLOWS, "{}"},
        {200, "{\"isAuthorized\":true}", AUTHORIZER_ALLOWS, "{}"},
        {200, " {\"isAuthorized\" : true, \"context\": null, \"other\": 1}", AUTHORIZER_ALLOWS, "{}"},
        {201, "{\"isAuthorized\":true,\"context\":{\"a\":[1]},\"statusCode\":401}", AUTHORIZER_ALLOWS, "{\"a\":[1]}"},
        {200, "{\"isAuthorized\":false}", AUTHORIZER_REFUSES, NULL},
        {200, "{\"isAuthorized\":false,\"statusCode\":null}", AUTHORIZER_REFUSES, NULL},
        {200, "{\"isAuthorized\":false,\"statusCode\":401}", AUTHORIZER_KNOWS_NOBODY, NULL},
        {200, "{\"isAuthorized\":false,\"statusCode\":403}", AUTHORIZER_REFUSES, NULL},
        {200, "{\"statusCode\":401}", AUTHORIZER_KNOWS_NOBODY, NULL},
        {200, "{\"statusCode\":403,\"body\":\"\"}", AUTHORIZER_REFUSES, NULL},
        {401, "anything", AUTHORIZER_KNOWS_NOBODY, NULL},
        {403, "{\"isAuthorized\":true}", AUTHORIZER_REFUSES, NULL},
        {200, "", AUTHORIZER_UNCLEAR, NULL},
        {200, "true", AUTHORIZER_UNCLEAR, NULL},
        {200, "null", AUTHORIZER_UNCLEAR, NULL},
        {200, "{}", AUTHORIZER_UNCLEAR, NULL},
        {200, "{\"isAuthorised\":true}", AUTHORIZER_UNCLEAR, NULL},
        {200, "{\"isAuthorized\":\"true\"}", AUTHORIZER_UNCLEAR, NULL},
        {200, "{\"isAuthorized\":1}", AUTHORIZER_UNCLEAR, NULL},
        {200, "{\"isAuthorized\":null}", AUTHORIZER_UNCLEAR, NULL},
        {200, "{\"isAuthorized\":false,\"isAuthorized\":true}", AUTHORIZER_UNCLEAR, NULL},
        {200, "{\"isAuthorized\":true", AUTHORIZER_UNCLEAR, NULL},
        {200, "{\"isAuthorized\":true}{}", AUTHORIZER_UNCLEAR, NULL},
        {200, "{\"isAuthorized\":true,\"context\":[]}", AUTHORIZER_UNCLEAR, NULL},
        {200, "{\"isAuthorized\":true,\"context\":{\"a\":1,\"a\":2}}", AUTHORIZER_UNCLEAR, NULL},
        {200, "{\"isAuthorized\":false,\"statusCode\":200}", AUTHORIZER_UNCLEAR, NULL},
        {200, "{\"isAuthorized\":false,\"statusCode\":\"401\"}", AUTHORIZER_UNCLEAR, NULL},
        {200, "{\"statusCode\":200}", AUTHORIZER_UNCLEAR, NULL},
        {302, "", AUTHORIZER_UNCLEAR, NULL},
        {404, "{\"isAuthorized\":true}", AUTHORIZER_UNCLEAR, NULL},
        {500, "", AUTHORIZER_UNCLEAR, NULL},
        {0, "{\"isAuthorized\":true}", AUTHORIZER_UNCLEAR, NULL},
    };
    struct arena a;
    (void)state;
    arena_init(&a, 1024);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct authorizer_answer answer = authorizer_answer_read(rows[i].status, slice_of(rows[i].body), &a);
        if (answer.verdict != rows[i].verdict) fail_msg("%d %s", rows[i].status, rows[i].body);
        assert_int_equal(answer.verdict == AUTHORIZER_UNCLEAR, answer.why != NULL);
        if (rows[i].context) assert_true(slice_equal(answer.context, slice_of(rows[i].context)));
    }
    arena_free(&a);
}

/* --- htpasswd --- */

#define HASH "$2y$04$abcdefghijklmnopqrstuuH8vBTzfpmFE.YuRKdDKxHrG4oXZvUyW"

static void a_password_file_is_taken_line_by_line(void **state) {
    static const struct {
        const char *text;
        size_t count;
        int line;
        const char *words;
    } rows[] = {
        {"alice:" HASH, 1, 0, NULL},
        {"# staff\n\n  \nalice:" HASH "\r\nbob:" HASH "\n", 2, 0, NULL},
        {"", 0, 0, "no user"},
        {"# nobody\n", 0, 0, "no user"},
        {"alice:" HASH "\nbob\n", 0, 2, "expected name:hash"},
        {":" HASH "\n", 0, 1, "expected name:hash"},
        {"alice:" HASH "\nalice:" HASH "\n", 0, 2, "has a line already"},
        {"alice:$apr1$x$y\n", 0, 1, "not bcrypt"},
        {"alice:plain\n", 0, 1, "not bcrypt"},
        {"alice:$2x$04$abcdefghijklmnopqrstuuH8vBTzfpmFE.YuRKdDKxHrG4oXZvUyW\n", 0, 1, "not bcrypt"},
        {"alice:" HASH "x\n", 0, 1, "not complete"},
        {"alice:$2y$04$short\n", 0, 1, "not complete"},
        {"alice:$2y$03$abcdefghijklmnopqrstuuH8vBTzfpmFE.YuRKdDKxHrG4oXZvUyW\n", 0, 1, "between 4 and 16"},
        {"alice:$2y$17$abcdefghijklmnopqrstuuH8vBTzfpmFE.YuRKdDKxHrG4oXZvUyW\n", 0, 1, "between 4 and 16"},
        {"alice:$2y$xx$abcdefghijklmnopqrstuuH8vBTzfpmFE.YuRKdDKxHrG4oXZvUyW\n", 0, 1, "no cost"},
        {"alice:$2y$04$abcdefghijklmnopqrst uH8vBTzfpmFE.YuRKdDKxHrG4oXZvUyW\n", 0, 1, "a character that none has"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error e = {0};
        struct htpasswd *h = htpasswd_read(slice_of(rows[i].text), &e);
        assert_int_equal(h != NULL, rows[i].count > 0);
        if (h) assert_int_equal(htpasswd_count(h), rows[i].count);
        if (h) assert_slice(htpasswd_hash_of(h, SLICE("alice")), HASH);
        if (h) assert_none(htpasswd_hash_of(h, SLICE("Alice")));
        if (!h && !strstr(e.message, rows[i].words)) fail_msg("%s: %s", rows[i].text, e.message);
        assert_int_equal(e.line, rows[i].line);
        htpasswd_free(h);
    }
}

static const char *hash_of(const char *password, const char *setting, struct crypt_data *room) {
    const char *hash = crypt_r(password, setting, room);
    assert_non_null(hash);
    return hash;
}

static void passwords_match_their_hash_only(void **state) {
    static const char *const settings[] = {"$2y$04$abcdefghijklmnopqrstuu", "$2b$04$abcdefghijklmnopqrstuu",
                                           "$2a$05$abcdefghijklmnopqrstuu"};
    struct crypt_data *room = xcalloc(1, sizeof *room);
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        const char *hash = hash_of("correct horse", settings[i], room);
        assert_true(htpasswd_matches(hash, "correct horse"));
        assert_false(htpasswd_matches(hash, "correct horsE"));
        assert_false(htpasswd_matches(hash, ""));
    }
    free(room);
}

/* Costs may differ from line to line; a name that is not there must not tell itself by taking another time with every
 * guess, and neither by always taking the first line's. */
static void a_name_that_is_not_there_has_one_hash(void **state) {
    static const char salt[] = "abcdefghijklmnopqrstuu0123456789012345678901234567890";
    struct buf text = {0};
    struct error e;
    const struct siphash_key key = {{1, 2}};
    bool used[8] = {false};
    size_t count = 0;
    (void)state;
    for (int i = 0; i < 8; i++) buf_printf(&text, "user%d:$2b$%02d$%.53s\n", i, 4 + i, salt);
    struct htpasswd *h = htpasswd_read(buf_slice(&text), &e);
    assert_non_null(h);
    for (int i = 0; i < 256; i++) {
        char name[16];
        snprintf(name, sizeof name, "eve%d", i);
        struct slice hash = htpasswd_decoy(h, &key, slice_of(name));
        assert_ptr_equal(hash.p, htpasswd_decoy(h, &key, slice_of(name)).p);
        size_t cost = (size_t)(hash.p[4] - '0') * 10 + (size_t)(hash.p[5] - '0') - 4;
        count += !used[cost];
        used[cost] = true;
    }
    assert_int_equal(count, 8);
    htpasswd_free(h);
    buf_free(&text);
}

/* --- passwords on the loop --- */

struct gate {
    struct clock *clock;
    struct loop *loop;
    struct pipeline pipeline;
    struct guard *guard;
    struct plugin_host host;
    struct guard_policy policy;
    char file[64];
    int verdicts;
};

static void gate_open(struct gate *g) {
    struct error e;
    struct crypt_data *room = xcalloc(1, sizeof *room);
    *g = (struct gate){.clock = clock_system_new()};
    g->loop = loop_new(g->clock, &e);
    assert_non_null(g->loop);
    pipeline_init(&g->pipeline, g->clock, NULL, loop_deadlines(g->loop), loop_turn(g->loop));
    snprintf(g->file, sizeof g->file, "/tmp/test_guards.%d", (int)getpid());
    FILE *f = fopen(g->file, "w");
    assert_non_null(f);
    fprintf(f, "alice:%s\n", hash_of("wonder:land", "$2b$04$abcdefghijklmnopqrstuu", room));
    fclose(f);
    free(room);
    g->host = (struct plugin_host){
        .clock = g->clock, .deadlines = loop_deadlines(g->loop), .turn = loop_turn(g->loop), .loop = g->loop};
    g->policy = (struct guard_policy){.name = SLICE("staff"), .type = GUARD_BASIC, .basic.users = g->file};
    const struct guard_host h = {.plugin = &g->host, .realm = SLICE("shop")};
    g->guard = guard_basic_open(&h, &g->policy, &e);
    assert_non_null(g->guard);
}

static void gate_close(struct gate *g) {
    guard_free(g->guard);
    assert_int_equal(g->pipeline.in_flight, 0);
    pipeline_close(&g->pipeline);
    loop_free(g->loop);
    clock_system_free(g->clock);
    unlink(g->file);
}

static void on_gate_finish(struct invocation *inv) {
    (void)inv;
}
static const struct source_ops gate_source = {.name = "gate", .finish = on_gate_finish};

static void on_gate_verdict(struct guard_visit *v) {
    struct gate *g = v->asker;
    g->verdicts++;
}

static struct guard_visit *gate_visit(struct gate *g, const char *login) {
    struct invocation *inv = invocation_new(&g->pipeline, &gate_source, NULL);
    char *text = arena_alloc(&inv->arena, base64_encoded_size(strlen(login)));
    base64_encode(login, strlen(login), text);
    fields_add(&inv->request.headers, &inv->arena, SLICE("Authorization"),
               arena_printf(&inv->arena, "Basic %.*s", (int)base64_encoded_size(strlen(login)), text));
    struct guard_visit *v = arena_zalloc(&inv->arena, sizeof *v);
    *v = (struct guard_visit){.guard = g->guard, .inv = inv, .on_verdict = on_gate_verdict, .asker = g};
    g->guard->ops->check(g->guard, v);
    return v;
}

static void visit_end(struct guard_visit *v) {
    invocation_cancel(v->inv, CANCEL_CLIENT_GONE);
}

static bool gate_has_decided(void *context) {
    return ((struct gate *)context)->verdicts == 0;
}

/* Until so many more verdicts have been told. */
static void gate_wait(struct gate *g, int more) {
    g->verdicts -= more;
    assert_true(loop_run_until(g->loop, gate_has_decided, g, WAIT_MS));
}

static void logins_are_checked_off_the_loop_and_remembered(void **state) {
    static const struct {
        const char *login;
        enum guard_verdict at_once, verdict;
    } rows[] = {
        {"alice:wonder:land", GUARD_WAIT, GUARD_PASS},         {"alice:wonder:land", GUARD_PASS, GUARD_PASS},
        {"alice:wonder:lane", GUARD_WAIT, GUARD_UNAUTHORIZED}, {"alice:", GUARD_WAIT, GUARD_UNAUTHORIZED},
        {"eve:wonder:land", GUARD_WAIT, GUARD_UNAUTHORIZED},   {"eve:wonder:land", GUARD_WAIT, GUARD_UNAUTHORIZED},
        {"alice", GUARD_UNAUTHORIZED, GUARD_UNAUTHORIZED},     {":x", GUARD_UNAUTHORIZED, GUARD_UNAUTHORIZED},
    };
    struct gate g;
    (void)state;
    gate_open(&g);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct guard_visit *v = gate_visit(&g, rows[i].login);
        assert_int_equal(v->verdict, rows[i].at_once);
        if (v->verdict == GUARD_WAIT) gate_wait(&g, 1);
        assert_int_equal(v->verdict, rows[i].verdict);
        if (v->verdict == GUARD_PASS) assert_slice(identity_subject(v->identity), "alice");
        if (v->verdict != GUARD_PASS)
            assert_slice(fields_get(&v->challenges, SLICE("www-authenticate")),
                         "Basic realm=\"shop\", charset=\"UTF-8\"");
        visit_end(v);
    }
    gate_close(&g);
}

/* Two run, 64 wait, and the next one is told so at once. Then all but one leave, in every stage. */
static void a_flood_of_logins_is_bounded(void **state) {
    struct guard_visit *visits[66];
    struct gate g;
    (void)state;
    gate_open(&g);
    for (size_t i = 0; i < ARRAY_LEN(visits); i++) {
        visits[i] = gate_visit(&g, "alice:guess");
        assert_int_equal(visits[i]->verdict, GUARD_WAIT);
    }
    struct guard_visit *late = gate_visit(&g, "alice:wonder:land");
    assert_int_equal(late->verdict, GUARD_UNAVAILABLE);
    visit_end(late);
    for (size_t i = 0; i < ARRAY_LEN(visits) - 1; i++) {
        g.guard->ops->cancel(g.guard, visits[i]);
        visit_end(visits[i]);
    }
    gate_wait(&g, 1);
    assert_int_equal(visits[65]->verdict, GUARD_UNAUTHORIZED);
    visit_end(visits[65]);
    gate_close(&g);
}

static void a_guard_may_close_while_a_thread_is_busy(void **state) {
    struct gate g;
    (void)state;
    gate_open(&g);
    struct guard_visit *v = gate_visit(&g, "alice:guess");
    g.guard->ops->cancel(g.guard, v);
    visit_end(v);
    gate_close(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credentials_are_found_and_taken_out),
        cmocka_unit_test(places_are_tried_in_order),
        cmocka_unit_test(places_have_a_kind_and_a_name),
        cmocka_unit_test(claims_fit_on_a_line),
        cmocka_unit_test(only_clear_answers_open),
        cmocka_unit_test(a_password_file_is_taken_line_by_line),
        cmocka_unit_test(passwords_match_their_hash_only),
        cmocka_unit_test(a_name_that_is_not_there_has_one_hash),
        cmocka_unit_test(logins_are_checked_off_the_loop_and_remembered),
        cmocka_unit_test(a_flood_of_logins_is_bounded),
        cmocka_unit_test(a_guard_may_close_while_a_thread_is_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
