#include "plugins/auth/credential.h"
#include "gateway/base/buf.h"
#include "gateway/base/http_text.h"
#include "gateway/base/memory.h"

static const struct slice kind_names[] = {[CREDENTIAL_HEADER] = {"header", 6},
                                          [CREDENTIAL_COOKIE] = {"cookie", 6},
                                          [CREDENTIAL_QUERY] = {"query", 5},
                                          [CREDENTIAL_PROTOCOL] = {"protocol", 8}};

const char *credential_kind_name(enum credential_kind k) {
    return kind_names[k].p;
}

int credential_place_parse(struct slice text, struct credential_place *p, struct error *e) {
    struct slice kind;
    slice_next(&text, ':', &kind);
    for (size_t i = 0; i < ARRAY_LEN(kind_names); i++) {
        if (!slice_equal(kind, kind_names[i])) continue;
        *p = (struct credential_place){(enum credential_kind)i, text};
        return text.n && http_is_token(text) ? 0 : error_set(e, ERROR_BLUEPRINT, "a name must follow \"%s:\"", kind.p);
    }
    return error_set(e, ERROR_BLUEPRINT, "expected header:NAME, cookie:NAME, query:NAME or protocol:NAME");
}

/* --- finding --- */

/* One place while it is looked through. */
struct search {
    struct slice name;
    struct slice value;
    size_t hits;
};

static void search_meets(struct search *s, struct slice name, struct slice value) {
    if (!slice_equal(s->name, name)) return;
    if (s->hits++ == 0) s->value = value;
}

/* cookie-string (RFC 6265 4.2.1); the quotes of a value are not part of it. */
static void search_cookies(struct search *s, struct slice list) {
    struct slice pair, name;
    while (slice_next(&list, ';', &pair)) {
        pair = slice_trim(pair);
        if (!slice_next(&pair, '=', &name) || slice_is_none(pair)) continue;
        if (pair.n >= 2 && pair.p[0] == '"' && pair.p[pair.n - 1] == '"') pair = slice_make(pair.p + 1, pair.n - 2);
        search_meets(s, name, pair);
    }
}

static void search_query(struct search *s, struct slice query, struct arena *a) {
    struct slice name, value;
    while (url_query_next(&query, &name, &value))
        search_meets(s, url_decode(a, name, URL_PLUS_IS_BLANK), url_decode(a, value, URL_PLUS_IS_BLANK));
}

/* NAME.CREDENTIAL among the subprotocols that a WebSocket client offers: the only place that a page can fill. */
static bool protocol_carries(struct slice offered, struct slice name) {
    return offered.n > name.n && offered.p[name.n] == '.' && slice_starts_with(offered, name);
}

static void search_protocols(struct search *s, struct slice list) {
    struct slice offered;
    while (slice_next(&list, ',', &offered)) {
        offered = slice_trim(offered);
        if (!protocol_carries(offered, s->name)) continue;
        search_meets(s, s->name, slice_make(offered.p + s->name.n + 1, offered.n - s->name.n - 1));
    }
}

static bool is_protocol_field(const struct field *f) {
    return slice_equal_nocase(f->name, SLICE("sec-websocket-protocol"));
}

static void search_header(struct search *s, const struct fields *f) {
    s->hits = fields_count(f, s->name);
    s->value = fields_get(f, s->name);
}

/* What follows the scheme; absent when the field is of another one. */
static struct slice after_scheme(struct slice field, struct slice scheme) {
    if (field.n <= scheme.n || field.p[scheme.n] != ' ' || !slice_starts_with_nocase(field, scheme)) return SLICE_NONE;
    return slice_trim(slice_make(field.p + scheme.n, field.n - scheme.n));
}

static struct search search_place(const struct credential_place *p, struct invocation *inv) {
    struct search s = {.name = p->name};
    const struct fields *f = &inv->request.headers;
    switch (p->kind) {
    case CREDENTIAL_HEADER: search_header(&s, f); break;
    case CREDENTIAL_QUERY: search_query(&s, inv->request.url.query, &inv->arena); break;
    case CREDENTIAL_COOKIE:
        for (size_t i = 0; i < f->count; i++)
            if (slice_equal_nocase(f->items[i].name, SLICE("cookie"))) search_cookies(&s, f->items[i].value);
        break;
    case CREDENTIAL_PROTOCOL:
        for (size_t i = 0; i < f->count; i++)
            if (is_protocol_field(&f->items[i])) search_protocols(&s, f->items[i].value);
        break;
    }
    return s;
}

