/* The auth plugin in a real pipeline: what a blueprint may say, and every way through the guards of a route. */
#include "gateway/base/base64.h"
#include "gateway/invocation/identity.h"
#include "plugins/auth/auth.h"
#include "tests/support/plugged.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define ACME "acme-key-0123456789"
#define HOOK "hook-secret-0123456789"
#define SECRET "0123456789abcdef0123456789abcdef"

#define TOP "blueprint: 1\nname: shop\nauth:\n"
#define TRIGGERS "handlers:\n  h:\n    command: /h\n    triggers:\n"

static const char shop[] = TOP
    "  default: partner\n"
    "  guards:\n"
    "    partner: {type: apiKey, keys: {acme: '${env.ACME}'}}\n"
    "    linked: {type: apiKey, in: 'query:key', keys: {acme: '${env.ACME}'}}\n"
    "    hook: {type: hmac, secret: '${env.HOOK}'}\n"
    "    shared: {type: jwt, secret: '${env.SECRET}', token: [header:authorization, 'cookie:token']}\n"
    "    custom: {type: handler, handler: h, cache: 1m}\n"
    "    either: {type: any, of: [partner, custom, hook]}\n" TRIGGERS "      - http: GET /preset\n"
    "      - {http: GET /open, guard: none}\n"
    "      - {http: GET /acme, require: {claims: {sub: globex}}}\n"
    "      - {http: POST /hook, guard: hook}\n"
    "      - {http: POST /both, guard: [hook, linked]}\n"
    "      - {http: GET /custom, guard: custom}\n"
    "      - {http: ANY /either, guard: either}\n"
    "      - {http: GET /jwt, guard: shared, require: {scope: write}}\n";

static int set_secrets(void **state) {
    (void)state;
    return setenv("ACME", ACME, 1) || setenv("HOOK", HOOK, 1) || setenv("SECRET", SECRET, 1) ||
           setenv("SHORT", "abc", 1);
}

/* Sends it and returns the status; the handler, if reached, answers 200. */
static int sent(struct plugged *w, const char *method, const char *target, const char *const *headers) {
    plugged_send(w, plugged_request(w, method, target, headers), (struct outcome){.status = 200}, NO_HEADERS);
    return w->house.status;
}

/* --- routes --- */

static void triggers_have_the_default_their_own_or_none(void **state) {
    struct plugged w;
    (void)state;
    plugged_open(&w, &auth_plugin, shop);
    assert_int_equal(sent(&w, "GET", "/preset", NO_HEADERS), 401);
    assert_false(w.reached);
    assert_header(&w, "WWW-Authenticate: ApiKey realm=\"shop\", in=\"header\", name=\"x-api-key\"");
    assert_header(&w, "Cache-Control: no-store");
    assert_non_null(strstr(w.house.body, "urn:execgate:problem:unauthorized"));
    assert_int_equal(sent(&w, "HEAD", "/preset", NO_HEADERS), 401);
    assert_int_equal(sent(&w, "GET", "/preset", HEADERS("X-Api-Key", ACME)), 200);
    assert_int_equal(sent(&w, "GET", "/preset", HEADERS("X-Api-Key", ACME "x")), 401);
    assert_int_equal(sent(&w, "GET", "/open", NO_HEADERS), 200);
    assert_int_equal(sent(&w, "GET", "/acme", HEADERS("X-Api-Key", ACME)), 403);
    assert_no_header(&w, "WWW-Authenticate");
    assert_int_equal(sent(&w, "GET", "/nothing", NO_HEADERS), 404);
    plugged_close(&w);
}

