#include "gateway/command/invoke/invoke_report.h"
#include "gateway/base/json_read.h"
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/command/load.h"
#include <inttypes.h>
#include <stdlib.h>

#define STACK_MOST 4096

/* --- an answer --- */

void invoke_report_head(const struct invoke_plan *p, const struct invoke_answer *a) {
    bool whole = p->printing == PRINT_ANSWER_WHOLE;
    const char *mark = whole ? "" : "< ";
    const char *end = whole ? "\r\n" : "\n";
    struct buf out = {0};
    bool has_head = p->kind == TRIGGER_HTTP || p->kind == TRIGGER_WEBSOCKET;
    if (!has_head || p->printing == PRINT_JSON) return;
    buf_printf(&out, "%sHTTP/1.1 %d%s", mark, a->status, end);
    for (size_t i = 0; i < a->headers->count; i++)
        buf_printf(&out, "%s" SLICE_FMT ": " SLICE_FMT "%s", mark, SLICE_ARG(a->headers->items[i].name),
                   SLICE_ARG(a->headers->items[i].value), end);
    buf_printf(&out, "%s", whole ? end : "");
    command_print(&out, whole ? stdout : stderr);
}

/* --- a failure --- */

static bool is_stack_list(struct slice stack) {
    return stack.n && stack.p[0] == '[';
}

/* A list of lines, as most runtimes send it, or a text. */
static void append_stack(struct buf *out, struct slice stack) {
    struct json_read json;
    struct json_value value;
    struct arena scratch;
    if (stack.n > STACK_MOST || !stack.n) return;
    arena_init(&scratch, 1024);
    json_read_init(&json, stack);
    if (is_stack_list(stack) && json_read_open(&json, '[')) {
        while (json_read_element(&json) && json_read_value(&json, &value)) {
            struct slice line = value.kind == JSON_STRING ? json_text_of(&scratch, value) : value.raw;
            buf_append_text(out, "  ");
            text_append_quoted(out, line, STACK_MOST);
            buf_append_char(out, '\n');
        }
    } else {
        buf_printf(out, "  " SLICE_FMT "\n", SLICE_ARG(stack));
    }
    arena_free(&scratch);
}

static void append_report(struct buf *out, const struct invoke_answer *a) {
    const struct handler_report *r = a->report;
    buf_printf(out, ": " SLICE_FMT, SLICE_ARG(r->type));
    if (r->type.n && r->message.n) buf_append_text(out, ": ");
    text_append_quoted(out, r->message, STACK_MOST);
    buf_append_char(out, '\n');
    append_stack(out, r->stack);
}

/* What the word for a failure does not say by itself. */
struct advice {
    enum failure failure;
    const char *text;
    const char *with_claims; /* instead, when there was --as */
};
#define GUARDED                                                                                                        \
    "The route is guarded: --as sub=NAME takes claims as verified; -H sends a credential (`execgate token` makes "     \
    "one, for guards that fetch their keys with --dev-issuer)."
#define NO_CLIENT                                                                                                      \
    "What does not speak the runtime API needs a mode: `once` a script, `server` an HTTP server (--mode of a bare "    \
    "executable)."
#define NOT_MET "The claims of --as do not meet what the route requires."
static const struct advice advices[] = {
    {FAILURE_UNAUTHORIZED, GUARDED, NOT_MET},
    {FAILURE_FORBIDDEN, GUARDED, NOT_MET},
    {FAILURE_GUARD_UNAVAILABLE, GUARDED, NOT_MET},
    {FAILURE_UNAVAILABLE, NO_CLIENT, NULL},
    {FAILURE_HANDLER_TIMEOUT, "--timeout 5m waits longer, --debug for as long as it takes.", NULL},
    {FAILURE_QUEUE_TIMEOUT, "--timeout 5m waits longer, --debug for as long as it takes.", NULL},
};

static const char *advice_for(const struct invoke_plan *p, enum failure f) {
    if (f == FAILURE_UNAVAILABLE && p->mode != HANDLER_RUNTIME) return NULL;
    for (size_t i = 0; i < ARRAY_LEN(advices); i++) {
        const struct advice *a = &advices[i];
        if (a->failure == f) return p->claims.n && a->with_claims ? a->with_claims : a->text;
    }
    return NULL;
}

