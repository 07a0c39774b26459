#include "gateway/command/replay/replay_report.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/command/load.h"
#include <inttypes.h>

#define TEXT_MOST 300

static const char *const result_names[] = {[REPLAY_SAME] = "same",
                                           [REPLAY_DIFFERENT] = "different",
                                           [REPLAY_SKIPPED] = "skipped",
                                           [REPLAY_DAMAGED] = "damaged"};

static void append_ms(struct buf *out, uint64_t us) {
    buf_printf(out, "%" PRIu64 ".%03u", us / 1000, (unsigned)(us % 1000));
}

static bool was_compared(const struct replay_finding *f) {
    return f->result == REPLAY_SAME || f->result == REPLAY_DIFFERENT;
}

/* --- as text --- */

/* A file may hold anything, a terminal should not. */
static void append_quoted(struct buf *out, struct slice text, const char *end) {
    text_append_quoted(out, text, TEXT_MOST);
    buf_append_text(out, end);
}

static void print_difference(struct buf *out, const struct difference *d) {
    buf_append_text(out, "    ");
    append_quoted(out, d->path, ": ");
    if (slice_is_none(d->was))
        buf_printf(out, "only now, " SLICE_FMT "\n", SLICE_ARG(d->now));
    else if (slice_is_none(d->now))
        buf_printf(out, "only then, " SLICE_FMT "\n", SLICE_ARG(d->was));
    else
        buf_printf(out, SLICE_FMT " -> " SLICE_FMT "\n", SLICE_ARG(d->was), SLICE_ARG(d->now));
}

static void print_differences(struct buf *out, const struct answer_diff *d) {
    size_t told = 0;
    for (const struct difference *one = d->first; one; one = one->next, told++) print_difference(out, one);
    if (told < d->count) buf_printf(out, "    and %zu more\n", d->count - told);
    if (!slice_is_none(d->not_compared))
        buf_printf(out, "    body: not compared, " SLICE_FMT "\n", SLICE_ARG(d->not_compared));
}

static void print_finding(struct buf *out, const struct replay_finding *f) {
    const struct record *r = f->record;
    buf_printf(out, "%-9s  ", result_names[f->result]);
    if (!r) {
        buf_printf(out, "%s:%zu: " SLICE_FMT "\n", f->line->file, f->line->number, SLICE_ARG(f->why));
        return;
    }
    if (r->handler.n) append_quoted(out, r->handler, "  ");
    append_quoted(out, r->request.method, " ");
    append_quoted(out, r->request.target, "  ");
    buf_append_u64(out, r->answer.status);
    if (was_compared(f)) {
        buf_append_text(out, "  ");
        append_ms(out, r->timing.total_us);
        buf_append_text(out, " ms then, ");
        append_ms(out, f->now_us);
        buf_append_text(out, " ms now");
    }
    buf_append_text(out, f->updated ? "  (updated)\n" : "\n");
    if (f->result != REPLAY_SAME) buf_printf(out, "    %s:%zu\n", f->line->file, f->line->number);
    if (f->why.n) buf_printf(out, "    " SLICE_FMT "\n", SLICE_ARG(f->why));
    if (f->left_out.n && was_compared(f))
        buf_printf(out, "    sent without " SLICE_FMT ", which the record does not hold\n", SLICE_ARG(f->left_out));
    if (f->diff) print_differences(out, f->diff);
}

static void print_summary(const struct replay_report *r, struct buf *out) {
    for (int i = 0; i < REPLAY_RESULTS; i++)
        buf_printf(out, "%s%" PRIu64 " %s", i ? ", " : "", r->counts[i], result_names[i]);
    if (r->updated) buf_printf(out, "; %" PRIu64 " updated", r->updated);
    buf_append_text(out, "; ");
    append_ms(out, r->then_us);
    buf_append_text(out, " ms then, ");
    append_ms(out, r->now_us);
    buf_append_text(out, " ms now\n");
    if (r->counts[REPLAY_SAME] + r->counts[REPLAY_DIFFERENT] == 0) buf_append_text(out, "Nothing was compared.\n");
}

/* --- as JSON --- */

static void write_if_any(struct json_write *w, struct slice name, struct slice text) {
    if (!slice_is_none(text)) json_member(w, name, text);
}

