#include "plugins/auth/jwt.h"
#include "gateway/base/buf.h"
#include "gateway/base/memory.h"

/* 9999-12-31T23:59:59Z, the last second that dates are written for (RFC 3339). */
#define LAST_SECOND 253402300799u
#define NEVER UINT64_MAX

/* --- Reading --- */

/* The fraction's first three digits as milliseconds; false when it is anything but digits. */
static bool fraction_to_ms(struct slice digits, uint64_t *ms) {
    *ms = 0;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9') return false;
    }
    for (size_t i = 0; i < 3; i++) *ms = *ms * 10 + (i < digits.n ? (uint64_t)(digits.p[i] - '0') : 0);
    return true;
}

/* A NumericDate without exponent, in milliseconds. */
static bool date_to_ms(const struct json_value *value, uint64_t *ms) {
    struct slice fraction = value->raw, whole;
    uint64_t seconds, thousandths = 0;
    if (value->kind != JSON_NUMBER || !slice_next(&fraction, '.', &whole)) return false;
    if (!slice_to_u64(whole, &seconds) || seconds > LAST_SECOND) return false;
    if (!slice_is_none(fraction) && !fraction_to_ms(fraction, &thousandths)) return false;
    *ms = seconds * 1000 + thousandths;
    return true;
}

static size_t count_words(struct slice text) {
    struct slice word;
    size_t n = 0;
    while (slice_next(&text, ' ', &word)) n += word.n > 0;
    return n;
}

static void scopes_of_text(struct jwt *t, struct slice text, struct arena *a) {
    struct slice *scopes = arena_alloc(a, count_words(text) * sizeof *scopes);
    struct slice word;
    t->scopes = scopes;
    while (slice_next(&text, ' ', &word)) {
        if (word.n) scopes[t->scope_count++] = word;
    }
}

/* Calls of next give the strings of an array, or the one string that stands in its place. */
struct text_walk {
    struct json_read reader;
    struct json_value single;
    struct arena *arena;
    bool odd; /* something that is no string was met */
};

static struct text_walk text_walk_over(const struct json_value *value, struct arena *a) {
    struct text_walk w = {.arena = a};
    json_read_init(&w.reader, value->raw);
    if (!json_read_open(&w.reader, '[')) w.single = *value;
    return w;
}

static bool text_walk_next(struct text_walk *w, struct slice *text) {
    struct json_value value = w->single;
    w->single.kind = JSON_INVALID;
    if (w->reader.depth && (!json_read_element(&w->reader) || !json_read_value(&w->reader, &value))) return false;
    if (value.kind == JSON_INVALID) return false;
    w->odd = value.kind != JSON_STRING;
    if (!w->odd) *text = json_text_of(w->arena, value);
    return !w->odd;
}

static void scopes_of_array(struct jwt *t, const struct json_value *value, struct arena *a) {
    struct slice text;
    size_t count = 0;
    struct text_walk w = text_walk_over(value, a);
    while (text_walk_next(&w, &text)) count++;
    struct slice *scopes = arena_alloc(a, count * sizeof *scopes);
    w = text_walk_over(value, a);
    while (t->scope_count < count && text_walk_next(&w, &scopes[t->scope_count])) t->scope_count++;
    t->scopes = scopes;
}

static void read_scopes(struct jwt *t, struct arena *a) {
    const struct json_value *value = jose_object_get(&t->members, SLICE("scope"));
    if (!value) value = jose_object_get(&t->members, SLICE("scp"));
    if (value && value->kind == JSON_STRING) scopes_of_text(t, json_text_of(a, *value), a);
    if (value && value->kind == JSON_ARRAY) scopes_of_array(t, value, a);
}

/* `aud` is checked for its shape here, for its content in jwt_check. */
static bool audience_is_sound(const struct jwt *t, struct arena *a) {
    const struct json_value *value = jose_object_get(&t->members, SLICE("aud"));
    struct slice text;
    if (!value) return true;
    struct text_walk w = text_walk_over(value, a);
    while (text_walk_next(&w, &text)) {
    }
    return !w.odd;
}