static void who_passed_is_known_and_how_is_not(void **state) {
    struct plugged w;
    (void)state;
    plugged_open(&w, &auth_plugin, shop);
    struct invocation *inv = plugged_request(&w, "GET", "/preset", HEADERS("x-API-key", ACME, "Accept", "*/*"));
    pipeline_run(inv);
    assert_int_equal(inv->state, INVOCATION_QUEUED);
    assert_slice(inv->identity->guard, "partner");
    assert_slice(inv->identity->scheme, "ApiKey");
    assert_slice(identity_subject(inv->identity), "acme");
    assert_slice(inv->identity->claims_json, "{\"sub\":\"acme\"}");
    assert_slice(identity_claim(inv->identity, SLICE("sub")), "acme");
    assert_none(identity_claim(inv->identity, SLICE("Sub")));
    assert_int_equal(inv->request.headers.count, 1);
    assert_null(inv->guarding);
    invocation_complete(inv, house_answer(""));
    plugged_close(&w);
}

/* --- bodies --- */

static const char *signature_of(struct arena *a, const char *body) {
    unsigned char tag[32];
    char hex[65];
    HMAC(EVP_sha256(), HOOK, sizeof HOOK - 1, (const unsigned char *)body, strlen(body), tag, NULL);
    for (size_t i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", tag[i]);
    return arena_printf(a, "sha256=%s", hex).p;
}

static struct invocation *signed_request(struct plugged *w, const char *target, const char *body) {
    struct invocation *inv = plugged_request(w, "POST", target, NO_HEADERS);
    const char *signature = arena_text(&inv->arena, slice_of(signature_of(&inv->arena, body)));
    plugged_add_fields(&inv->request.headers, &inv->arena, HEADERS("X-Hub-Signature-256", signature));
    return inv;
}

static void a_signed_body_is_read_first_even_for_a_handler_that_streams(void **state) {
    struct plugged w;
    (void)state;
    plugged_open(&w, &auth_plugin, shop);
    w.house.executor.streams_request = true;
    for (int good = 0; good < 2; good++) {
        struct invocation *inv = signed_request(&w, "/hook", "whole");
        struct body *b = inv->body = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
        pipeline_run(inv);
        assert_int_equal(inv->state, INVOCATION_BODY);
        assert_null(inv->identity);
        body_append_copy(b, SLICE("who"));
        body_append_copy(b, good ? SLICE("le") : SLICE("lE"));
        body_finish(b);
        body_release_producer(b);
        turn_run(&w.house.turn, 8);
        assert_int_equal(w.house.queued.length, good);
        if (good) assert_slice(inv->identity->scheme, "HMAC");
        if (good) invocation_complete(inv, house_answer(""));
        assert_int_equal(w.house.status, good ? 200 : 401);
    }
    plugged_close(&w);
}

static void without_a_signature_no_body_is_wanted(void **state) {
    struct plugged w;
    (void)state;
    plugged_open(&w, &auth_plugin, shop);
    struct invocation *inv = plugged_request(&w, "POST", "/hook", NO_HEADERS);
    struct body *b = inv->body = body_new(5, UINT64_MAX);
    pipeline_run(inv);
    assert_int_equal(w.house.status, 401);
    assert_header(&w, "WWW-Authenticate: HMAC realm=\"shop\", header=\"x-hub-signature-256\"");
    assert_true(body_abandoned(b));
    body_release_producer(b);
    plugged_close(&w);
}

/* The key is asked for before the body is read, though it stands behind the signature. */
static void all_guards_must_pass(void **state) {
    struct plugged w;
    (void)state;
    plugged_open(&w, &auth_plugin, shop);
    plugged_send(&w, signed_request(&w, "/both", ""), (struct outcome){.status = 200}, NO_HEADERS);
    assert_int_equal(w.house.status, 401);
    assert_header(&w, "ApiKey");
    struct invocation *inv = signed_request(&w, "/both?a=1&key=" ACME "&b=2", "");
    pipeline_run(inv);
    assert_int_equal(inv->state, INVOCATION_QUEUED);
    assert_slice(inv->request.url.query, "a=1&b=2");
    assert_slice(inv->request.target, "/both?a=1&b=2");
    invocation_complete(inv, house_answer(""));
    assert_int_equal(sent(&w, "POST", "/both?key=" ACME, NO_HEADERS), 401);
    assert_header(&w, "HMAC");
    plugged_close(&w);
}

/* --- a handler that decides --- */

/* The question that the guard has asked. */
static struct invocation *question(struct plugged *w) {
    struct list_node *node = list_first(&w->house.queued);
    assert_non_null(node);
    struct invocation *q = list_entry(node, struct invocation, node);
    assert_int_equal(q->trigger, TRIGGER_AUTHORIZER);
    return q;
}

static struct outcome says(int status, const char *body) {
    return (struct outcome){.status = status, .body = body_of_chunk(chunk_copy(slice_of(body)))};
}

static void a_handler_is_asked_and_remembered(void **state) {
    struct plugged w;
    (void)state;
    plugged_open(&w, &auth_plugin, shop);
    const char *const *headers = HEADERS("Authorization", "ann", "Content-Type", "x/y", "Cookie", "a=b");
    struct invocation *inv = plugged_request(&w, "GET", "/custom?x=1", headers);
    inv->request_id = SLICE("r-1");
    pipeline_run(inv);
    assert_int_equal(inv->state, INVOCATION_PRE);
    struct invocation *q = question(&w);
    assert_slice(q->request.method, "GET");
    assert_slice(q->request.target, "/custom?x=1");
    assert_slice(q->request_id, "r-1");
    assert_slice(q->route->key, "GET /custom");
    assert_null(q->body);
    assert_slice(fields_get(&q->request.headers, SLICE("authorization")), "ann");
    assert_none(fields_get(&q->request.headers, SLICE("content-type")));
    invocation_complete(q, says(200, "{\"isAuthorized\":true,\"context\":{\"sub\":\"ann\", \"n\":1}}"));
    assert_int_equal(inv->state, INVOCATION_PRE);
    turn_run(&w.house.turn, 8);
    assert_int_equal(inv->state, INVOCATION_QUEUED);
    assert_slice(inv->identity->claims_json, "{\"sub\":\"ann\",\"n\":1}");
    assert_slice(identity_subject(inv->identity), "ann");
    assert_int_equal(inv->identity->shape, IDENTITY_LAMBDA);
    invocation_complete(inv, house_answer(""));
    inv = plugged_request(&w, "GET", "/custom?x=1", headers);
    pipeline_run(inv);
    assert_slice(inv->identity->claims_json, "{\"sub\":\"ann\",\"n\":1}");
    invocation_complete(inv, house_answer(""));
    clock_fake_advance_ms(&w.house.clock, 60001);
    inv = plugged_request(&w, "GET", "/custom?x=1", headers);
    pipeline_run(inv);
    invocation_complete(question(&w), says(403, ""));
    turn_run(&w.house.turn, 8);
    assert_int_equal(w.house.status, 403);
    plugged_close(&w);
}

static void an_authorizer_that_fails_opens_nothing(void **state) {
    static const enum failure failures[] = {FAILURE_HANDLER_DIED, FAILURE_HANDLER_TIMEOUT, FAILURE_UNAVAILABLE};
    struct plugged w;
    (void)state;
    plugged_open(&w, &auth_plugin, shop);
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        pipeline_run(plugged_request(&w, "GET", "/custom", HEADERS("Authorization", "ann")));
        struct invocation *q = question(&w);
        invocation_complete(q, outcome_failure(q, failures[i], NULL));
        turn_run(&w.house.turn, 8);
        assert_int_equal(w.house.status, 503);
        assert_int_equal(w.house.failure, FAILURE_GUARD_UNAVAILABLE);
        assert_header(&w, "Retry-After: 1");
    }
    w.house.submit = SUBMIT_COMPLETES; /* a full queue */
    pipeline_run(plugged_request(&w, "GET", "/custom", HEADERS("Authorization", "ann")));
    turn_run(&w.house.turn, 8);
    assert_int_equal(w.house.status, 503);
    plugged_close(&w);
}

