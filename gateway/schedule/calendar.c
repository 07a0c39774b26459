#include "gateway/schedule/calendar.h"
#include <stdbool.h>

#define ERA_YEARS 400 /* after which weekdays and leap years repeat */
#define ERA_DAYS 146097
#define EPOCH_DAYS 719468 /* from 0000-03-01, where eras begin, to 1970-01-01 */

static bool is_leap(int year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Years are taken to begin in March, so that a leap day ends one. 153 days make five months from there on. */
int64_t calendar_day_of(int year, int month, int day) {
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = calendar_floor(y, ERA_YEARS);
    int64_t of_era = y - era * ERA_YEARS;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAYS;
}

struct calendar_date calendar_date_of(int64_t day) {
    int64_t shifted = day + EPOCH_DAYS;
    int64_t era = calendar_floor(shifted, ERA_DAYS);
    int64_t of_era = shifted - era * ERA_DAYS;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    int civil_month = (int)(month < 10 ? month + 3 : month - 9);
    return (struct calendar_date){.year = (int)(year + era * ERA_YEARS + (civil_month <= 2)),
                                  .month = civil_month,
                                  .day = (int)(of_year - (153 * month + 2) / 5 + 1)};
}

int calendar_weekday(int64_t day) {
    int64_t since_sunday = day + 4; /* 1970-01-01 was a Thursday */
    return (int)(since_sunday - calendar_floor(since_sunday, 7) * 7);
}

int calendar_month_days(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}
