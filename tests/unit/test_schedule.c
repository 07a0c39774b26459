/* When schedules fire. Expectations were counted minute by minute with another time zone library;
 * tests/e2e/test_schedule.py does so again, over whole years. */
#include "gateway/base/buf.h"
#include "gateway/base/clock.h"
#include "gateway/base/memory.h"
#include "gateway/schedule/calendar.h"
#include "gateway/schedule/schedule.h"
#include "tests/unit/unit.h"
#include <stdio.h>

/* "2026-03-29T01:00" */
static int64_t moment(const char *text) {
    int year, month, day, hour = 0, minute = 0, second = 0;
    assert_true(sscanf(text, "%d-%d-%dT%d:%d:%d", &year, &month, &day, &hour, &minute, &second) >= 3);
    return calendar_day_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
}

static void make(struct schedule *s, struct arena *a, const char *text, const char *zone) {
    struct error e = {0};
    if (schedule_parse(s, slice_of(text), &e) < 0) fail_msg("%s: %s", text, e.message);
    s->zone = zone_load(a, slice_of(zone), &e);
    if (!s->zone) fail_msg("%s: %s", zone, e.message);
}

static void check_runs(const char *text, const char *zone, const char *from, const char *expected) {
    struct schedule s;
    struct arena a;
    char runs[1024] = "", run[25];
    size_t n = 0;
    arena_init(&a, 4096);
    make(&s, &a, text, zone);
    int64_t at_s = moment(from) - 1;
    for (size_t left = (strlen(expected) + 16) / 17; left; left--) {
        at_s = schedule_next(&s, at_s);
        if (at_s == SCHEDULE_NEVER) {
            n += (size_t)snprintf(runs + n, sizeof runs - n, "%snever", n ? " " : "");
            break;
        }
        clock_iso_time((uint64_t)at_s * 1000, run);
        n += (size_t)snprintf(runs + n, sizeof runs - n, "%s%.16s", n ? " " : "", run);
    }
    if (strcmp(runs, expected) != 0) fail_msg("%s in %s: %s instead of %s", text, zone, runs, expected);
    arena_free(&a);
}

