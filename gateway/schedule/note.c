#include "gateway/schedule/note.h"
#include "gateway/base/json_read.h"
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"

static const char *const outcome_names[SCHEDULE_OUTCOMES] = {
    [SCHEDULE_NOT_RUN] = "not run",
    [SCHEDULE_BEGUN] = "begun",
    [SCHEDULE_SUCCEEDED] = "succeeded",
    [SCHEDULE_FAILED] = "failed",
};

const char *schedule_outcome_name(enum schedule_outcome outcome) {
    return outcome_names[outcome];
}

void schedule_note_key(struct buf *out, struct slice name) {
    buf_append_text(out, "schedule/");
    buf_append_slice(out, name);
}

static void write_number(struct json_write *w, struct slice name, int64_t value) {
    json_name(w, name);
    json_number(w, value);
}

void schedule_note_write(struct buf *out, const struct schedule_note *note) {
    struct json_write w = json_write_to(out);
    json_open(&w, '{');
    json_member(&w, SLICE("schedule"), note->schedule);
    json_member(&w, SLICE("timeZone"), note->time_zone);
    write_number(&w, SLICE("handled"), note->handled_s);
    write_number(&w, SLICE("ran"), note->ran_s);
    json_member(&w, SLICE("outcome"), slice_of(outcome_names[note->outcome]));
    json_close(&w, '}');
}

static enum schedule_outcome outcome_of(struct slice name) {
    for (size_t i = 0; i < ARRAY_LEN(outcome_names); i++)
        if (slice_equal(name, slice_of(outcome_names[i]))) return (enum schedule_outcome)i;
    return SCHEDULE_NOT_RUN;
}

/* Members that a later version may add are passed over. */
static void take_member(struct schedule_note *note, struct slice name, struct json_value value, struct arena *a) {
    struct slice text = value.kind == JSON_STRING ? json_text_of(a, value) : SLICE_NONE;
    if (slice_equal(name, SLICE("schedule")))
        note->schedule = text;
    else if (slice_equal(name, SLICE("timeZone")))
        note->time_zone = text;
    else if (slice_equal(name, SLICE("outcome")))
        note->outcome = outcome_of(text);
    else if (slice_equal(name, SLICE("handled")) && !json_int_of(value, &note->handled_s))
        note->schedule = SLICE_NONE;
    else if (slice_equal(name, SLICE("ran")) && !json_int_of(value, &note->ran_s))
        note->schedule = SLICE_NONE;
}

bool schedule_note_read(struct schedule_note *note, struct slice text, struct arena *a) {
    struct json_read r;
    struct slice name;
    struct json_value value;
    *note = (struct schedule_note){.handled_s = INT64_MIN};
    if (slice_is_none(text)) return false;
    json_read_init(&r, text);
    if (!json_read_open(&r, '{')) return false;
    while (json_read_name(&r, a, &name))
        if (json_read_value(&r, &value)) take_member(note, name, value, a);
    return json_read_end(&r) && note->handled_s != INT64_MIN && !slice_is_none(note->schedule) &&
           !slice_is_none(note->time_zone);
}
