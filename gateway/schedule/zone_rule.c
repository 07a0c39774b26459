/* The POSIX TZ text, with the extensions of RFC 9636 section 3.3.2. */
#include "gateway/schedule/calendar.h"
#include "gateway/schedule/zone.h"

#define HOURS_MAX 167 /* of the time of a change, either side of midnight */
#define CHANGE_TIME_S 7200

struct reader {
    const char *at, *end;
    bool broken;
};

static char reader_peek(const struct reader *r) {
    return r->at < r->end ? *r->at : '\0';
}

static bool reader_take(struct reader *r, char c) {
    if (reader_peek(r) != c) return false;
    r->at++;
    return true;
}

static void reader_need(struct reader *r, char c) {
    if (!reader_take(r, c)) r->broken = true;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static int reader_number(struct reader *r, int least, int most) {
    int value = 0, digits = 0;
    for (; is_digit(reader_peek(r)) && digits < 4; digits++) value = value * 10 + (*r->at++ - '0');
    if (digits == 0 || value < least || value > most) r->broken = true;
    return value;
}

/* [+-]hh[:mm[:ss]] */
static int32_t reader_time(struct reader *r) {
    int sign = reader_take(r, '-') ? -1 : 1;
    if (sign == 1) reader_take(r, '+');
    int32_t seconds = reader_number(r, 0, HOURS_MAX) * 3600;
    if (reader_take(r, ':')) seconds += reader_number(r, 0, 59) * 60;
    if (reader_take(r, ':')) seconds += reader_number(r, 0, 59);
    return sign * seconds;
}

/* Letters, or anything between angle brackets. */
static void reader_skip_name(struct reader *r) {
    const char *start = r->at;
    bool quoted = reader_take(r, '<');
    while (r->at < r->end && (quoted ? *r->at != '>' : (*r->at | 32) >= 'a' && (*r->at | 32) <= 'z')) r->at++;
    if (quoted) reader_need(r, '>');
    if (r->at - start < 3) r->broken = true;
}

static struct zone_day reader_day(struct reader *r) {
    struct zone_day d = {.kind = ZONE_DAY_OF_YEAR, .time_s = CHANGE_TIME_S};
    if (reader_take(r, 'M')) {
        d.kind = ZONE_WEEKDAY_OF_MONTH;
        d.month = reader_number(r, 1, 12);
        reader_need(r, '.');
        d.week = reader_number(r, 1, 5);
        reader_need(r, '.');
        d.day = reader_number(r, 0, 6);
    } else if (reader_take(r, 'J')) {
        d.kind = ZONE_DAY_WITHOUT_LEAP;
        d.day = reader_number(r, 1, 365);
    } else {
        d.day = reader_number(r, 0, 365);
    }
    if (reader_take(r, '/')) d.time_s = reader_time(r);
    return d;
}

static void reader_daylight(struct reader *r, struct zone_rule *rule) {
    rule->has_daylight = true;
    reader_skip_name(r);
    rule->daylight_s = rule->standard_s + 3600;
    if (reader_peek(r) != ',') rule->daylight_s = -reader_time(r);
    reader_need(r, ',');
    rule->start = reader_day(r);
    reader_need(r, ',');
    rule->end = reader_day(r);
}

bool zone_rule_parse(struct zone_rule *rule, struct slice text) {
    struct reader r = {text.p, text.p + text.n, false};
    *rule = (struct zone_rule){.has_daylight = false};
    reader_skip_name(&r);
    rule->standard_s = -reader_time(&r); /* what is east of Greenwich is written with a minus */
    if (!r.broken && r.at < r.end) reader_daylight(&r, rule);
    return !r.broken && r.at == r.end;
}

static int64_t weekday_of_month(const struct zone_day *d, int year) {
    int64_t first = calendar_day_of(year, d->month, 1);
    int offset = (d->day - calendar_weekday(first) + 7) % 7 + (d->week - 1) * 7;
    if (offset >= calendar_month_days(year, d->month)) offset -= 7; /* week 5 is the last one */
    return first + offset;
}

/* On the clock that is changed. */
static int64_t change_local_s(const struct zone_day *d, int year) {
    int64_t first = calendar_day_of(year, 1, 1), day = first + d->day;
    if (d->kind == ZONE_WEEKDAY_OF_MONTH) day = weekday_of_month(d, year);
    if (d->kind == ZONE_DAY_WITHOUT_LEAP) {
        bool is_after = d->day >= 60 && calendar_month_days(year, 2) == 29;
        day = first + d->day - 1 + is_after;
    }
    return day * CALENDAR_DAY_S + d->time_s;
}

static int year_of(const struct zone_rule *r, int64_t at_s) {
    return calendar_date_of(calendar_floor(at_s + r->standard_s, CALENDAR_DAY_S)).year;
}

int32_t zone_rule_offset_s(const struct zone_rule *r, int64_t at_s) {
    if (!r->has_daylight) return r->standard_s;
    int year = year_of(r, at_s);
    int64_t start = change_local_s(&r->start, year) - r->standard_s;
    int64_t end = change_local_s(&r->end, year) - r->daylight_s;
    bool is_daylight = start < end ? at_s >= start && at_s < end : at_s >= start || at_s < end;
    return is_daylight ? r->daylight_s : r->standard_s;
}

int64_t zone_rule_next_change(const struct zone_rule *r, int64_t after_s) {
    int64_t nearest = ZONE_NEVER;
    int year = year_of(r, after_s);
    for (int y = year - 1; r->has_daylight && y <= year + 1; y++) {
        const int64_t changes[] = {change_local_s(&r->start, y) - r->standard_s,
                                   change_local_s(&r->end, y) - r->daylight_s};
        for (int i = 0; i < 2; i++) {
            bool is_change = zone_rule_offset_s(r, changes[i]) != zone_rule_offset_s(r, changes[i] - 1);
            if (is_change && changes[i] > after_s && changes[i] < nearest) nearest = changes[i];
        }
    }
    return nearest;
}
