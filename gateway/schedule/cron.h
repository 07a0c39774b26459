/* cron.h - which minutes a cron expression means, on a clock without a zone.
 *
 * Two dialects make the same sets of minutes, hours, days, months and years:
 *
 *   CRON_AWS      minute hour day-of-month month day-of-week year, as in EventBridge's cron(...). Weekdays are 1 (SUN)
 *                 to 7 (SAT). One of the two days is `?`; `L` is the last day of the month or the week, `6L` the last
 *                 Friday, `15W` the weekday (Monday to Friday) nearest the 15th in that month, `LW` the last weekday,
 *                 `3#2` the second Tuesday.
 *   CRON_CLASSIC  minute hour day-of-month month day-of-week, as in crontab(5). Weekdays are 0 to 7, 0 and 7 are SUN.
 *                 When neither of the two days begins with a star, a day that fits either of them is meant.
 *
 * Both know names (JAN, MON; any case), lists `1,15`, ranges `1-5`, steps `1-30/2` and `*` with a step; AWS also
 * `5/15`, from 5 on. A minute is counted from 1970-01-01T00:00 of whatever clock; there is nothing after 2199.
 */
#pragma once
#include "gateway/base/error.h"
#include "gateway/base/slice.h"

enum cron_dialect { CRON_CLASSIC, CRON_AWS };
enum cron_days { CRON_DAYS_BOTH, CRON_DAYS_EITHER };

#define CRON_YEAR_MIN 1970
#define CRON_YEAR_MAX 2199
#define CRON_NEVER INT64_MIN

/* Bit n stands for the number n; of years, for CRON_YEAR_MIN + n. */
struct cron {
    uint64_t minutes, hours, days, months;
    uint64_t weekdays; /* 0 = Sunday */
    uint64_t years[4];
    uint64_t nearest_weekdays; /* 15W */
    uint64_t last_weekdays;    /* of the month: 6L */
    uint8_t nth_weekdays[7];   /* by weekday, bit n for the nth: 3#2 */
    bool last_day, last_working_day;
    enum cron_days day_rule;
    bool every_hour; /* the hour begins with a star: it is an interval rather than a time of day */
};

/* The column of an error counts from 1 at the text's beginning. An expression that no day ever fits is refused, too. */
int cron_parse(struct cron *c, enum cron_dialect dialect, struct slice text, struct error *e) MUST_CHECK;
/* The first minute at or after this one; CRON_NEVER. */
int64_t cron_find(const struct cron *c, int64_t minute);