static void write_count(struct json_write *w, struct slice name, uint64_t n) {
    json_name(w, name);
    json_number(w, (int64_t)n);
}

static void write_ms(struct json_write *w, struct slice name, uint64_t us) {
    struct buf text = {0};
    append_ms(&text, us);
    json_name(w, name);
    json_raw(w, buf_slice(&text));
    buf_free(&text);
}

static void write_differences(struct json_write *w, const struct answer_diff *d) {
    json_name(w, SLICE("differences"));
    json_open(w, '[');
    for (const struct difference *one = d->first; one; one = one->next) {
        json_open(w, '{');
        json_member(w, SLICE("path"), one->path);
        write_if_any(w, SLICE("then"), one->was);
        write_if_any(w, SLICE("now"), one->now);
        json_close(w, '}');
    }
    json_close(w, ']');
    write_if_any(w, SLICE("bodyNotCompared"), d->not_compared);
}

static void write_record(struct json_write *w, const struct replay_finding *f) {
    const struct record *r = f->record;
    write_if_any(w, SLICE("id"), r->id);
    write_if_any(w, SLICE("handler"), r->handler);
    json_member(w, SLICE("trigger"), r->trigger);
    json_member(w, SLICE("method"), r->request.method);
    json_member(w, SLICE("target"), r->request.target);
    if (!was_compared(f)) return;
    write_ms(w, SLICE("then_ms"), r->timing.total_us);
    write_ms(w, SLICE("now_ms"), f->now_us);
    write_if_any(w, SLICE("sentWithout"), f->left_out);
    if (f->diff) write_differences(w, f->diff);
    if (!f->updated) return;
    json_name(w, SLICE("updated"));
    json_bool(w, true);
}

static void write_finding(struct json_write *w, const struct replay_finding *f) {
    json_open(w, '{');
    json_member(w, SLICE("result"), slice_of(result_names[f->result]));
    json_member(w, SLICE("file"), slice_of(f->line->file));
    write_count(w, SLICE("line"), f->line->number);
    if (f->record) write_record(w, f);
    write_if_any(w, SLICE("reason"), f->why);
    json_close(w, '}');
}

static void write_summary(struct replay_report *r) {
    struct json_write *w = &r->json;
    json_close(w, ']');
    for (int i = 0; i < REPLAY_RESULTS; i++) write_count(w, slice_of(result_names[i]), r->counts[i]);
    write_count(w, SLICE("updated"), r->updated);
    write_ms(w, SLICE("then_ms"), r->then_us);
    write_ms(w, SLICE("now_ms"), r->now_us);
    json_name(w, SLICE("ok"));
    json_bool(w, replay_report_status(r) == EXIT_OK);
    json_close(w, '}');
    buf_append_char(&r->out, '\n');
}

/* --- both --- */

void replay_report_begin(struct replay_report *r, enum replay_form form) {
    *r = (struct replay_report){.form = form};
    r->json = json_write_to(&r->out);
    if (form == REPLAY_AS_TEXT) return;
    json_open(&r->json, '{');
    json_name(&r->json, SLICE("results"));
    json_open(&r->json, '[');
}

void replay_report_add(struct replay_report *r, const struct replay_finding *f) {
    r->counts[f->result]++;
    r->updated += f->updated;
    if (was_compared(f)) {
        r->then_us += f->record->timing.total_us;
        r->now_us += f->now_us;
    }
    if (r->form == REPLAY_AS_JSON)
        write_finding(&r->json, f);
    else
        print_finding(&r->out, f);
    command_print(&r->out, stdout);
}

void replay_report_end(struct replay_report *r) {
    if (r->form == REPLAY_AS_JSON)
        write_summary(r);
    else
        print_summary(r, &r->out);
    command_print(&r->out, stdout);
    buf_free(&r->out);
}

int replay_report_status(const struct replay_report *r) {
    uint64_t compared = r->counts[REPLAY_SAME] + r->counts[REPLAY_DIFFERENT];
    bool well = compared && r->counts[REPLAY_DAMAGED] == 0 && r->counts[REPLAY_DIFFERENT] == r->updated;
    return well ? EXIT_OK : EXIT_FAILED;
}
