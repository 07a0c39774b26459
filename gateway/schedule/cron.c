#include "gateway/schedule/cron.h"
#include "gateway/schedule/calendar.h"

#define SATURDAY 6
#define SUNDAY 0

static bool has(uint64_t set, int n) {
    return set >> n & 1;
}

static bool has_year(const struct cron *c, int year) {
    int n = year - CRON_YEAR_MIN;
    return has(c->years[n / 64], n % 64);
}

/* The lowest member from `from` on; -1. */
static int next_in(uint64_t set, int from) {
    uint64_t rest = from > 63 ? 0 : set >> from << from;
    return rest ? __builtin_ctzll(rest) : -1;
}

/* Monday to Friday, in the same month: AWS and Quartz move Saturdays back and Sundays forward. */
static int working_day_near(int day, int weekday, int month_days) {
    if (weekday == SATURDAY) return day > 1 ? day - 1 : day + 2;
    if (weekday == SUNDAY) return day < month_days ? day + 1 : day - 2;
    return day;
}

struct month {
    int days;
    int first_weekday;
};

static int weekday_in(const struct month *m, int day) {
    return (m->first_weekday + day - 1) % 7;
}

static uint64_t days_of_month(const struct cron *c, const struct month *m) {
    uint64_t set = c->days;
    if (c->last_day) set |= 1ULL << m->days;
    if (c->last_working_day) set |= 1ULL << working_day_near(m->days, weekday_in(m, m->days), m->days);
    for (int day = 1; day <= m->days; day++)
        if (has(c->nearest_weekdays, day)) set |= 1ULL << working_day_near(day, weekday_in(m, day), m->days);
    return set;
}

static uint64_t days_of_week(const struct cron *c, const struct month *m) {
    uint64_t set = 0;
    for (int day = 1; day <= m->days; day++) {
        int weekday = weekday_in(m, day);
        bool is_last = day + 7 > m->days && has(c->last_weekdays, weekday);
        if (is_last || has(c->weekdays, weekday) || has(c->nth_weekdays[weekday], (day - 1) / 7 + 1))
            set |= 1ULL << day;
    }
    return set;
}

static uint64_t days_in(const struct cron *c, int year, int month) {
    const struct month m = {calendar_month_days(year, month), calendar_weekday(calendar_day_of(year, month, 1))};
    uint64_t all = (2ULL << m.days) - 2;
    uint64_t by_date = days_of_month(c, &m), by_weekday = days_of_week(c, &m);
    return all & (c->day_rule == CRON_DAYS_EITHER ? by_date | by_weekday : by_date & by_weekday);
}

/* In the year, at or after this date; CRON_NEVER. */
static int64_t find_day_of_year(const struct cron *c, struct calendar_date from) {
    int month = next_in(c->months, from.month);
    int day = month == from.month ? from.day : 1;
    for (; month > 0; month = next_in(c->months, month + 1), day = 1) {
        int found = next_in(days_in(c, from.year, month), day);
        if (found > 0) return calendar_day_of(from.year, month, found);
    }
    return CRON_NEVER;
}

/* At or after this day; CRON_NEVER. */
static int64_t find_day(const struct cron *c, int64_t day) {
    struct calendar_date d = calendar_date_of(day);
    if (d.year < CRON_YEAR_MIN) d = (struct calendar_date){CRON_YEAR_MIN, 1, 1};
    for (; d.year <= CRON_YEAR_MAX; d = (struct calendar_date){d.year + 1, 1, 1}) {
        int64_t found = has_year(c, d.year) ? find_day_of_year(c, d) : CRON_NEVER;
        if (found != CRON_NEVER) return found;
    }
    return CRON_NEVER;
}

/* A minute of the day, at or after this one; -1. */
static int find_time(const struct cron *c, int from) {
    int hour = from / 60;
    if (has(c->hours, hour)) {
        int minute = next_in(c->minutes, from % 60);
        if (minute >= 0) return hour * 60 + minute;
    }
    hour = next_in(c->hours, hour + 1);
    return hour < 0 ? -1 : hour * 60 + next_in(c->minutes, 0);
}

int64_t cron_find(const struct cron *c, int64_t minute) {
    int64_t day = calendar_floor(minute, CALENDAR_DAY_MINUTES);
    int64_t found = find_day(c, day);
    if (found == CRON_NEVER) return CRON_NEVER;
    int time = find_time(c, found == day ? (int)(minute - day * CALENDAR_DAY_MINUTES) : 0);
    if (time < 0) {
        found = find_day(c, day + 1);
        time = find_time(c, 0);
    }
    return found == CRON_NEVER ? CRON_NEVER : found * CALENDAR_DAY_MINUTES + time;
}
