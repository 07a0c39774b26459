#include "gateway/schedule/schedule.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/schedule/calendar.h"

/* --- text --- */

static const char *const unit_names[] = {"seconds", "minutes", "hours", "days", "second", "minute", "hour", "day"};
static const int64_t unit_seconds[] = {1, 60, 3600, CALENDAR_DAY_S};

static int fail_at(struct error *e, size_t column, int code) {
    if (e) e->column = (int)column;
    return code;
}

/* Inside of the parentheses. */
static bool unwrap(struct slice text, struct slice word, struct slice *inside) {
    if (!slice_starts_with_nocase(text, word) || text.n <= word.n || text.p[word.n] != '(') return false;
    size_t end = text.p[text.n - 1] == ')' ? text.n - 1 : text.n;
    *inside = slice_make(text.p + word.n + 1, end - word.n - 1);
    return true;
}

static int parse_unit(struct slice word, size_t column, int64_t *seconds, struct error *e) {
    for (size_t i = 0; i < ARRAY_LEN(unit_names); i++) {
        if (!slice_equal_nocase(word, slice_of(unit_names[i]))) continue;
        *seconds = unit_seconds[i % ARRAY_LEN(unit_seconds)];
        return 0;
    }
    const char *near = text_nearest(word, unit_names, ARRAY_LEN(unit_names));
    error_set(e, ERROR_FORMAT, "rate(...): expected seconds, minutes, hours or days, found \"" SLICE_FMT "\"%s%s%s",
              SLICE_ARG(word), near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    return fail_at(e, column, -ERROR_FORMAT);
}

static int parse_rate(struct schedule *s, struct slice text, struct slice inside, struct error *e) {
    struct slice rest = slice_trim(inside), number = SLICE_NONE;
    uint64_t count = 0;
    int64_t unit = 0;
    size_t column = (size_t)(rest.p - text.p) + 1;
    slice_next(&rest, ' ', &number);
    if (!slice_to_u64(number, &count) || count == 0 || count > (uint64_t)SCHEDULE_RATE_MAX_S)
        return fail_at(
            e, column,
            error_set(e, ERROR_FORMAT, "rate(...): expected a number from 1 on and a unit, such as rate(5 minutes)"));
    struct slice word = slice_is_none(rest) ? SLICE("") : slice_trim(rest);
    column = word.n ? (size_t)(word.p - text.p) + 1 : column;
    int status = parse_unit(word, column, &unit, e);
    if (status < 0) return status;
    s->kind = SCHEDULE_RATE;
    s->rate_s = (int64_t)count * unit;
    if (s->rate_s <= SCHEDULE_RATE_MAX_S) return 0;
    return fail_at(e, column, error_set(e, ERROR_FORMAT, "rate(...): the longest is 366 days"));
}

static int parse_cron(struct schedule *s, enum cron_dialect dialect, struct slice text, struct slice fields,
                      struct error *e) {
    s->kind = SCHEDULE_CRON;
    int status = cron_parse(&s->cron, dialect, fields, e);
    if (status < 0 && e) e->column += (int)(fields.p - text.p);
    return status;
}

static int check_end(struct slice text, struct error *e) {
    if (text.p[text.n - 1] == ')') return 0;
    return fail_at(e, text.n, error_set(e, ERROR_FORMAT, "the closing parenthesis is missing"));
}

int schedule_parse(struct schedule *s, struct slice text, struct error *e) {
    struct slice inside;
    *s = (struct schedule){.kind = SCHEDULE_RATE};
    if (text.n == 0)
        return fail_at(e, 1, error_set(e, ERROR_FORMAT, "expected cron(...), rate(...) or five fields of crontab"));
    if (unwrap(text, SLICE("cron"), &inside)) {
        int status = check_end(text, e);
        return status < 0 ? status : parse_cron(s, CRON_AWS, text, inside, e);
    }
    if (unwrap(text, SLICE("rate"), &inside)) {
        int status = check_end(text, e);
        return status < 0 ? status : parse_rate(s, text, inside, e);
    }
    if (slice_find(text, '(') >= 0)
        return fail_at(e, 1,
                       error_set(e, ERROR_FORMAT,
                                 "expected cron(...), rate(...) or five fields of crontab, found "
                                 "\"" SLICE_FMT "\"",
                                 SLICE_ARG(slice_make(text.p, text.n > 60 ? 60 : text.n))));
    return parse_cron(s, CRON_CLASSIC, text, text, e);
}

/* --- time --- */

static int64_t minute_from(int64_t local_s) {
    return calendar_floor(local_s + 59, 60);
}

/* A time of day that fits and lies in the gap that ends at this change of the clocks. */
static bool gap_has_match(const struct schedule *s, int64_t change_s) {
    int32_t before = zone_offset_s(s->zone, change_s - 1), after = zone_offset_s(s->zone, change_s);
    if (after <= before || s->cron.every_hour) return false;
    int64_t found = cron_find(&s->cron, minute_from(change_s + before));
    return found != CRON_NEVER && found * 60 < change_s + after;
}

/* The end of the time that is shown a second time, if the moment is in it; or else the moment. */
static int64_t skip_repeat(const struct schedule *s, int64_t at_s) {
    int64_t change_s = zone_next_change(s->zone, at_s - CALENDAR_DAY_S);
    for (; change_s <= at_s; change_s = zone_next_change(s->zone, change_s)) {
        int32_t before = zone_offset_s(s->zone, change_s - 1), after = zone_offset_s(s->zone, change_s);
        if (before > after && at_s < change_s + (before - after)) return change_s + (before - after);
    }
    return at_s;
}

/* From `from_s` on, while the offset is the same; *resume_s is where to go on when nothing was found. */
static int64_t find_before_change(const struct schedule *s, int64_t from_s, int64_t *resume_s) {
    int64_t change_s = zone_next_change(s->zone, from_s);
    int32_t offset = zone_offset_s(s->zone, from_s);
    int64_t minute = cron_find(&s->cron, minute_from(from_s + offset));
    *resume_s = SCHEDULE_NEVER;
    if (minute == CRON_NEVER) return SCHEDULE_NEVER;
    int64_t found_s = minute * 60 - offset;
    if (found_s < change_s) return found_s;
    /* Offsets differ by less than two days, so nothing fits before. */
    *resume_s = change_s > found_s - 2 * CALENDAR_DAY_S ? change_s : found_s - 2 * CALENDAR_DAY_S;
    return SCHEDULE_NEVER;
}

static int64_t cron_next(const struct schedule *s, int64_t after_s) {
    int64_t at_s = after_s + 1;
    while (at_s != SCHEDULE_NEVER) {
        int64_t resume_s;
        if (gap_has_match(s, at_s)) return at_s;
        int64_t found_s = find_before_change(s, at_s, &resume_s);
        if (found_s == SCHEDULE_NEVER) {
            at_s = resume_s;
            continue;
        }
        at_s = s->cron.every_hour ? found_s : skip_repeat(s, found_s);
        if (at_s == found_s) return found_s;
    }
    return SCHEDULE_NEVER;
}

int64_t schedule_next(const struct schedule *s, int64_t after_s) {
    if (s->kind == SCHEDULE_CRON) return cron_next(s, after_s);
    return (calendar_floor(after_s, s->rate_s) + 1) * s->rate_s;
}

/* How many there are in (after_s, until_s], counting no further than `enough`. */
static size_t count_in(const struct schedule *s, int64_t after_s, int64_t until_s, size_t enough) {
    size_t count = 0;
    while (count < enough && (after_s = schedule_next(s, after_s)) <= until_s) count++;
    return count;
}

size_t schedule_latest(const struct schedule *s, int64_t after_s, int64_t until_s, int64_t *out, size_t max) {
    int64_t span_s = 60, from_s = after_s;
    size_t count = 0;
    if (max == 0 || after_s >= until_s) return 0;
    for (; span_s < until_s - after_s; span_s *= 2)
        if (count_in(s, until_s - span_s, until_s, max) >= max) break;
    if (span_s < until_s - after_s) from_s = until_s - span_s;
    for (int64_t at_s = from_s; (at_s = schedule_next(s, at_s)) <= until_s; count++) out[count % max] = at_s;
    if (count <= max) return count;
    for (size_t i = count % max; i > 0; i--) { /* the oldest to the front */
        int64_t first = out[0];
        memmove(out, out + 1, (max - 1) * sizeof *out);
        out[max - 1] = first;
    }
    return max;
}
