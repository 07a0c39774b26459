#include "gateway/base/clock.h"
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/command/load.h"
#include "gateway/command/token/claims.h"
#include "gateway/command/token/dev_keys.h"
#include "gateway/command/token/mint.h"
#include "plugins/auth/guard_places.h"
#include <openssl/crypto.h>
#include <stdlib.h>
#include <unistd.h>

static const struct option_row token_options[] = {
    {"guard", 'g', "NAME", "The guard to make it for; may be left out when the blueprint has one jwt guard only"},
    {"sub", 's', "NAME", "Whom it is about"},
    {"claim", 'c', "NAME=VALUE", "A further claim, a text, or any JSON as NAME=json:VALUE; may be repeated"},
    {"scope", 0, "SCOPES", "Its scopes, separated by blanks"},
    {"audience", 0, "NAME", "Whom it is made for, instead of the guard's first audience; may be repeated"},
    {"issuer", 0, "NAME", "Who issues it, instead of the guard's issuer"},
    {"ttl", 't', "DURATION", "How long it is valid (default 10m)"},
    {"var", 'v', "NAME=VALUE", "Set a variable of the blueprint; may be repeated"},
    {"json", 0, NULL, "Print one JSON object instead of just the token"},
    {"blueprint", 'b', "FILE", "The blueprint, instead of the argument"},
};

/* --- which guard --- */

static const struct guard_policy *only_jwt_guard(const struct auth_settings *s, struct error *e) {
    const struct guard_policy *found = NULL;
    for (size_t i = 0; i < s->guard_count; i++) {
        if (s->guards[i].type != GUARD_JWT) continue;
        if (found) error_set(e, ERROR_USAGE, "the blueprint has several jwt guards; say which with --guard NAME");
        if (found) return NULL;
        found = &s->guards[i];
    }
    if (!found) error_set(e, ERROR_USAGE, "the blueprint has no jwt guard");
    return found;
}

static void unknown_guard(const struct auth_settings *s, struct slice name, struct error *e) {
    char **names = xcalloc(s->guard_count + 1, sizeof *names);
    for (size_t i = 0; i < s->guard_count; i++) names[i] = slice_dup(s->guards[i].name);
    const char *near = text_nearest(name, (const char *const *)names, s->guard_count);
    if (near)
        error_set(e, ERROR_USAGE, "no guard \"" SLICE_FMT "\"; did you mean \"%s\"?", SLICE_ARG(name), near);
    else
        error_set(e, ERROR_USAGE, "the blueprint has no guard \"" SLICE_FMT "\"", SLICE_ARG(name));
    for (size_t i = 0; i < s->guard_count; i++) free(names[i]);
    free(names);
}

static const struct guard_policy *find_guard(const struct auth_settings *s, const char *name, struct error *e) {
    if (!s || s->guard_count == 0) {
        error_set(e, ERROR_USAGE, "the blueprint has no guards");
        return NULL;
    }
    if (!name) return only_jwt_guard(s, e);
    for (size_t i = 0; i < s->guard_count; i++) {
        if (!slice_equal(s->guards[i].name, slice_of(name))) continue;
        if (s->guards[i].type == GUARD_JWT) return &s->guards[i];
        error_set(e, ERROR_USAGE, "guard \"%s\" is no jwt guard: it takes no tokens", name);
        return NULL;
    }
    unknown_guard(s, slice_of(name), e);
    return NULL;
}

/* --- claims --- */

/* Those that have an option of their own, or are set here. */
static const char *option_of_claim(struct slice name) {
    static const char *const table[][2] = {{"iss", "--issuer"}, {"sub", "--sub"}, {"aud", "--audience"},
                                           {"exp", "--ttl"},    {"iat", "--ttl"}, {"scope", "--scope"}};
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (slice_equal(name, slice_of(table[i][0]))) return table[i][1];
    return NULL;
}