static void append_quoted_line(struct buf *out, const char *what, struct slice text) {
    if (!text.n) return;
    buf_append_text(out, what);
    buf_append_slice(out, text);
    buf_append_char(out, '\n');
}

void invoke_report_failure(const struct invoke_plan *p, const struct invoke_answer *a) {
    struct buf out = {0};
    if (a->failure == FAILURE_NONE) return;
    const char *advice = advice_for(p, a->failure);
    buf_printf(&out, "execgate: %s", failure_row(a->failure)->title);
    if (a->report) {
        append_report(&out, a);
    } else {
        if (a->detail.n) buf_printf(&out, ": " SLICE_FMT, SLICE_ARG(a->detail));
        buf_append_char(&out, '\n');
    }
    append_quoted_line(&out, "  it answered: ", a->evidence);
    if (advice) buf_printf(&out, "  %s\n", advice);
    command_print(&out, stderr);
}

/* --- as JSON --- */

static void write_ms(struct json_write *w, struct slice name, uint64_t us) {
    struct buf text = {0};
    buf_printf(&text, "%" PRIu64 ".%03u", us / 1000, (unsigned)(us % 1000));
    json_name(w, name);
    json_raw(w, buf_slice(&text));
    buf_free(&text);
}

static void write_answer(struct json_write *w, struct slice bytes) {
    bool text = text_utf8_prefix(bytes) == bytes.n;
    json_name(w, SLICE("answer"));
    if (text)
        json_text(w, bytes);
    else
        json_base64(w, bytes);
    json_name(w, SLICE("isBase64Encoded"));
    json_bool(w, !text);
}

static void write_if_any(struct json_write *w, struct slice name, struct slice value) {
    if (value.n) json_member(w, name, value);
}

static void write_error(struct json_write *w, const struct invoke_answer *a) {
    const struct handler_report *r = a->report;
    json_name(w, SLICE("error"));
    json_open(w, '{');
    json_member(w, SLICE("failure"), slice_of(failure_row(a->failure)->slug));
    json_member(w, SLICE("title"), slice_of(failure_row(a->failure)->title));
    write_if_any(w, SLICE("detail"), a->detail);
    write_if_any(w, SLICE("evidence"), a->evidence);
    if (r) {
        write_if_any(w, SLICE("type"), r->type);
        write_if_any(w, SLICE("message"), r->message);
    }
    if (r && r->stack.n && json_is_valid(r->stack)) {
        json_name(w, SLICE("stack"));
        json_raw(w, r->stack);
    } else if (r) {
        write_if_any(w, SLICE("stack"), r->stack);
    }
    json_close(w, '}');
}

static void write_logs(struct json_write *w, struct slice output) {
    struct slice line;
    json_name(w, SLICE("logs"));
    json_open(w, '[');
    while (output.n && slice_next(&output, '\n', &line)) json_text(w, line);
    json_close(w, ']');
}

void invoke_report_json(const struct invoke_plan *p, const struct invoke_answer *a) {
    struct buf out = {0};
    struct json_write w = json_write_to(&out);
    bool answered = a->failure == FAILURE_NONE || p->kind == TRIGGER_HTTP;
    json_open(&w, '{');
    json_name(&w, SLICE("ok"));
    json_bool(&w, invoke_exit_status(p, a) == EXIT_OK);
    json_member(&w, SLICE("handler"), slice_of(p->handler));
    json_member(&w, SLICE("id"), a->id);
    if (answered) {
        json_name(&w, SLICE("status"));
        json_number(&w, a->status);
        json_name(&w, SLICE("headers"));
        json_pairs(&w, a->headers);
        write_answer(&w, a->bytes);
    }
    if (a->failure != FAILURE_NONE) write_error(&w, a);
    write_ms(&w, SLICE("duration_ms"), a->duration_us);
    write_ms(&w, SLICE("waited_ms"), a->waited_us);
    write_logs(&w, a->output);
    json_close(&w, '}');
    buf_append_char(&out, '\n');
    command_print(&out, stdout);
}

static int status_of_failure(enum failure f) {
    if (f == FAILURE_NONE) return EXIT_OK;
    if (f == FAILURE_HANDLER_TIMEOUT || f == FAILURE_QUEUE_TIMEOUT) return EXIT_TIMED_OUT;
    return f == FAILURE_SHUTTING_DOWN ? EXIT_UNFINISHED : EXIT_FAILED;
}

