#include "gateway/command/replay/replay_request.h"
#include "gateway/base/memory.h"
#include "gateway/invocation/invocation.h"

/* What the connection says by itself. */
static const struct slice connection_headers[] = {
    {"Content-Length", 14}, {"Transfer-Encoding", 17},
    {"Connection", 10},     {"Keep-Alive", 10},
    {"Expect", 6},          {"TE", 2},
    {"Upgrade", 7},         {"Trailer", 7},
};

static const enum failure failures_of_the_hour[] = {
    FAILURE_CLIENT_GONE, FAILURE_REQUEST_TIMEOUT,   FAILURE_RATE_LIMITED,  FAILURE_OVERLOADED,    FAILURE_QUEUE_FULL,
    FAILURE_UNAVAILABLE, FAILURE_GUARD_UNAVAILABLE, FAILURE_QUEUE_TIMEOUT, FAILURE_SHUTTING_DOWN,
};

bool replay_failure_is_of_the_hour(struct slice slug) {
    for (size_t i = 0; i < ARRAY_LEN(failures_of_the_hour); i++)
        if (slice_equal(slug, slice_of(failure_row(failures_of_the_hour[i])->slug))) return true;
    return false;
}

static bool is_of_connection(struct slice name) {
    for (size_t i = 0; i < ARRAY_LEN(connection_headers); i++)
        if (slice_equal_nocase(connection_headers[i], name)) return true;
    return false;
}

static bool is_left_out(const struct record *r, enum replay_way way, const struct fields *given, struct slice name) {
    if (is_of_connection(name) || record_redacts(r, SLICE("header"), name)) return true;
    if (given && !slice_is_none(fields_get(given, name))) return true;
    if (way == REPLAY_TO_URL && slice_equal_nocase(name, SLICE("Host"))) return true;
    return !slice_is_none(r->answer.encoded) && slice_equal_nocase(name, SLICE("Accept-Encoding"));
}

static void make_headers(struct replay_request *q, const struct record *r, enum replay_way way,
                         const struct fields *given, struct arena *a) {
    for (size_t i = 0; i < r->request.headers.count; i++) {
        const struct field *f = &r->request.headers.items[i];
        if (!is_left_out(r, way, given, f->name)) fields_add(&q->headers, a, f->name, f->value);
    }
    for (size_t i = 0; given && i < given->count; i++)
        fields_add(&q->headers, a, given->items[i].name, given->items[i].value);
    if (way == REPLAY_HERE && !slice_is_none(q->body))
        fields_add(&q->headers, a, SLICE("Content-Length"), arena_printf(a, "%zu", q->body.n));
}

/* A bracket cannot stand in a target (RFC 3986 3.4), so the mark is nobody's own value. */
static struct slice make_target(struct slice target, struct arena *a) {
    static const struct slice mark = {"=" RECORD_REDACTED, sizeof RECORD_REDACTED};
    struct slice query = target, path, pair;
    struct buf out = {0};
    slice_next(&query, '?', &path);
    buf_append_slice(&out, path);
    for (char separator = '?'; slice_next(&query, '&', &pair);) {
        bool redacted = pair.n > mark.n && slice_equal(slice_make(pair.p + pair.n - mark.n, mark.n), mark);
        if (redacted) continue;
        buf_append_char(&out, separator);
        buf_append_slice(&out, pair);
        separator = '&';
    }
    struct slice made = arena_copy(a, buf_slice(&out));
    buf_free(&out);
    return made;
}

static struct slice name_left_out(const struct record *r, const struct fields *given, struct arena *a) {
    struct buf out = {0};
    for (size_t i = 0; i < r->redacted.count; i++) {
        const struct field *f = &r->redacted.items[i];
        bool header = slice_equal(f->name, SLICE("header"));
        if (header && given && !slice_is_none(fields_get(given, f->value))) continue;
        if (out.n) buf_append_text(&out, ", ");
        if (!header) buf_printf(&out, SLICE_FMT " ", SLICE_ARG(f->name));
        buf_append_slice(&out, f->value);
    }
    struct slice names = out.n ? arena_copy(a, buf_slice(&out)) : SLICE_NONE;
    buf_free(&out);
    return names;
}

void replay_request_make(struct replay_request *q, const struct record *r, enum replay_way way,
                         const struct fields *given, struct arena *a) {
    *q = (struct replay_request){.method = r->request.method, .body = r->request.body.bytes};
    q->target = make_target(r->request.target, a);
    make_headers(q, r, way, given, a);
    q->left_out = name_left_out(r, given, a);
}

static bool is_http(const struct record *r) {
    return slice_equal(r->trigger, slice_of(trigger_kind_name(TRIGGER_HTTP)));
}

/* Here the claims open the guards; elsewhere only the credentials would. */
static bool lacks_credentials(const struct replay_request *q, const struct record *r, enum replay_way way) {
    bool vouched = way == REPLAY_HERE && !slice_is_none(r->claims);
    return r->guarded && !vouched && !slice_is_none(q->left_out);
}

/* No --header could stand in for it. */
static bool is_all_in_query(const struct fields *redacted) {
    for (size_t i = 0; i < redacted->count; i++)
        if (!slice_equal(redacted->items[i].name, SLICE("query"))) return false;
    return true;
}

struct slice replay_request_obstacle(const struct replay_request *q, const struct record *r, enum replay_way way) {
    bool by_name = slice_equal(r->trigger, slice_of(trigger_kind_name(TRIGGER_INVOKE)));
    if (!by_name && !is_http(r)) return SLICE("it was neither a request nor an invocation by name");
    if (by_name && way == REPLAY_TO_URL) return SLICE("an invocation by name has no URL; without --to it can be sent");
    if (!slice_is_none(r->request.body.cut)) return SLICE("the record has not all of the request's body");
    if (replay_failure_is_of_the_hour(r->answer.failure.slug))
        return SLICE("how it ended was a matter of the hour, not of the handler");
    if (!lacks_credentials(q, r, way)) return SLICE_NONE;
    if (way == REPLAY_TO_URL && is_all_in_query(&r->redacted))
        return SLICE("a guard asks for a query parameter that was redacted; without --to it can be sent");
    if (way == REPLAY_TO_URL) return SLICE("a guard asks for what was redacted; give it with --header");
    return SLICE("a guard refused it, and the credential is redacted");
}
