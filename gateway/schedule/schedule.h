/* schedule.h - when something is to happen, again and again.
 *
 *   cron(0 2 * * ? *)   EventBridge's six fields (cron.h)
 *   0 2 * * *           the five of crontab
 *   rate(5 minutes)     seconds, minutes, hours, days: whenever Unix time is a multiple of it, so that every
 *                       gateway, and the same one after a restart, means the same moments. A zone does not matter.
 *
 * What a cron expression says is read on the clocks of a time zone. Where they are put forward, the times between
 * do not exist; where they are put back, some exist twice. A time of day (the hour does not begin with a star) then
 * happens at the first moment after the gap, once however many times of it were in there, and at the first of two
 * occurrences. An interval (`0 * * * *`, `0/15 * * * ? *`) goes by what the clocks show: nothing is made up for in a
 * gap, and what is shown twice happens twice.
 *
 * Moments are Unix time in seconds.
 */
#pragma once
#include "gateway/schedule/cron.h"
#include "gateway/schedule/zone.h"

#define SCHEDULE_NEVER INT64_MAX
#define SCHEDULE_RATE_MAX_S (366LL * 24 * 3600)

enum schedule_kind { SCHEDULE_RATE, SCHEDULE_CRON };
struct schedule {
    enum schedule_kind kind;
    int64_t rate_s;
    struct cron cron;
    const struct zone *zone; /* of a cron expression; lent */
};

/* All but the zone. The column of an error counts from 1 at the text's beginning. */
int schedule_parse(struct schedule *s, struct slice text, struct error *e) MUST_CHECK;
/* The first moment after this one. */
int64_t schedule_next(const struct schedule *s, int64_t after_s);
/* The latest of the moments in (after_s, until_s], at most `max` of them, oldest first. Returns how many. Costs what
 * these cost, not what lies before them. */
size_t schedule_latest(const struct schedule *s, int64_t after_s, int64_t until_s, int64_t *out, size_t max);
