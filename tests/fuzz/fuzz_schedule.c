/* Expressions: what schedule_parse accepts has runs that come one after the other, in every kind of zone; what it
 * refuses is refused in words, at a column inside the text. Zone files: whatever zone_parse accepts answers. Notes and
 * moments: what is read and written again reads the same. */
#include "gateway/schedule/moment.h"
#include "gateway/schedule/note.h"
#include "gateway/schedule/schedule.h"
#include <stdlib.h>

#define FROM_S 1790000000
#define RUNS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds) {
    if (!holds) abort();
}

static void check_runs(struct schedule *s, const struct zone *zone) {
    int64_t runs[RUNS], latest[RUNS], at_s = FROM_S;
    size_t count = 0;
    s->zone = zone;
    for (; count < RUNS && (at_s = schedule_next(s, at_s)) != SCHEDULE_NEVER; count++) {
        must(at_s > (count ? runs[count - 1] : FROM_S));
        runs[count] = at_s;
    }
    if (count == 0) return;
    must(schedule_latest(s, FROM_S, runs[count - 1], latest, RUNS) == count);
    must(memcmp(runs, latest, count * sizeof *runs) == 0);
}

static void check_zone(struct slice bytes, struct arena *a) {
    struct error e;
    struct zone_rule r;
    const struct zone *z = zone_parse(a, bytes, &e);
    int64_t at_s = 0;
    for (int i = 0; z && i < RUNS && at_s != ZONE_NEVER; i++) {
        int64_t next_s = zone_next_change(z, at_s);
        must(next_s > at_s);
        at_s = next_s;
    }
    if (zone_rule_parse(&r, bytes)) must(zone_rule_next_change(&r, FROM_S) > FROM_S);
}

static void check_note(struct slice text, struct arena *a) {
    struct schedule_note note, again;
    struct buf written = {0};
    if (!schedule_note_read(&note, text, a)) return;
    schedule_note_write(&written, &note);
    must(schedule_note_read(&again, buf_slice(&written), a));
    must(again.handled_s == note.handled_s && again.ran_s == note.ran_s && again.outcome == note.outcome);
    must(slice_equal(again.schedule, note.schedule) && slice_equal(again.time_zone, note.time_zone));
    buf_free(&written);
}

static void check_moment(struct slice text) {
    char written[MOMENT_SIZE];
    int64_t at_s, again_s;
    if (!moment_read(text, &at_s) || at_s < 0) return;
    moment_text_local(written, at_s, 3600);
    must(moment_read(slice_of(written), &again_s) && again_s == at_s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const zones[] = {"UTC", "Europe/Paris", "Australia/Lord_Howe", "America/Santiago"};
    struct slice text = {(const char *)data, size};
    struct arena a;
    struct schedule s;
    struct error e = {0};
    arena_init(&a, 8192);
    if (schedule_parse(&s, text, &e) == 0) {
        const char *name = zones[size % 4];
        const struct zone *zone = zone_load(&a, slice_of(name), &e);
        must(zone != NULL);
        check_runs(&s, zone);
    } else {
        must(e.message[0] && e.column >= 1 && (size_t)e.column <= size + 1);
    }
    check_zone(text, &a);
    check_note(text, &a);
    check_moment(text);
    arena_free(&a);
    return 0;
}