static void an_answer_may_arrive_in_pieces(void **state) {
    static const char *const ends[] = {"ized\":true}", "ized\":tr", NULL};
    struct plugged w;
    (void)state;
    plugged_open(&w, &auth_plugin, shop);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct invocation *inv = plugged_request(&w, "GET", "/custom",
                                                 HEADERS("Authorization", ends[i] ? ends[i] : "x"));
        struct body *b = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
        pipeline_run(inv);
        invocation_complete(question(&w), (struct outcome){.status = 200, .body = b});
        turn_run(&w.house.turn, 8);
        assert_int_equal(inv->state, INVOCATION_PRE);
        body_append_copy(b, SLICE("{\"isAuthor"));
        if (ends[i]) body_append_copy(b, slice_of(ends[i]));
        if (ends[i]) body_finish(b);
        if (!ends[i]) clock_fake_advance_ms(&w.house.clock, 30001); /* the rest never comes */
        deadlines_run(&w.house.deadlines, clock_now_ms(&w.house.clock.clock));
        turn_run(&w.house.turn, 8);
        body_release_producer(b);
        assert_int_equal(w.house.queued.length, i == 0);
        if (i == 0) invocation_complete(inv, house_answer(""));
        assert_int_equal(w.house.status, i == 0 ? 200 : 503);
    }
    plugged_close(&w);
}