static int refuse_own_claims(const struct arguments *a, struct error *e) {
    const char *text;
    for (size_t at = 0; (text = arguments_next(a, "claim", &at));) {
        struct slice name = claim_name(text);
        const char *option = option_of_claim(name);
        if (option)
            return error_set(e, ERROR_USAGE, "the claim \"" SLICE_FMT "\" is set by %s", SLICE_ARG(name), option);
    }
    return 0;
}

static void write_audience(struct json_write *w, const struct arguments *a, const struct jwt_rules *rules) {
    const char *last = arguments_get(a, "audience");
    size_t count = 0;
    for (size_t i = 0; i < a->value_count; i++) count += strcmp(a->values[i].row->name, "audience") == 0;
    if (count == 0 && rules->audience_count) json_member(w, SLICE("aud"), rules->audiences[0]);
    if (count == 1) json_member(w, SLICE("aud"), slice_of(last));
    if (count < 2) return;
    json_name(w, SLICE("aud"));
    json_open(w, '[');
    for (size_t i = 0; i < a->value_count; i++)
        if (strcmp(a->values[i].row->name, "audience") == 0) json_text(w, slice_of(a->values[i].value));
    json_close(w, ']');
}

static void write_times(struct json_write *w, uint64_t ttl_ms) {
    struct clock *clock = clock_system_new();
    uint64_t now_s = clock_wall_ms(clock) / 1000;
    clock_system_free(clock);
    json_name(w, SLICE("iat"));
    json_number(w, (int64_t)now_s);
    json_name(w, SLICE("exp"));
    json_number(w, (int64_t)(now_s + (ttl_ms + 999) / 1000));
}

static int write_claims(struct buf *out, const struct arguments *a, const struct jwt_rules *rules, struct error *e) {
    struct json_write w = json_write_to(out);
    const char *issuer = arguments_get(a, "issuer"), *ttl = arguments_get(a, "ttl");
    uint64_t ttl_ms = 0;
    int status = refuse_own_claims(a, e);
    if (!text_to_duration_ms(slice_of(ttl ? ttl : "10m"), &ttl_ms) || ttl_ms == 0 || ttl_ms / 1000 > UINT32_MAX)
        return error_set(e, ERROR_USAGE, "--ttl takes a duration such as 90s, 10m or 1h, not \"%s\"", ttl);
    json_open(&w, '{');
    if (issuer || !slice_is_none(rules->issuer))
        json_member(&w, SLICE("iss"), issuer ? slice_of(issuer) : rules->issuer);
    if (arguments_get(a, "sub")) json_member(&w, SLICE("sub"), slice_of(arguments_get(a, "sub")));
    write_audience(&w, a, rules);
    if (arguments_get(a, "scope")) json_member(&w, SLICE("scope"), slice_of(arguments_get(a, "scope")));
    if (status == 0) status = claims_write(&w, a, "claim", e);
    write_times(&w, ttl_ms);
    json_close(&w, '}');
    buf_append_char(out, '\0');
    return status;
}

/* --- signing --- */

static int sign_with_secret(const struct jwt_policy *p, const char *claims, struct buf *token, struct error *e) {
    enum jose_algorithm algorithm = JOSE_HS256;
    while (algorithm < JOSE_HS512 && !(p->algorithms & JOSE_BIT(algorithm))) algorithm++;
    const struct mint_order order = {
        .algorithm = jose_rule_of(algorithm)->name.p, .key = p->key_text, .claims = claims};
    return mint_token(&order, token, e);
}

static int sign_with_dev_key(const struct jwt_policy *p, const char *claims, struct buf *token, struct error *e) {
    struct dev_keys keys;
    struct buf pem = {0};
    enum jose_algorithm algorithm;
    int status = dev_keys_open(&keys, e);
    if (status < 0) return status;
    const struct dev_key *key = dev_keys_for(&keys, p->algorithms, &algorithm);
    if (key) {
        dev_key_write_pem(key, &pem);
        const struct mint_order order = {
            .algorithm = jose_rule_of(algorithm)->name.p, .key = buf_slice(&pem), .kid = key->kid, .claims = claims};
        status = mint_token(&order, token, e);
        OPENSSL_cleanse(pem.p, pem.n);
    } else {
        status = error_set(e, ERROR_USAGE,
                           "the guard takes neither ES256 nor RS256, RS384 or RS512, "
                           "and the development key signs nothing else");
    }
    buf_free(&pem);
    dev_keys_close(&keys);
    return status;
}

