/* calendar.h - days of the Gregorian calendar as numbers.
 *
 * A day is counted from 1970-01-01, a minute from that midnight; both may be negative. What "local" means is up to the
 * caller: these functions know no time zones and no leap seconds. The calendar is taken as it is today for
 * all years.
 */
#pragma once
#include <stdint.h>

#define CALENDAR_DAY_S 86400
#define CALENDAR_DAY_MINUTES 1440

struct calendar_date {
    int year;
    int month; /* 1 to 12 */
    int day;   /* 1 to 31 */
};

int64_t calendar_day_of(int year, int month, int day);
struct calendar_date calendar_date_of(int64_t day);
/* 0 = Sunday, 6 = Saturday. */
int calendar_weekday(int64_t day);
int calendar_month_days(int year, int month);
/* Rounded down, below zero too. */
static inline int64_t calendar_floor(int64_t value, int64_t divisor) {
    return value / divisor - (value % divisor < 0);
}
