#include "gateway/invocation/invocation.h"
#include "gateway/invocation/pipeline.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static struct slice format_detail(struct arena *a, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static struct slice format_detail(struct arena *a, const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int n = vsnprintf(NULL, 0, format, arguments);
    assert(n >= 0);
    char *text = arena_alloc(a, (size_t)n + 1);
    vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return slice_make(text, (size_t)n);
}

struct outcome outcome_failure(struct invocation *inv, enum failure f, const char *detail_format, ...) {
    struct outcome o = {.failure = f, .status = failure_row(f)->status};
    if (!detail_format) return o;
    va_list arguments;
    va_start(arguments, detail_format);
    o.detail = format_detail(&inv->arena, detail_format, arguments);
    va_end(arguments);
    return o;
}

struct outcome outcome_reported(struct invocation *inv, const struct handler_report *report) {
    struct arena *a = &inv->arena;
    struct handler_report *kept = arena_alloc(a, sizeof *kept);
    *kept = (struct handler_report){.type = arena_copy(a, report->type),
                                    .message = arena_copy(a, report->message),
                                    .stack = arena_copy(a, report->stack),
                                    .posted = arena_copy(a, report->posted),
                                    .retry = report->retry,
                                    .retry_after_ms = report->retry_after_ms};
    struct outcome o = slice_is_none(kept->type) ? outcome_failure(inv, FAILURE_HANDLER_ERROR, NULL)
                                                 : outcome_failure(inv, FAILURE_HANDLER_ERROR, "error type " SLICE_FMT,
                                                                   SLICE_ARG(kept->type));
    o.report = kept;
    return o;
}

struct body *outcome_take_body(struct outcome *o) {
    struct body *b = o->body;
    o->body = NULL;
    return b;
}

void outcome_release(struct outcome *o) {
    struct body *b = outcome_take_body(o);
    if (b) body_release_consumer(b);
}

static void outcome_set_header(struct invocation *inv, struct slice name, struct slice value) {
    fields_remove(&inv->outcome.headers, name);
    fields_add(&inv->outcome.headers, &inv->arena, name, value);
}

static struct body *outcome_problem(const struct invocation *inv) {
    struct buf text = {0};
    failure_write_problem(&text, inv->outcome.failure, inv->outcome.detail, inv->request_id);
    size_t n;
    char *bytes = buf_take(&text, &n);
    return body_of_chunk(chunk_take(bytes, n));
}

void outcome_explain(struct invocation *inv) {
    struct outcome *o = &inv->outcome;
    if (o->failure == FAILURE_NONE) return;
    outcome_release(o);
    o->status = failure_row(o->failure)->status;
    o->body = outcome_problem(inv);
    outcome_set_header(inv, SLICE("Content-Type"), SLICE("application/problem+json"));
    /* A refusal says something about this moment, not about the resource. */
    outcome_set_header(inv, SLICE("Cache-Control"), SLICE("no-store"));
    if (o->retry_after_s)
        outcome_set_header(inv, SLICE("Retry-After"), arena_printf(&inv->arena, "%u", (unsigned)o->retry_after_s));
    if (!slice_is_none(o->allow)) outcome_set_header(inv, SLICE("Allow"), o->allow);
}
