#include "local-api/event_schedule.h"
#include "gateway/base/json_write.h"
#include "gateway/schedule/moment.h"
#include "local-api/event.h"

static void write_time(struct json_write *w, uint64_t due_ms) {
    char text[MOMENT_SIZE];
    moment_text_utc(text, (int64_t)(due_ms / 1000));
    json_member(w, SLICE("time"), slice_of(text));
}

static void write_resources(struct json_write *w, struct slice schedule) {
    json_name(w, SLICE("resources"));
    json_open(w, '[');
    buf_append_text(w->out, "\"arn:aws:events:" EVENT_REGION ":" EVENT_ACCOUNT ":rule/");
    json_escape(w->out, schedule);
    buf_append_char(w->out, '"');
    json_close(w, ']');
}

struct slice schedule_event_write(struct buf *out, const struct schedule_event *event) {
    struct json_write w = json_write_to(out);
    json_open(&w, '{');
    json_member(&w, SLICE("version"), SLICE("0"));
    json_member(&w, SLICE("id"), event->id);
    json_member(&w, SLICE("detail-type"), SLICE("Scheduled Event"));
    json_member(&w, SLICE("source"), SLICE("aws.events"));
    json_member(&w, SLICE("account"), SLICE(EVENT_ACCOUNT));
    write_time(&w, event->due_ms);
    json_member(&w, SLICE("region"), SLICE(EVENT_REGION));
    write_resources(&w, event->schedule);
    json_name(&w, SLICE("detail"));
    json_raw(&w, event->input.n ? event->input : SLICE("{}"));
    json_close(&w, '}');
    return SLICE("application/json");
}
