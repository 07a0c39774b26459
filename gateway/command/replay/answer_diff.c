#include "gateway/command/replay/answer_diff.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/command/replay/json_diff.h"

#define SHOWN_MOST 120 /* bytes of a value */
#define COUNT_MOST 100 /* differences of one answer */

/* Another with every answer, or said by the connection and not by the handler. */
static const struct slice volatile_headers[] = {
    {"Date", 4},
    {"Server", 6},
    {"Age", 3},
    {"X-Request-Id", 12},
    {"X-Amzn-RequestId", 16},
    {"X-Amzn-Trace-Id", 15},
    {"traceparent", 11},
    {"tracestate", 10},
    {"Server-Timing", 13},
    {"RateLimit", 9},
    {"RateLimit-Policy", 16},
    {"RateLimit-Limit", 15},
    {"RateLimit-Remaining", 19},
    {"RateLimit-Reset", 15},
    {"Retry-After", 11},
    {"Content-Length", 14}, /* the bodies are compared */
    {"Transfer-Encoding", 17},
    {"Connection", 10},
    {"Keep-Alive", 10},
    {"Alt-Svc", 7},
};

static struct slice shown(struct arena *a, struct slice value) {
    struct buf out = {0};
    if (slice_is_none(value)) return value;
    text_append_quoted(&out, value, SHOWN_MOST);
    struct slice copy = arena_copy(a, out.n ? buf_slice(&out) : SLICE(""));
    buf_free(&out);
    return copy;
}

void answer_diff_add(struct answer_diff *d, struct slice path, struct slice was, struct slice now) {
    if (d->count++ >= COUNT_MOST) return;
    if (!d->first) d->end = &d->first;
    struct difference *found = arena_zalloc(d->arena, sizeof *found);
    found->path = arena_copy(d->arena, path);
    found->was = shown(d->arena, was);
    found->now = shown(d->arena, now);
    *d->end = found;
    d->end = &found->next;
}

static bool is_ignored(const struct answer_diff *d, struct slice name) {
    for (size_t i = 0; i < d->ignored_count; i++)
        if (slice_equal_nocase(d->ignored[i], name)) return true;
    return false;
}

static void compare_texts(struct answer_diff *d, struct slice path, struct slice was, struct slice now) {
    if (!slice_equal(was, now) && !is_ignored(d, path)) answer_diff_add(d, path, was, now);
}

/* --- headers --- */

static bool is_volatile(struct slice name) {
    for (size_t i = 0; i < ARRAY_LEN(volatile_headers); i++)
        if (slice_equal_nocase(volatile_headers[i], name)) return true;
    return false;
}

/* All values of a name in order; absent when there is none. */
static struct slice joined(struct arena *a, const struct fields *f, struct slice name) {
    struct buf out = {0};
    bool found = false;
    for (size_t i = 0; i < f->count; i++) {
        struct slice value = f->items[i].value;
        if (!slice_equal_nocase(f->items[i].name, name)) continue;
        bool weak = slice_equal_nocase(name, SLICE("ETag")) && slice_starts_with(value, SLICE("W/"));
        if (found) buf_append_text(&out, ", ");
        buf_append_slice(&out, weak ? slice_make(value.p + 2, value.n - 2) : value);
        found = true;
    }
    struct slice all = found ? arena_copy(a, out.n ? buf_slice(&out) : SLICE("")) : SLICE_NONE;
    buf_free(&out);
    return all;
}

static bool is_first_of_its_name(const struct fields *f, size_t index) {
    for (size_t i = 0; i < index; i++)
        if (slice_equal_nocase(f->items[i].name, f->items[index].name)) return false;
    return true;
}

static void compare_header(struct answer_diff *d, const struct fields *was, const struct fields *now,
                           struct slice name) {
    if (is_volatile(name) || is_ignored(d, name)) return;
    struct slice left = joined(d->arena, was, name), right = joined(d->arena, now, name);
    bool equal = slice_is_none(left) == slice_is_none(right) && slice_equal(left, right);
    if (!equal) answer_diff_add(d, name, left, right);
}

static void compare_headers(struct answer_diff *d, const struct fields *was, const struct fields *now) {
    for (size_t i = 0; i < was->count; i++)
        if (is_first_of_its_name(was, i)) compare_header(d, was, now, was->items[i].name);
    for (size_t i = 0; i < now->count; i++) {
        bool is_new = slice_is_none(fields_get(was, now->items[i].name)) && is_first_of_its_name(now, i);
        if (is_new) compare_header(d, was, now, now->items[i].name);
    }
}