static void clocks_that_change(void **state) {
    (void)state;
    static const struct {
        const char *text, *zone, *from, *expected;
    } rows[] = {
        {"30 2 * * *", "Europe/Paris", "2026-03-28", "2026-03-28T01:30 2026-03-29T01:00 2026-03-30T00:30"},
        {"30 2 * * *", "Europe/Paris", "2026-10-24", "2026-10-24T00:30 2026-10-25T00:30 2026-10-26T01:30"},
        {"cron(30 2 * * ? *)", "Europe/Paris", "2026-10-25T00:31", "2026-10-26T01:30"},
        {"*/10 2 * * *", "Europe/Paris", "2026-03-29", "2026-03-29T01:00 2026-03-30T00:00"},
        {"*/30 * * * *", "Europe/Paris", "2026-10-24T23:30",
         "2026-10-24T23:30 2026-10-25T00:00 2026-10-25T00:30 2026-10-25T01:00 2026-10-25T01:30 2026-10-25T02:00"},
        {"30 * * * *", "Europe/Paris", "2026-03-29", "2026-03-29T00:30 2026-03-29T01:30 2026-03-29T02:30"},
        {"0 2,3 * * *", "Europe/Paris", "2026-03-29", "2026-03-29T01:00 2026-03-30T00:00"},
        {"0 2 * * *", "America/New_York", "2026-03-07", "2026-03-07T07:00 2026-03-08T07:00 2026-03-09T06:00"},
        {"30 1 * * *", "America/New_York", "2026-10-31", "2026-10-31T05:30 2026-11-01T05:30 2026-11-02T06:30"},
        {"15 2 * * *", "Australia/Lord_Howe", "2026-10-02", "2026-10-02T15:45 2026-10-03T15:30 2026-10-04T15:15"},
        {"45 1 * * *", "Australia/Lord_Howe", "2026-04-03", "2026-04-03T14:45 2026-04-04T14:45 2026-04-05T15:15"},
        {"0 6 * * *", "Asia/Kathmandu", "2026-01-01", "2026-01-01T00:15 2026-01-02T00:15"},
        {"0 12 30 12 *", "Pacific/Apia", "2011-12-28", "2011-12-30T10:00"}, /* a whole day left out */
        {"0 0 * * *", "Asia/Beirut", "2024-03-29", "2024-03-29T22:00 2024-03-30T22:00 2024-03-31T21:00"},
        {"0 2 * * *", "Europe/Paris", "2090-03-25", "2090-03-25T01:00 2090-03-26T01:00 2090-03-27T00:00"},
        {"0 12 1 7 *", "Europe/Dublin", "2055-01-01", "2055-07-01T11:00 2056-07-01T11:00"},
        {"0 12 1 1 *", "America/Sao_Paulo", "2055-01-01", "2055-01-01T15:00"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) check_runs(rows[i].text, rows[i].zone, rows[i].from, rows[i].expected);
}

static void days_that_fit(void **state) {
    (void)state;
    static const struct {
        const char *text, *from, *expected;
    } rows[] = {
        {"cron(0 10 * * ? *)", "2026-01-01T10:00", "2026-01-01T10:00 2026-01-02T10:00"},
        {"cron(15 12 * * ? *)", "2026-01-01T12:15:01", "2026-01-02T12:15"},
        {"cron(0 18 ? * MON-FRI *)", "2026-01-02", "2026-01-02T18:00 2026-01-05T18:00"},
        {"cron(0/10 * ? * MON-FRI *)", "2026-01-02T23:45", "2026-01-02T23:50 2026-01-05T00:00"},
        {"cron(5/20 8 1 * ? *)", "2026-01-01", "2026-01-01T08:05 2026-01-01T08:25 2026-01-01T08:45 2026-02-01T08:05"},
        {"cron(0 0 L * ? *)", "2028-01-30", "2028-01-31T00:00 2028-02-29T00:00 2028-03-31T00:00 2028-04-30T00:00"},
        {"cron(0 0 LW * ? *)", "2026-01-01", "2026-01-30T00:00 2026-02-27T00:00 2026-03-31T00:00"},
        {"cron(0 0 1W * ? *)", "2026-08-01", "2026-08-03T00:00 2026-09-01T00:00"},
        {"cron(0 0 15W * ? *)", "2026-02-01", "2026-02-16T00:00 2026-03-16T00:00 2026-04-15T00:00"},
        {"cron(0 0 31W 5 ? *)", "2026-01-01", "2026-05-29T00:00"},
        {"cron(0 0 ? * 3#2 *)", "2026-01-01", "2026-01-13T00:00 2026-02-10T00:00"},
        {"cron(0 0 ? * TUE#5 *)", "2026-01-01", "2026-03-31T00:00 2026-06-30T00:00"},
        {"cron(0 0 ? * 6L *)", "2026-01-01", "2026-01-30T00:00 2026-02-27T00:00"},
        {"cron(0 0 ? * FRIL *)", "2026-01-01", "2026-01-30T00:00"},
        {"cron(0 0 ? * L *)", "2026-01-01", "2026-01-03T00:00 2026-01-10T00:00"},
        {"cron(0 0 ? * 1 *)", "2026-01-01", "2026-01-04T00:00"},
        {"cron(0 0 29 2 ? *)", "2025-01-01", "2028-02-29T00:00 2032-02-29T00:00"},
        {"cron(0 0 29 2 ? *)", "2096-03-01", "2104-02-29T00:00"},
        {"cron(0 0 1 1 ? 2027-2031/2)", "2026-01-01", "2027-01-01T00:00 2029-01-01T00:00 2031-01-01T00:00 never"},
        {"cron(59 23 31 DEC ? *)", "2026-12-31T23:59", "2026-12-31T23:59 2027-12-31T23:59"},
        {"cron(0 0 1 1 ? 2020)", "2026-01-01", ""},
        {"0 0 13 * FRI", "2026-02-01", "2026-02-06T00:00 2026-02-13T00:00 2026-02-20T00:00"},
        {"0 0 13 * *", "2026-02-01", "2026-02-13T00:00 2026-03-13T00:00"},
        {"0 0 */2 * MON", "2026-02-01", "2026-02-09T00:00 2026-02-23T00:00"},
        {"0 0 * * 0", "2026-02-02", "2026-02-08T00:00"},
        {"0 0 * * 7", "2026-02-02", "2026-02-08T00:00"},
        {"0 0 * * 5-7", "2026-02-02", "2026-02-06T00:00 2026-02-07T00:00 2026-02-08T00:00 2026-02-13T00:00"},
        {"0-30/15,50 9-10 1 jan,Jul *", "2026-01-01",
         "2026-01-01T09:00 2026-01-01T09:15 2026-01-01T09:30 2026-01-01T09:50 2026-01-01T10:00"},
        {"rate(5 minutes)", "2026-01-01T00:00:01", "2026-01-01T00:05 2026-01-01T00:10"},
        {"rate(1 hour)", "2026-01-01T00:30", "2026-01-01T01:00 2026-01-01T02:00"},
        {"rate(7 days)", "2026-01-02", "2026-01-08T00:00 2026-01-15T00:00"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *expected = rows[i].expected;
        check_runs(rows[i].text, "UTC", rows[i].from, *expected ? expected : "never");
    }
}

static void mistakes_are_shown_where_they_are(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int column;
        const char *words; /* part of the message */
    } rows[] = {
        {"", 1, "expected cron(...), rate(...)"},
        {"cron(0 0 31 2 ? *)", 6, "never fires"},
        {"cron(0 0 30 FEB ? *)", 6, "never fires"},
        {"0 0 31 4,6,9,11 *", 1, "never fires"},
        {"cron(0 25 * * ? *)", 8, "the hour: 25 is not from 0 to 23"},
        {"cron(60 * * * ? *)", 6, "the minute: 60"},
        {"cron(0 0 * * * *)", 10, "`?`"},
        {"cron(0 0 ? * ? *)", 10, "not both"},
        {"cron(0 0 1 * MON *)", 10, "`?`"},
        {"cron(0 0 ? * MOM *)", 14, "did you mean MON?"},
        {"cron(0 0 1 JANUARY ? *)", 12, "is no name"},
        {"cron(0 2 * * *)", 6, "five are written without cron()"},
        {"0 2 * * ? *", 1, "six are written as cron(...)"},
        {"0 2 * *", 1, "five fields"},
        {"cron(0 22-2 * * ? *)", 8, "22-23,0-2"},
        {"cron(0/0 * * * ? *)", 8, "a step is from 1"},
        {"cron(0/61 * * * ? *)", 8, "a step is from 1"},
        {"*/0 * * * *", 3, "a step is from 1"},
        {"1-5/0 * * * *", 5, "a step is from 1"},
        {"cron(0 0 ? * 3#6 *)", 16, "a first to a fifth"},
        {"cron(0 0 1 1 ? 1969)", 16, "1970 to 2199"},
        {"cron(? 0 1 1 ? *)", 6, "one of the two days"},
        {"cron(0 0 1, 1 ? *)", 12, "expected a number"},
        {"cron(0 0 1x 1 ? *)", 11, "does not belong"},
        {"cron(0 0 * * ? *", 16, "parenthesis"},
        {"0 0 L * *", 5, "only known in cron"},
        {"0 0 15W * *", 7, "only known in cron"},
        {"0 0 * * 1#2", 10, "only known in cron"},
        {"0 0 ? * 1", 5, "only known in cron"},
        {"5/15 * * * *", 2, "write 5-59/15"},
        {"rate(0 minutes)", 6, "from 1 on"},
        {"rate(5)", 6, "expected seconds, minutes"},
        {"rate(5 minuts)", 8, "did you mean \"minutes\"?"},
        {"rate(367 days)", 10, "366 days"},
        {"rate(five minutes)", 6, "from 1 on"},
        {"every(5 minutes)", 1, "expected cron(...)"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct schedule s;
        struct error e = {0};
        if (schedule_parse(&s, slice_of(rows[i].text), &e) == 0) fail_msg("%s was taken", rows[i].text);
        if (e.column != rows[i].column || !strstr(e.message, rows[i].words))
            fail_msg("%s: column %d, %s", rows[i].text, e.column, e.message);
    }
}

static void zones_by_name(void **state) {
    (void)state;
    struct arena a;
    struct error e = {0};
    arena_init(&a, 4096);
    assert_null(zone_load(&a, SLICE("Europ/Pariss"), &e));
    assert_non_null(strstr(e.message, "did you mean \"Europe/Paris\"?"));
    static const char *const bad[] = {"", "/etc/passwd", "../../etc/passwd", "Europe/", "Europe//Paris", ".", "Qwertz"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) assert_null(zone_load(&a, slice_of(bad[i]), &e));
    assert_null(zone_load(&a, SLICE("Europe"), &e)); /* a folder */
    const struct zone *paris = zone_load(&a, SLICE("Europe/Paris"), &e);
    assert_int_equal(zone_offset_s(paris, moment("2026-07-01")), 7200);
    assert_int_equal(zone_next_change(paris, moment("2026-07-01")), moment("2026-10-25T01:00"));
    assert_int_equal(zone_next_change(paris, moment("2060-07-01")), moment("2060-10-31T01:00"));
    const struct zone *utc = zone_load(&a, SLICE("UTC"), &e);
    assert_int_equal(zone_next_change(utc, 0), ZONE_NEVER);
    arena_free(&a);
}

static void rules_of_zones(void **state) {
    (void)state;
    struct zone_rule r;
    static const char *const bad[] = {"",
                                      "CE-1",
                                      "CET",
                                      "CET-1CEST",
                                      "CET-1CEST,M3.5.0",
                                      "CET-1CEST,M13.5.0,M10.5.0",
                                      "CET-1CEST,M3.5.0,M10.5.0/200",
                                      "<+03-3",
                                      "CET-1 "};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (zone_rule_parse(&r, slice_of(bad[i]))) fail_msg("%s was taken", bad[i]);
    assert_true(zone_rule_parse(&r, SLICE("<-0330>3:30<-0230>,J60/-1,300/26:30:15")));
    assert_int_equal(r.standard_s, -12600);
    assert_int_equal(r.daylight_s, -9000);
    assert_int_equal(zone_rule_next_change(&r, moment("2028-01-01")), moment("2028-03-01T02:30")); /* J: never Feb 29 */
    assert_int_equal(zone_rule_next_change(&r, moment("2028-06-01")), moment("2028-10-28T05:00:15"));
}

static void days_are_numbers(void **state) {
    (void)state;
    int64_t day = calendar_day_of(1600, 1, 1);
    for (int64_t i = day; i < day + 300000; i++) {
        struct calendar_date d = calendar_date_of(i);
        assert_int_equal(calendar_day_of(d.year, d.month, d.day), i);
        assert_true(d.day >= 1 && d.day <= calendar_month_days(d.year, d.month));
    }
    assert_int_equal(calendar_day_of(1970, 1, 1), 0);
    assert_int_equal(calendar_day_of(2000, 3, 1), 11017);
    assert_int_equal(calendar_weekday(0), 4);
    assert_int_equal(calendar_weekday(-5), 6);
}

static void check_latest(const char *text, const char *after, const char *until, size_t max, const char *first,
                         size_t count) {
    struct schedule s;
    struct arena a;
    int64_t out[100];
    arena_init(&a, 4096);
    make(&s, &a, text, "UTC");
    size_t n = schedule_latest(&s, moment(after), moment(until), out, max);
    assert_int_equal(n, count);
    if (n) assert_int_equal(out[0], moment(first));
    for (size_t i = 1; i < n; i++) assert_int_equal(out[i], schedule_next(&s, out[i - 1]));
    if (n) assert_true(schedule_next(&s, out[n - 1]) > moment(until));
    arena_free(&a);
}

static void the_latest_runs(void **state) {
    (void)state;
    check_latest("rate(1 second)", "1980-01-01", "2026-01-01T00:01", 10, "2026-01-01T00:00:51", 10);
    check_latest("0 * * * *", "2026-01-01T00:30", "2026-01-01T03:30", 10, "2026-01-01T01:00", 3);
    check_latest("0 * * * *", "2026-01-01T00:30", "2026-01-01T03:30", 2, "2026-01-01T02:00", 2);
    check_latest("0 0 29 2 *", "1990-01-01", "2026-01-01", 3, "2016-02-29", 3);
    check_latest("0 0 29 2 *", "2025-01-01", "2026-01-01", 3, "", 0);
    check_latest("* * * * *", "2026-01-01", "2026-01-01", 3, "", 0);
    check_latest("* * * * *", "2020-01-01", "2026-01-01", 100, "2025-12-31T22:21", 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_that_change),
        cmocka_unit_test(days_that_fit),
        cmocka_unit_test(mistakes_are_shown_where_they_are),
        cmocka_unit_test(zones_by_name),
        cmocka_unit_test(rules_of_zones),
        cmocka_unit_test(days_are_numbers),
        cmocka_unit_test(the_latest_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