static const char *read_texts(struct jwt *t, struct arena *a) {
    struct slice id;
    if (jose_object_text(&t->members, SLICE("iss"), a, &t->issuer) == JOSE_TEXT_NOT_TEXT) return "iss is not a string";
    if (jose_object_text(&t->members, SLICE("sub"), a, &t->subject) == JOSE_TEXT_NOT_TEXT) return "sub is not a string";
    if (jose_object_text(&t->members, SLICE("jti"), a, &id) == JOSE_TEXT_NOT_TEXT) return "jti is not a string";
    return audience_is_sound(t, a) ? NULL : "aud is neither a string nor an array of strings";
}

/* *ms stays as it is when the date is not there. */
static bool read_date(const struct jwt *t, struct slice name, uint64_t *ms) {
    const struct json_value *value = jose_object_get(&t->members, name);
    return !value || date_to_ms(value, ms);
}

static const char *read_dates(struct jwt *t) {
    uint64_t ignored;
    t->expires_ms = NEVER;
    if (!read_date(t, SLICE("exp"), &t->expires_ms)) return "exp is not a number of seconds";
    if (!read_date(t, SLICE("nbf"), &ignored)) return "nbf is not a number of seconds";
    return read_date(t, SLICE("iat"), &ignored) ? NULL : "iat is not a number of seconds";
}

struct jose_verdict jwt_read(struct jwt *t, struct slice payload, struct arena *a) {
    *t = (struct jwt){.claims = payload};
    if (jose_object_read(&t->members, payload, a))
        return jose_refuse(JOSE_MALFORMED, "the payload is not a JSON object with unique members");
    const char *why = read_texts(t, a);
    if (!why) why = read_dates(t);
    if (why) return jose_refuse(JOSE_INVALID, why);
    read_scopes(t, a);
    return JOSE_VERDICT_OK;
}

/* --- Checking --- */

static const char *check_dates(const struct jwt *t, const struct jwt_rules *rules, uint64_t now_ms) {
    uint64_t not_before = 0, issued = 0;
    uint64_t latest_ms = now_ms + rules->leeway_ms;
    read_date(t, SLICE("nbf"), &not_before);
    read_date(t, SLICE("iat"), &issued);
    if (t->expires_ms == NEVER && rules->expiry == JWT_EXPIRY_REQUIRED) return "the token has no expiry";
    if (t->expires_ms != NEVER && now_ms >= t->expires_ms + rules->leeway_ms) return "the token has expired";
    if (not_before > latest_ms) return "the token is not valid yet";
    return issued > latest_ms ? "the token is from the future" : NULL;
}

static bool issuer_is(const struct jwt *t, struct slice expected) {
    return slice_is_none(expected) || (!slice_is_none(t->issuer) && slice_equal(t->issuer, expected));
}

static bool is_among(struct slice text, const struct slice *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(text, list[i])) return true;
    }
    return false;
}

static bool is_for_audience(const struct jwt *t, const struct jwt_rules *rules, struct arena *a) {
    const struct json_value *value = jose_object_get(&t->members, SLICE("aud"));
    struct slice text;
    if (!rules->audience_count) return true;
    if (!value) return false;
    struct text_walk w = text_walk_over(value, a);
    while (text_walk_next(&w, &text)) {
        if (is_among(text, rules->audiences, rules->audience_count)) return true;
    }
    return false;
}

static bool scalar_is(struct json_value value, struct slice expected, struct arena *a) {
    switch (value.kind) {
    case JSON_STRING: return slice_equal(json_text_of(a, value), expected);
    case JSON_NUMBER:
    case JSON_TRUE:
    case JSON_FALSE: return slice_equal(value.raw, expected);
    case JSON_NULL:
    case JSON_ARRAY:
    case JSON_OBJECT:
    case JSON_INVALID: break;
    }
    return false;
}

static bool claim_is(const struct json_value *value, struct slice expected, struct arena *a) {
    struct json_read r;
    struct json_value one;
    if (value->kind != JSON_ARRAY) return scalar_is(*value, expected, a);
    json_read_init(&r, value->raw);
    if (!json_read_open(&r, '[')) return false;
    while (json_read_element(&r) && json_read_value(&r, &one)) {
        if (scalar_is(one, expected, a)) return true;
    }
    return false;
}