static void a_client_may_leave_while_it_is_asked_about(void **state) {
    struct plugged w;
    (void)state;
    plugged_open(&w, &auth_plugin, shop);
    for (int stage = 0; stage < 3; stage++) {
        struct invocation *inv = plugged_request(&w, "GET", "/custom", HEADERS("Authorization", "ann"));
        pipeline_run(inv);
        struct invocation *q = question(&w);
        if (stage == 1) house_start(&w.house, q);
        if (stage == 2) invocation_complete(q, says(200, "{\"isAuthorized\":true}"));
        invocation_cancel(inv, CANCEL_CLIENT_GONE);
        assert_int_equal(w.house.failure, FAILURE_CLIENT_GONE);
        assert_int_equal(w.house.queued.length, 0);
        assert_int_equal(w.house.pipeline.in_flight, stage == 1);
        if (stage == 1) invocation_complete(q, says(200, "{\"isAuthorized\":true}"));
        turn_run(&w.house.turn, 8);
    }
    plugged_close(&w);
}

/* --- one of several --- */

static void the_first_of_several_that_passes_is_enough(void **state) {
    struct plugged w;
    (void)state;
    plugged_open(&w, &auth_plugin, shop);
    assert_int_equal(sent(&w, "GET", "/either", NO_HEADERS), 401);
    assert_header(&w, "WWW-Authenticate: ApiKey");
    assert_header(&w, "WWW-Authenticate: Custom");
    assert_header(&w, "WWW-Authenticate: HMAC");
    assert_int_equal(sent(&w, "GET", "/either", HEADERS("X-Api-Key", ACME)), 200);
    plugged_send(&w, signed_request(&w, "/either", ""), (struct outcome){.status = 200}, NO_HEADERS);
    assert_int_equal(w.house.status, 200);
    pipeline_run(plugged_request(&w, "GET", "/either", HEADERS("Authorization", "ann", "X-Api-Key", "wrong")));
    invocation_complete(question(&w), says(403, ""));
    turn_run(&w.house.turn, 8);
    assert_int_equal(w.house.status, 403);
    struct invocation *inv = plugged_request(&w, "GET", "/either",
                                             HEADERS("Authorization", "bob", "X-Api-Key", "wrong"));
    pipeline_run(inv);
    invocation_complete(question(&w), says(204, ""));
    turn_run(&w.house.turn, 8);
    assert_slice(inv->identity->guard, "custom");
    assert_none(fields_get(&inv->request.headers, SLICE("x-api-key")));
    invocation_complete(inv, house_answer(""));
    inv = plugged_request(&w, "GET", "/either", HEADERS("Authorization", "eve"));
    pipeline_run(inv);
    invocation_cancel(inv, CANCEL_CLIENT_GONE);
    assert_int_equal(w.house.pipeline.in_flight, 0);
    plugged_close(&w);
}

/* --- tokens --- */

static struct slice part(struct arena *a, const void *p, size_t n) {
    char *text = arena_alloc(a, base64_encoded_size(n));
    base64_encode(p, n, text);
    size_t size = base64_encoded_size(n);
    while (size && text[size - 1] == '=') size--;
    for (size_t i = 0; i < size; i++) text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
    return slice_make(text, size);
}