enum credential_found credential_find(const struct credential_places *places, struct invocation *inv,
                                      struct slice scheme, struct slice *value) {
    if (!slice_is_none(inv->credential)) {
        *value = inv->credential;
        return CREDENTIAL_FOUND;
    }
    for (size_t i = 0; i < places->count; i++) {
        const struct credential_place *p = &places->items[i];
        struct search s = search_place(p, inv);
        bool schemed = p->kind == CREDENTIAL_HEADER && slice_equal_nocase(p->name, SLICE("authorization"));
        if (s.hits > 1) return CREDENTIAL_REPEATED;
        if (schemed && s.hits && !slice_is_none(scheme)) s.value = after_scheme(s.value, scheme);
        if (s.value.n == 0) continue;
        *value = s.value;
        return CREDENTIAL_FOUND;
    }
    return CREDENTIAL_ABSENT;
}

/* --- taking out --- */

/* The list without the pairs of that name; what is left is as the client wrote it. */
static struct slice cookies_without(struct slice list, struct slice name, struct arena *a) {
    struct buf rest = {0};
    struct slice pair;
    while (slice_next(&list, ';', &pair)) {
        struct slice own = slice_trim(pair), first;
        pair = own;
        slice_next(&own, '=', &first);
        if (slice_equal(first, name)) continue;
        if (rest.n) buf_append_text(&rest, "; ");
        buf_append_slice(&rest, pair);
    }
    struct slice kept = arena_copy(a, rest.n ? buf_slice(&rest) : SLICE(""));
    buf_free(&rest);
    return kept;
}

static void strip_cookie(struct slice name, struct invocation *inv) {
    struct fields *f = &inv->request.headers;
    size_t kept = 0;
    for (size_t i = 0; i < f->count; i++) {
        struct field field = f->items[i];
        bool cookie = slice_equal_nocase(field.name, SLICE("cookie"));
        if (cookie) field.value = cookies_without(field.value, name, &inv->arena);
        if (!cookie || field.value.n) f->items[kept++] = field;
    }
    f->count = kept;
}

/* Pair by pair as it stands, so that the rest keeps its spelling. */
static void query_without(struct buf *out, struct slice query, struct slice name, struct arena *a) {
    struct slice pair;
    while (slice_next(&query, '&', &pair)) {
        struct slice rest = pair, first, value;
        bool named = url_query_next(&rest, &first, &value);
        if (named && slice_equal(url_decode(a, first, URL_PLUS_IS_BLANK), name)) continue;
        if (out->n) buf_append_char(out, '&');
        buf_append_slice(out, pair);
    }
}

static void strip_query(struct slice name, struct invocation *inv) {
    struct request *r = &inv->request;
    struct buf query = {0};
    struct slice target = r->target, before;
    if (slice_is_none(r->url.query) || !slice_next(&target, '?', &before)) return;
    query_without(&query, r->url.query, name, &inv->arena);
    r->url.query = query.n ? arena_copy(&inv->arena, buf_slice(&query)) : SLICE_NONE;
    r->target = query.n ? arena_printf(&inv->arena, SLICE_FMT "?" SLICE_FMT, SLICE_ARG(before), SLICE_ARG(r->url.query))
                        : before;
    buf_free(&query);
}

static struct slice protocols_without(struct slice list, struct slice name, struct arena *a) {
    struct buf rest = {0};
    struct slice offered;
    while (slice_next(&list, ',', &offered)) {
        offered = slice_trim(offered);
        if (protocol_carries(offered, name)) continue;
        if (rest.n) buf_append_text(&rest, ", ");
        buf_append_slice(&rest, offered);
    }
    struct slice kept = arena_copy(a, rest.n ? buf_slice(&rest) : SLICE(""));
    buf_free(&rest);
    return kept;
}

static void strip_protocol(struct slice name, struct invocation *inv) {
    struct fields *f = &inv->request.headers;
    size_t kept = 0;
    for (size_t i = 0; i < f->count; i++) {
        struct field field = f->items[i];
        if (is_protocol_field(&field)) field.value = protocols_without(field.value, name, &inv->arena);
        if (!is_protocol_field(&field) || field.value.n) f->items[kept++] = field;
    }
    f->count = kept;
}

void credential_strip(const struct credential_place *p, struct invocation *inv) {
    switch (p->kind) {
    case CREDENTIAL_HEADER: fields_remove(&inv->request.headers, p->name); break;
    case CREDENTIAL_COOKIE: strip_cookie(p->name, inv); break;
    case CREDENTIAL_QUERY: strip_query(p->name, inv); break;
    case CREDENTIAL_PROTOCOL: strip_protocol(p->name, inv); break;
    }
}