/* --- bodies --- */

static void on_json_difference(void *context, struct slice path, struct slice was, struct slice now) {
    answer_diff_add(context, path, was, now);
}

#define PROBLEM_TYPE SLICE("application/problem+json")

/* The problem objects of the gateway (RFC 9457) name the request. */
static bool compare_json(struct answer_diff *d, struct slice type, struct slice was, struct slice now) {
    size_t count = d->ignored_count;
    struct slice *ignored = arena_alloc(d->arena, (count + 1) * sizeof *ignored);
    if (count) memcpy(ignored, d->ignored, count * sizeof *ignored);
    if (slice_starts_with_nocase(type, PROBLEM_TYPE)) ignored[count++] = SLICE("body.requestId");
    const struct json_diff diff = {
        .ignored = ignored, .ignored_count = count, .on_difference = on_json_difference, .context = d};
    return json_diff(&diff, SLICE("body"), was, now);
}

static void compare_lines(struct answer_diff *d, struct slice was, struct slice now) {
    struct slice left = SLICE_NONE, right = SLICE_NONE;
    size_t line = 0;
    do {
        if (!slice_next(&was, '\n', &left)) left = SLICE_NONE;
        if (!slice_next(&now, '\n', &right)) right = SLICE_NONE;
        line++;
    } while (slice_equal(left, right) && slice_is_none(left) == slice_is_none(right));
    answer_diff_add(d, arena_printf(d->arena, "body line %zu", line), left, right);
}

static void compare_bytes(struct answer_diff *d, struct slice was, struct slice now) {
    size_t at = 0;
    while (at < was.n && at < now.n && was.p[at] == now.p[at]) at++;
    answer_diff_add(d, SLICE("body"), arena_printf(d->arena, "%zu bytes", was.n),
                    arena_printf(d->arena, "%zu bytes, another from byte %zu on", now.n, at + 1));
}

static bool is_text(struct slice s) {
    return text_utf8_prefix(s) == s.n && (!s.n || !memchr(s.p, '\0', s.n));
}

/* An answer without a type, as those to invocations by name are, is JSON if it can be read as such. */
static bool may_be_json(struct slice type) {
    if (slice_is_none(type)) return true;
    ptrdiff_t end = slice_find(type, ';');
    struct slice media = slice_trim(end < 0 ? type : slice_make(type.p, (size_t)end));
    size_t n = media.n;
    return slice_equal_nocase(media, SLICE("application/json")) ||
           (n > 5 && slice_equal_nocase(slice_make(media.p + n - 5, 5), SLICE("+json")));
}

static void compare_bodies(struct answer_diff *d, const struct record *then, const struct record_answer *now) {
    struct slice was = then->answer.body.bytes, is = now->body.bytes;
    struct slice type = fields_get(&then->answer.headers, SLICE("Content-Type"));
    if (!slice_is_none(then->answer.body.cut)) {
        d->not_compared = arena_printf(d->arena, "the recorded one is cut: " SLICE_FMT,
                                       SLICE_ARG(then->answer.body.cut));
        return;
    }
    if (!slice_is_none(now->body.cut)) answer_diff_add(d, SLICE("body"), SLICE("whole"), now->body.cut);
    if (slice_equal(was, is) || is_ignored(d, SLICE("body")) || !slice_is_none(now->body.cut)) return;
    if (may_be_json(type) && compare_json(d, type, was, is)) return;
    if (is_text(was) && is_text(is))
        compare_lines(d, was, is);
    else
        compare_bytes(d, was, is);
}

/* --- all of it --- */

void answer_diff(struct answer_diff *d, const struct record *then, const struct record_answer *now) {
    const struct record_answer *was = &then->answer;
    struct arena *a = d->arena;
    compare_texts(d, SLICE("status"), arena_printf(a, "%llu", (unsigned long long)was->status),
                  arena_printf(a, "%llu", (unsigned long long)now->status));
    if (d->sight == FAILURES_SEEN) {
        compare_texts(d, SLICE("error"), was->failure.slug, now->failure.slug);
        compare_texts(d, SLICE("error.type"), was->failure.type, now->failure.type);
        compare_texts(d, SLICE("error.message"), was->failure.message, now->failure.message);
    }
    compare_headers(d, &was->headers, &now->headers);
    if (!slice_equal(then->request.method, SLICE("HEAD"))) compare_bodies(d, then, now);
}