static const char *token_of(struct arena *a, const char *claims) {
    static const char head[] = "{\"alg\":\"HS256\"}";
    unsigned char tag[32];
    struct slice h = part(a, head, sizeof head - 1), c = part(a, claims, strlen(claims));
    struct slice input = arena_printf(a, SLICE_FMT "." SLICE_FMT, SLICE_ARG(h), SLICE_ARG(c));
    HMAC(EVP_sha256(), SECRET, sizeof SECRET - 1, (const unsigned char *)input.p, input.n, tag, NULL);
    return arena_printf(a, SLICE_FMT "." SLICE_FMT, SLICE_ARG(input), SLICE_ARG(part(a, tag, sizeof tag))).p;
}

/* `%s` in the format becomes the token. */
static const char *with_token(struct arena *a, const char *format, const char *token) {
    struct slice rest = slice_of(format), before;
    slice_next(&rest, '%', &before);
    return arena_printf(a, SLICE_FMT "%s", SLICE_ARG(before), token).p;
}

static int send_token(struct plugged *w, const char *format, const char *claims) {
    struct arena a;
    arena_init(&a, 4096);
    const char *value = with_token(&a, format, token_of(&a, claims));
    int status = sent(w, "GET", "/jwt", HEADERS(strchr(format, '=') ? "Cookie" : "Authorization", value));
    arena_free(&a);
    return status;
}

static void tokens_are_told_what_is_wrong_with_them(void **state) {
    struct plugged w;
    (void)state;
    plugged_open(&w, &auth_plugin, shop);
    assert_int_equal(sent(&w, "GET", "/jwt", NO_HEADERS), 401);
    assert_header(&w, "WWW-Authenticate: Bearer realm=\"shop\"");
    assert_no_header(&w, "error=");
    for (int again = 0; again < 2; again++) {
        assert_int_equal(send_token(&w, "Bearer %s", "{\"exp\":99999999999,\"scope\":\"read write\"}"), 200);
        assert_int_equal(send_token(&w, "bearer   %s", "{\"exp\":99999999999,\"scope\":\"write\"}"), 200);
        assert_int_equal(send_token(&w, "x=y; token=%s", "{\"exp\":99999999999,\"scp\":[\"write\"]}"), 200);
        assert_int_equal(send_token(&w, "Bearer %s", "{\"exp\":99999999999,\"scope\":\"read\"}"), 403);
        assert_header(&w, "Bearer realm=\"shop\", error=\"insufficient_scope\", scope=\"write\"");
        assert_int_equal(send_token(&w, "Bearer %s", "{\"exp\":1,\"scope\":\"write\"}"), 401);
        assert_header(&w, "error=\"invalid_token\", error_description=\"the token has expired\"");
        assert_int_equal(send_token(&w, "Bearer %s", "{\"scope\":\"write\"}"), 401);
        assert_int_equal(send_token(&w, "Bearer x%s", "{\"exp\":99999999999,\"scope\":\"write\"}"), 401);
        assert_int_equal(send_token(&w, "Basic %s", "{\"exp\":99999999999,\"scope\":\"write\"}"), 401);
        assert_no_header(&w, "error=");
    }
    plugged_close(&w);
}

/* --- what a blueprint may not say --- */