static bool has_claims(const struct jwt *t, const struct jwt_rules *rules, struct arena *a) {
    for (size_t i = 0; i < rules->claim_count; i++) {
        const struct json_value *value = jose_object_get(&t->members, rules->claims[i].name);
        if (!value || !claim_is(value, rules->claims[i].value, a)) return false;
    }
    return true;
}

static bool has_scopes(const struct jwt *t, const struct jwt_rules *rules) {
    for (size_t i = 0; i < rules->scope_count; i++) {
        if (!is_among(rules->scopes[i], t->scopes, t->scope_count)) return false;
    }
    return true;
}

struct jose_verdict jwt_meets(const struct jwt *t, const struct jwt_rules *rules, struct arena *a) {
    if (!has_scopes(t, rules)) return jose_refuse(JOSE_INSUFFICIENT_SCOPE, "the token lacks a scope");
    if (!has_claims(t, rules, a)) return jose_refuse(JOSE_INSUFFICIENT, "the token lacks a claim");
    return JOSE_VERDICT_OK;
}

struct jose_verdict jwt_check(const struct jwt *t, const struct jwt_rules *rules, struct clock *clock,
                              struct arena *a) {
    const char *why = check_dates(t, rules, clock_wall_ms(clock));
    if (why) return jose_refuse(JOSE_INVALID, why);
    if (!issuer_is(t, rules->issuer)) return jose_refuse(JOSE_INVALID, "the token is from another issuer");
    if (!is_for_audience(t, rules, a)) return jose_refuse(JOSE_INSUFFICIENT, "the token is for another audience");
    return jwt_meets(t, rules, a);
}

static bool type_is_known(struct slice type) {
    return slice_is_none(type) || slice_equal_nocase(type, SLICE("JWT")) || slice_equal_nocase(type, SLICE("at+jwt"));
}

static struct jose_verdict accept_token(struct jwt *t, struct slice token, const struct jwt_trust *trust,
                                        struct arena *a) {
    struct jws j;
    struct slice payload;
    struct jose_verdict verdict = jws_parse(&j, token, a);
    if (verdict.result != JOSE_OK) return verdict;
    if (!type_is_known(j.type)) return jose_refuse(JOSE_INVALID, "the token is not of a type for access");
    verdict = jws_verify(trust->verifier, &j, trust->keys, a, &payload);
    if (verdict.result == JOSE_OK) verdict = jwt_read(t, payload, a);
    return verdict.result == JOSE_OK ? jwt_check(t, trust->rules, trust->clock, a) : verdict;
}

struct jose_verdict jwt_accept(struct jwt *t, struct slice token, const struct jwt_trust *trust, struct arena *a) {
    *t = (struct jwt){0};
    struct jose_verdict verdict = accept_token(t, token, trust, a);
    bool believed = verdict.result == JOSE_OK || verdict.result == JOSE_INSUFFICIENT ||
                    verdict.result == JOSE_INSUFFICIENT_SCOPE;
    if (!believed) *t = (struct jwt){0};
    return verdict;
}

/* --- Claims as text --- */

static void append_text(struct buf *out, const struct json_value *value, struct arena *a) {
    buf_append_slice(out, value->kind == JSON_STRING ? json_text_of(a, *value) : value->raw);
}

static struct slice array_text(const struct json_value *value, struct arena *a) {
    struct buf out = {0};
    struct json_read r;
    struct json_value one;
    buf_append_char(&out, '[');
    json_read_init(&r, value->raw);
    bool more = json_read_open(&r, '[');
    while (more && json_read_element(&r) && json_read_value(&r, &one)) {
        if (out.n > 1) buf_append_char(&out, ' ');
        append_text(&out, &one, a);
    }
    buf_append_char(&out, ']');
    struct slice text = arena_copy(a, buf_slice(&out));
    buf_free(&out);
    return text;
}

struct slice jwt_claim_text(const struct jwt *t, size_t index, struct arena *a) {
    const struct json_value *value = &t->members.members[index].value;
    if (value->kind == JSON_ARRAY) return array_text(value, a);
    return value->kind == JSON_STRING ? json_text_of(a, *value) : value->raw;
}
