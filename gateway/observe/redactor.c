#include "gateway/observe/redactor.h"
#include "gateway/base/buf.h"
#include "gateway/base/memory.h"
#include "gateway/observe/record.h"

static const struct slice secret_headers[] = {
    {"Sec-WebSocket-Protocol", 22},
    {"Authorization", 13},
    {"Proxy-Authorization", 19},
    {"Cookie", 6},
    {"X-Api-Key", 9},
    {"X-Amz-Security-Token", 20},
    {"X-Hub-Signature", 15},
    {"X-Hub-Signature-256", 19},
    {"Stripe-Signature", 16},
};

void redactor_init(struct redactor *r, const struct auth_settings *s) {
    arena_init(&r->arena, 512);
    r->places = auth_places(s, &r->arena);
}

void redactor_free(struct redactor *r) {
    arena_free(&r->arena);
}

static bool is_place(const struct redactor *r, enum credential_kind kind, struct slice name) {
    for (size_t i = 0; i < r->places.count; i++) {
        const struct credential_place *p = &r->places.items[i];
        if (p->kind != kind) continue;
        if (slice_equal(p->name, name) || (kind == CREDENTIAL_HEADER && slice_equal_nocase(p->name, name))) return true;
    }
    return false;
}

static bool is_secret_header(const struct redactor *r, struct slice name) {
    for (size_t i = 0; i < ARRAY_LEN(secret_headers); i++)
        if (slice_equal_nocase(secret_headers[i], name)) return true;
    return is_place(r, CREDENTIAL_HEADER, name);
}

struct slice redact_set_cookie(struct slice value, struct arena *a) {
    struct slice rest = value, pair, name;
    slice_next(&rest, ';', &pair);
    slice_next(&pair, '=', &name);
    bool named = !slice_is_none(pair); /* without a '=' all of it is the value (RFC 6265bis 5.6) */
    return arena_printf(a, SLICE_FMT "%s" RECORD_REDACTED "%s" SLICE_FMT, named ? (int)name.n : 0, name.p,
                        named ? "=" : "", slice_is_none(rest) ? "" : ";", SLICE_ARG(rest));
}

static void note(struct fields *redacted, struct arena *a, struct slice kind, struct slice name) {
    for (size_t i = 0; i < redacted->count; i++)
        if (slice_equal(redacted->items[i].name, kind) && slice_equal_nocase(redacted->items[i].value, name)) return;
    fields_add(redacted, a, kind, name);
}

/* What is kept of a header, or of a place in it. */
static struct slice kept_value(const struct redactor *r, const struct field *f, struct arena *a) {
    struct fields nobody_asks = {0};
    if (slice_equal_nocase(f->name, SLICE("Set-Cookie"))) return redact_set_cookie(f->value, a);
    if (slice_equal_nocase(f->name, SLICE("Referer"))) return redactor_target(r, f->value, &nobody_asks, a);
    return is_secret_header(r, f->name) ? SLICE(RECORD_REDACTED) : arena_copy(a, f->value);
}

struct fields redactor_headers(const struct redactor *r, const struct fields *from, struct fields *redacted,
                               struct arena *a) {
    struct fields to = {0};
    for (size_t i = 0; i < from->count; i++) {
        struct slice name = arena_copy(a, from->items[i].name);
        bool secret = slice_equal_nocase(name, SLICE("Set-Cookie")) || is_secret_header(r, name);
        fields_add(&to, a, name, kept_value(r, &from->items[i], a));
        if (secret) note(redacted, a, SLICE("header"), name);
    }
    return to;
}

/* Pair by pair as it stands, so that the rest keeps its spelling. The pairs are those that a guard would see
 * (credential.c), names decoded. */
struct slice redactor_target(const struct redactor *r, struct slice target, struct fields *redacted, struct arena *a) {
    struct slice query = target, path, pair;
    struct buf out = {0};
    slice_next(&query, '?', &path);
    buf_append_slice(&out, path);
    for (char mark = '?'; slice_next(&query, '&', &pair); mark = '&') {
        struct slice rest = pair, name, value;
        bool named = url_query_next(&rest, &name, &value);
        struct slice decoded = named ? url_decode(a, name, URL_PLUS_IS_BLANK) : SLICE_NONE;
        bool secret = named && is_place(r, CREDENTIAL_QUERY, decoded);
        buf_append_char(&out, mark);
        buf_append_slice(&out, secret ? name : pair);
        if (!secret) continue;
        buf_append_text(&out, "=" RECORD_REDACTED);
        note(redacted, a, SLICE("query"), arena_copy(a, decoded));
    }
    struct slice kept = arena_copy(a, buf_slice(&out));
    buf_free(&out);
    return kept;
}