#define ROUTE "handlers:\n  h: {command: /h, triggers: [{http: GET /}]}\n"
#define GUARD "  guards: "
static const struct {
    const char *text;
    int line, column;
    const char *words;
} mistakes[] = {
    {TOP "  default: custmer\n" GUARD "{customer: {type: apiKey, keys: {a: '${env.ACME}'}}}\n" ROUTE, 4, 12,
     "no guard is named \"custmer\"; did you mean \"customer\"?"},
    {"blueprint: 1\nname: a\nhandlers:\n  h: {command: /h, triggers: [{http: GET /, guard: x}]}\n", 4, 52,
     "no guard is named \"x\"; define it"},
    {TOP GUARD "{none: {type: apiKey, keys: {a: '${env.ACME}'}}}\n" ROUTE, 4, 12, "\"none\" is no name"},
    {TOP GUARD "{a: {type: apikey}}\n" ROUTE, 4, 22, "did you mean \"apiKey\"?"},
    {TOP GUARD "{a: {type: apiKey, keys: {a: " ACME "}}}\n" ROUTE, 4, 40, "does not belong in the blueprint"},
    {TOP GUARD "{a: {type: apiKey, keys: {a: '${env.SHORT}'}}}\n" ROUTE, 4, 40, "a secret of 3 bytes is too weak"},
    {TOP GUARD "{a: {type: apiKey, keys: {a: ''}}}\n" ROUTE, 4, 40, "the secret is empty"},
    {TOP GUARD "{a: {type: apiKey, keys: {a: 'sha256:12'}}}\n" ROUTE, 4, 40, "64 hexadecimal digits"},
    {TOP GUARD "{a: {type: apiKey, keys: {}}}\n" ROUTE, 4, 36, "expected at least 1"},
    {TOP GUARD "{a: {type: apiKey, keys: {a: '${env.ACME}', b: '${env.ACME}'}}}\n" ROUTE, 4, 58,
     "\"a\" and \"b\" have the same key"},
    {TOP GUARD "{a: {type: apiKey, in: body:x, keys: {a: '${env.ACME}'}}}\n" ROUTE, 4, 34, "expected header:NAME"},
    {TOP GUARD "{a: {type: jwt}}\n" ROUTE, 4, 15, "needs one of the keys \"jwks\", \"secret\""},
    {TOP GUARD "{a: {type: jwt, jwks: discover, secret: '${env.SECRET}', issuer: 'https://a'}}\n" ROUTE, 4, 43,
     "takes one of the two"},
    {TOP GUARD "{a: {type: jwt, jwks: discover}}\n" ROUTE, 4, 33, "`issuer` is missing"},
    {TOP GUARD "{a: {type: jwt, jwks: 'http://keys.example'}}\n" ROUTE, 4, 33, "https"},
    {TOP GUARD "{a: {type: jwt, jwks: 'file:a', algorithms: HS256}}\n" ROUTE, 4, 55, "needs a `secret`"},
    {TOP GUARD "{a: {type: jwt, jwks: 'file:a', algorithms: [nOnE]}}\n" ROUTE, 4, 56, "would let everybody in"},
    {TOP GUARD "{a: {type: jwt, jwks: 'file:a', algorithms: [ES255]}}\n" ROUTE, 4, 56, "did you mean \"ES25"},
    {TOP GUARD "{a: {type: jwt, secret: '${env.SECRET}', algorithms: [RS256]}}\n" ROUTE, 4, 65, "needs a public key"},
    {TOP GUARD "{a: {type: jwt, secret: '${env.SHORT}'}}\n" ROUTE, 4, 35, "HS256 needs at least 32"},
    {TOP GUARD "{a: {type: hmac, secret: ['${env.HOOK}', '${env.SHORT}']}}\n" ROUTE, 4, 52, "is too weak"},
    {TOP GUARD "{a: {type: basic, users: x}}\n" ROUTE, 4, 36, "expected file:PATH, found \"x\""},
    {TOP GUARD "{a: {type: jwt, jwks: keys.json}}\n" ROUTE, 4, 33,
     "expected discover, an https:// URL or file:PATH, found \"keys.json\""},
    {TOP GUARD "{a: {type: hmac, secret: '${env.HOOK}', tolerance: 1m}}\n" ROUTE, 4, 62,
     "only signatures with `style: stripe` carry a time"},
    {TOP GUARD "{a: {type: apiKey, keys: ['${env.ACME}']}}\n" ROUTE, 4, 36,
     "expected a map, found a list; for example `keys: {"},
    {TOP GUARD "{a: {type: handler, handler: hh}}\n" ROUTE, 4, 40, "no handler is named \"hh\"; did you mean \"h\"?"},
    {TOP GUARD "{a: {type: handler, handler: h, credential: none, cache: 1s}}\n" ROUTE, 4, 68, "nobody knows whose"},
    {TOP GUARD "{a: {type: handler, handler: h, credential: [none, header:x]}}\n" ROUTE, 4, 56, "stands alone"},
    {TOP GUARD "{a: {type: any, of: [a]}}\n" ROUTE, 4, 32, "is an any guard itself"},
    {TOP GUARD "{a: {type: any, of: [b]}}\n" ROUTE, 4, 32, "no guard is named \"b\""},
    {TOP GUARD "{a: {type: hmac, secret: '${env.HOOK}'}}\nhandlers:\n"
               "  h: {command: /h, triggers: [{http: GET /, guard: [none, a]}]}\n",
     6, 53, "stands alone"},
    {TOP GUARD "{a: {type: hmac, secret: '${env.HOOK}'}}\nhandlers:\n"
               "  h: {command: /h, triggers: [{http: GET /, guard: [a, a]}]}\n",
     6, 56, "stands here twice"},
    {TOP GUARD "{a: {type: hmac, secret: '${env.HOOK}'}}\nhandlers:\n"
               "  h: {command: /h, triggers: [{http: GET /, guard: a, require: {scope: x}}]}\n",
     6, 64, "none of this route's guards knows scopes"},
    {TOP GUARD "{a: {type: hmac, secret: '${env.HOOK}'}}\nhandlers:\n"
               "  h: {command: /h, triggers: [{http: GET /, require: {scope: x}}]}\n",
     6, 54, "has no guard"},
    {"blueprint: 1\nname: a\nvariables: {v: {type: string, default: 0123456789abcdef}}\nauth: {guards: {a: {type: "
     "hmac, "
     "secret: '${var.v}'}}}\n" ROUTE,
     4, 41, "may be shown, and this value may not"},
};

