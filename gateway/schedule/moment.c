#include "gateway/schedule/moment.h"
#include "gateway/base/text.h"
#include "gateway/schedule/calendar.h"
#include <stdlib.h>

#define YEAR_LEAST 1970
#define YEAR_MOST 9998 /* so that it has four digits in every zone */

/* "2026-03-29T01:00:00" */
static char *write_clock(char *at, int64_t local_s) {
    int64_t day = calendar_floor(local_s, CALENDAR_DAY_S);
    int time_s = (int)(local_s - day * CALENDAR_DAY_S);
    struct calendar_date d = calendar_date_of(day);
    const int fields[] = {d.month, d.day, time_s / 3600, time_s / 60 % 60, time_s % 60};
    text_put_4(at, d.year);
    at += 4;
    for (size_t i = 0; i < 5; i++, at += 3) {
        at[0] = "--T::"[i];
        text_put_2(at + 1, fields[i]);
    }
    return at;
}

void moment_text_utc(char text[MOMENT_SIZE], int64_t at_s) {
    char *end = write_clock(text, at_s);
    end[0] = 'Z';
    end[1] = '\0';
}

void moment_text_local(char text[MOMENT_SIZE], int64_t at_s, int32_t offset_s) {
    char *end = write_clock(text, at_s + offset_s);
    int minutes = abs(offset_s) / 60;
    end[0] = offset_s < 0 ? '-' : '+';
    text_put_2(end + 1, minutes / 60);
    end[3] = ':';
    text_put_2(end + 4, minutes % 60);
    end[6] = '\0';
}

/* Takes `digits` of them and the sign before. */
static bool take_number(struct slice *rest, char sign, size_t digits, int *value) {
    size_t skip = sign ? 1 : 0;
    if (rest->n < skip + digits || (sign && rest->p[0] != sign)) return false;
    *value = 0;
    for (size_t i = skip; i < skip + digits; i++) {
        if (rest->p[i] < '0' || rest->p[i] > '9') return false;
        *value = *value * 10 + (rest->p[i] - '0');
    }
    *rest = slice_make(rest->p + skip + digits, rest->n - skip - digits);
    return true;
}

static bool take_date(struct slice *rest, int64_t *at_s) {
    int year, month, day;
    if (!take_number(rest, '\0', 4, &year) || !take_number(rest, '-', 2, &month) || !take_number(rest, '-', 2, &day))
        return false;
    if (year < YEAR_LEAST || year > YEAR_MOST || month < 1 || month > 12 || day < 1 ||
        day > calendar_month_days(year, month))
        return false;
    *at_s = calendar_day_of(year, month, day) * CALENDAR_DAY_S;
    return true;
}

static bool take_time(struct slice *rest, int64_t *at_s) {
    int hour, minute, second = 0;
    if (rest->n == 0 || rest->p[0] == 'Z' || rest->p[0] == '+' || rest->p[0] == '-') return true;
    if (!take_number(rest, rest->p[0] == ' ' ? ' ' : 'T', 2, &hour) || !take_number(rest, ':', 2, &minute))
        return false;
    if (rest->n && rest->p[0] == ':' && !take_number(rest, ':', 2, &second)) return false;
    *at_s += hour * 3600 + minute * 60 + second;
    return hour < 24 && minute < 60 && second < 60;
}

static bool take_offset(struct slice *rest, int64_t *at_s) {
    int hour, minute;
    if (rest->n == 0) return true;
    if (slice_equal(*rest, SLICE("Z"))) return true;
    int sign = rest->p[0] == '-' ? 1 : -1;
    if (!take_number(rest, sign == 1 ? '-' : '+', 2, &hour) || !take_number(rest, ':', 2, &minute)) return false;
    *at_s += sign * (hour * 3600 + minute * 60);
    return rest->n == 0 && hour < 24 && minute < 60;
}

bool moment_read(struct slice text, int64_t *at_s) {
    return take_date(&text, at_s) && take_time(&text, at_s) && take_offset(&text, at_s);
}