int invoke_exit_status(const struct invoke_plan *p, const struct invoke_answer *a) {
    if (a->failure != FAILURE_NONE) return status_of_failure(a->failure);
    return p->fails_on_status && a->status >= 400 ? EXIT_FAILED : EXIT_OK;
}

/* --- many --- */

static int time_order(const void *left, const void *right) {
    const uint64_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

/* The nearest rank: the smallest time that so many per cent are not above. */
static uint64_t percentile(const struct invoke_tally *t, unsigned percent) {
    uint64_t rank = (t->count * percent + 99) / 100;
    return t->times_us[rank ? rank - 1 : 0];
}

static uint64_t tally_errors(const struct invoke_tally *t) {
    uint64_t total = t->bad_statuses;
    for (int f = FAILURE_NONE + 1; f < FAILURE_COUNT; f++) total += t->errors[f];
    return total;
}

struct figure {
    const char *name;
    unsigned percent; /* 0 = the first, 100 = the last */
};
static const struct figure figures[] = {{"min", 0}, {"p50", 50}, {"p90", 90}, {"p99", 99}, {"max", 100}};

static void tally_print_text(const struct invoke_plan *p, const struct invoke_tally *t) {
    uint64_t rate = t->elapsed_us ? t->count * 1000000 / t->elapsed_us : 0;
    printf("%" PRIu64 " invocations of %s, %" PRIu64 " at a time, in %" PRIu64 ".%03" PRIu64 " s (%" PRIu64 "/s)\n",
           t->count, p->handler, p->parallel, t->elapsed_us / 1000000, t->elapsed_us / 1000 % 1000, rate);
    for (size_t i = 0; t->count && i < ARRAY_LEN(figures); i++) {
        uint64_t us = percentile(t, figures[i].percent);
        printf("  %s %8" PRIu64 ".%03" PRIu64 " ms\n", figures[i].name, us / 1000, us % 1000);
    }
    printf("  errors %" PRIu64 "\n", tally_errors(t));
    for (int f = FAILURE_NONE + 1; f < FAILURE_COUNT; f++)
        if (t->errors[f]) printf("    %s %" PRIu64 "\n", failure_row((enum failure)f)->slug, t->errors[f]);
    if (t->bad_statuses) printf("    status 400 and above %" PRIu64 "\n", t->bad_statuses);
}

static void write_count(struct json_write *w, struct slice name, uint64_t n) {
    json_name(w, name);
    json_number(w, (int64_t)n);
}

static void tally_print_json(const struct invoke_plan *p, const struct invoke_tally *t) {
    struct buf out = {0};
    struct json_write w = json_write_to(&out);
    json_open(&w, '{');
    json_name(&w, SLICE("ok"));
    json_bool(&w, tally_errors(t) == 0 && t->count == p->repeat);
    json_member(&w, SLICE("handler"), slice_of(p->handler));
    write_count(&w, SLICE("count"), t->count);
    write_count(&w, SLICE("parallel"), p->parallel);
    write_ms(&w, SLICE("elapsed_ms"), t->elapsed_us);
    json_name(&w, SLICE("latency_ms"));
    json_open(&w, '{');
    for (size_t i = 0; t->count && i < ARRAY_LEN(figures); i++)
        write_ms(&w, slice_of(figures[i].name), percentile(t, figures[i].percent));
    json_close(&w, '}');
    json_name(&w, SLICE("errors"));
    json_open(&w, '{');
    for (int f = FAILURE_NONE + 1; f < FAILURE_COUNT; f++)
        if (t->errors[f]) write_count(&w, slice_of(failure_row((enum failure)f)->slug), t->errors[f]);
    if (t->bad_statuses) write_count(&w, SLICE("status"), t->bad_statuses);
    json_close(&w, '}');
    json_close(&w, '}');
    buf_append_char(&out, '\n');
    command_print(&out, stdout);
}

void invoke_report_tally(const struct invoke_plan *p, struct invoke_tally *t) {
    qsort(t->times_us, t->count, sizeof *t->times_us, time_order);
    if (p->printing == PRINT_JSON)
        tally_print_json(p, t);
    else
        tally_print_text(p, t);
}