static void every_mistake_is_told_where_it_stands(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        struct problems p = {0};
        struct blueprint *b = plugged_parse(&auth_plugin, mistakes[i].text, &p);
        if (b) fail_msg("no mistake found in:\n%s", mistakes[i].text);
        assert_problem(&p, mistakes[i].line, mistakes[i].column, mistakes[i].words);
        for (size_t k = 0; k < p.count; k++) {
            assert_null(strstr(p.items[k].message, ACME));
            assert_null(strstr(p.items[k].message, HOOK));
            assert_null(strstr(p.items[k].message, SECRET));
        }
        problems_free(&p);
    }
}

static void digests_and_secret_variables_are_fine(void **state) {
    (void)state;
    struct problems p = {0};
    struct blueprint *b = plugged_parse(
        &auth_plugin,
        "blueprint: 1\nname: a\nvariables: {v: {type: string, secret: true, default: 0123456789abcdef}}\n"
        "auth: {default: [a, c], guards: {a: {type: hmac, secret: '${var.v}'}, c: {type: apiKey, keys: {x: 'sha256:"
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF'}}}}\n" ROUTE,
        &p);
    problems_dump(&p);
    assert_non_null(b);
    blueprint_release(b);
    problems_free(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(triggers_have_the_default_their_own_or_none),
        cmocka_unit_test(who_passed_is_known_and_how_is_not),
        cmocka_unit_test(a_signed_body_is_read_first_even_for_a_handler_that_streams),
        cmocka_unit_test(without_a_signature_no_body_is_wanted),
        cmocka_unit_test(all_guards_must_pass),
        cmocka_unit_test(a_handler_is_asked_and_remembered),
        cmocka_unit_test(an_authorizer_that_fails_opens_nothing),
        cmocka_unit_test(an_answer_may_arrive_in_pieces),
        cmocka_unit_test(a_client_may_leave_while_it_is_asked_about),
        cmocka_unit_test(the_first_of_several_that_passes_is_enough),
        cmocka_unit_test(tokens_are_told_what_is_wrong_with_them),
        cmocka_unit_test(every_mistake_is_told_where_it_stands),
        cmocka_unit_test(digests_and_secret_variables_are_fine),
    };
    return cmocka_run_group_tests(tests, set_secrets, NULL);
}