static int sign(const struct guard_policy *guard, const char *claims, struct buf *token, struct error *e) {
    switch (guard->jwt.keys) {
    case JWT_KEYS_SECRET: return sign_with_secret(&guard->jwt, claims, token, e);
    case JWT_KEYS_URL:
    case JWT_KEYS_DISCOVER: return sign_with_dev_key(&guard->jwt, claims, token, e);
    case JWT_KEYS_FILE: break;
    }
    return error_set(e, ERROR_USAGE,
                     "guard \"" SLICE_FMT "\" believes the keys in %s, for which only their owner can sign",
                     SLICE_ARG(guard->name), guard->jwt.key_text.p);
}

/* --- the command --- */

static void print_json(const struct guard_policy *guard, struct slice token, struct slice claims) {
    struct buf out = {0};
    struct json_write w = json_write_to(&out);
    json_open(&w, '{');
    json_member(&w, SLICE("token"), token);
    json_member(&w, SLICE("guard"), guard->name);
    json_name(&w, SLICE("development"));
    json_bool(&w, guard->jwt.keys != JWT_KEYS_SECRET);
    json_name(&w, SLICE("claims"));
    json_raw(&w, claims);
    json_close(&w, '}');
    buf_append_char(&out, '\n');
    command_print(&out, stdout);
}

static void print_token(const struct guard_policy *guard, struct slice token) {
    printf(SLICE_FMT "\n", SLICE_ARG(token));
    if (!isatty(STDOUT_FILENO)) return;
    fflush(stdout);
    if (guard->jwt.keys != JWT_KEYS_SECRET)
        fputs("Only `execgate run --dev-issuer` of this user believes this token.\n", stderr);
    fputs("Send it as: curl -H \"Authorization: Bearer $(execgate token ...)\" URL\n", stderr);
}

static int mint(const struct arguments *a, const struct blueprint *b, struct error *e) {
    struct buf claims = {0}, token = {0};
    const struct guard_policy *guard = find_guard(auth_settings_of(b), arguments_get(a, "guard"), e);
    int status = guard ? write_claims(&claims, a, &guard->jwt.rules, e) : -ERROR_USAGE;
    if (status == 0) status = sign(guard, claims.p, &token, e);
    if (status == 0 && arguments_has(a, "json"))
        print_json(guard, buf_slice(&token), slice_make(claims.p, claims.n - 1));
    else if (status == 0)
        print_token(guard, buf_slice(&token));
    buf_free(&claims);
    buf_free(&token);
    return status;
}

static int token(const struct arguments *a) {
    int exit_status = EXIT_BLUEPRINT;
    struct error e = {0};
    struct blueprint *b = command_load(a, BLUEPRINT_CHECK_TEXT, &exit_status);
    if (!b) return exit_status;
    int status = mint(a, b, &e);
    if (status < 0) command_report(a, &e);
    blueprint_release(b);
    if (status == 0) return EXIT_OK;
    return e.code == ERROR_USAGE ? EXIT_USAGE : EXIT_SYSTEM;
}

const struct command command_token = {
    .name = "token",
    .synopsis = "[FILE]",
    .summary = "Make a token for a jwt guard of a blueprint, for testing",
    .details =
        "Prints a token that the guard accepts. A guard with a `secret` gets one that is signed with it. For all\n"
        "others it is signed with a development key that is made on first use and kept in\n"
        "$XDG_STATE_HOME/execgate (~/.local/state/execgate); only a gateway that was started with\n"
        "`execgate run --dev-issuer` believes it. Issuer and audience are the guard's unless given; scopes and\n"
        "claims that the guard requires are not added by themselves.",
    .options = token_options,
    .option_count = ARRAY_LEN(token_options),
    .max_positional = 1,
    .run = token,
};
