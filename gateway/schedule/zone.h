/* zone.h - a time zone: how far a region's clocks are from UTC, at any moment.
 *
 * Read from the machine's time zone database, which its packages keep up to date: a TZif file (RFC 9636) below
 * /usr/share/zoneinfo, or $TZDIR. A file lists the changes that are known and ends with a rule (the POSIX TZ
 * text) for all later ones. UTC needs no file. A zone is read once and never changes; nothing
 * here touches the process's own zone, as tzset(3) would.
 */
#pragma once
#include "gateway/base/arena.h"
#include "gateway/base/error.h"

#define ZONE_NEVER INT64_MAX
#define ZONE_NAME_MAX 64

struct zone;
/* In `a`. NULL, with what may have been meant, when there is no such zone. */
const struct zone *zone_load(struct arena *a, struct slice name, struct error *e);
/* From the bytes of a file. */
const struct zone *zone_parse(struct arena *a, struct slice bytes, struct error *e);
/* Seconds to add to a moment (Unix time, seconds) in UTC for what the region's clocks show. */
int32_t zone_offset_s(const struct zone *z, int64_t at_s);
/* The first moment after this one at which the offset is another one; ZONE_NEVER. */
int64_t zone_next_change(const struct zone *z, int64_t after_s);

/* zone_rule.c: the rule at the end. */
enum zone_day_kind { ZONE_DAY_OF_YEAR, ZONE_DAY_WITHOUT_LEAP, ZONE_WEEKDAY_OF_MONTH };
struct zone_day {
    enum zone_day_kind kind;
    int day; /* of the year from 0; without leap days from 1; weekday from Sunday = 0 */
    int month, week;
    int32_t time_s; /* of the clock before the change; may be negative or more than a day */
};
struct zone_rule {
    int32_t standard_s, daylight_s; /* offsets */
    bool has_daylight;
    struct zone_day start, end; /* of daylight saving time */
};
/* "CET-1CEST,M3.5.0,M10.5.0/3" */
bool zone_rule_parse(struct zone_rule *r, struct slice text);
int32_t zone_rule_offset_s(const struct zone_rule *r, int64_t at_s);
int64_t zone_rule_next_change(const struct zone_rule *r, int64_t after_s);
