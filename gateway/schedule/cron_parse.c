#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/schedule/cron.h"

static const char *const month_names[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                          "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
static const char *const weekday_names[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

enum field_kind { FIELD_MINUTE, FIELD_HOUR, FIELD_DAY, FIELD_MONTH, FIELD_WEEKDAY, FIELD_YEAR, FIELD_KINDS };
static const struct field_row {
    const char *name;
    int least, most;
    const char *const *words; /* names of numbers, from first_word on; NULL = none */
    size_t word_count;
    int first_word;
    size_t offset; /* of the set; bit 0 stands for `origin` */
    int origin;
} rows[2][FIELD_KINDS] = {
#define COMMON_ROWS                                                                                                    \
    [FIELD_MINUTE] = {"the minute", 0, 59, NULL, 0, 0, offsetof(struct cron, minutes), 0},                             \
    [FIELD_HOUR] = {"the hour", 0, 23, NULL, 0, 0, offsetof(struct cron, hours), 0},                                   \
    [FIELD_DAY] = {"the day of the month", 1, 31, NULL, 0, 0, offsetof(struct cron, days), 0},                         \
    [FIELD_MONTH] = {"the month", 1, 12, month_names, 12, 1, offsetof(struct cron, months), 0},                        \
    [FIELD_YEAR] = {"the year", CRON_YEAR_MIN, CRON_YEAR_MAX, NULL, 0, 0, offsetof(struct cron, years), CRON_YEAR_MIN}
    [CRON_CLASSIC] = {COMMON_ROWS, [FIELD_WEEKDAY] = {"the day of the week", 0, 7, weekday_names, 7, 0,
                                                      offsetof(struct cron, weekdays), 0}},
    [CRON_AWS] = {COMMON_ROWS, [FIELD_WEEKDAY] = {"the day of the week", 1, 7, weekday_names, 7, 1,
                                                  offsetof(struct cron, weekdays), 1}},
#undef COMMON_ROWS
};

struct parser {
    struct cron *cron;
    enum cron_dialect dialect;
    enum field_kind kind;
    const struct field_row *row;
    const char *text; /* where columns count from */
    const char *at, *end;
    struct error *e;
};

#define FAIL(parser, where, ...) fail_at(parser, where, error_set((parser)->e, ERROR_FORMAT, __VA_ARGS__))

static int fail_at(struct parser *p, const char *where, int code) {
    if (p->e) p->e->column = (int)(where - p->text) + 1;
    return code;
}

static char peek(const struct parser *p) {
    return p->at < p->end ? *p->at : '\0';
}

static bool take(struct parser *p, char c) {
    if ((peek(p) & ~32) != (c & ~32) || peek(p) == '\0') return false;
    if (!((c & ~32) >= 'A' && (c & ~32) <= 'Z') && *p->at != c) return false;
    p->at++;
    return true;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
static bool is_letter(char c) {
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}

/* --- values --- */

static void add(struct parser *p, int value) {
    uint64_t *set = (uint64_t *)(void *)((char *)p->cron + p->row->offset);
    int n = value - p->row->origin;
    set[n / 64] |= 1ULL << n % 64;
}

static int unknown_word(struct parser *p, const char *start, struct slice word) {
    const char *near = p->row->words ? text_nearest(word, p->row->words, p->row->word_count) : NULL;
    if (near)
        return FAIL(p, start, "%s: \"" SLICE_FMT "\" is no name; did you mean %s?", p->row->name, SLICE_ARG(word),
                    near);
    if (p->row->words)
        return FAIL(p, start, "%s: \"" SLICE_FMT "\" is no name; it is %d to %d, or %s to %s", p->row->name,
                    SLICE_ARG(word), p->row->least, p->row->most, p->row->words[0],
                    p->row->words[p->row->word_count - 1]);
    return FAIL(p, start, "%s: expected %d to %d, found \"" SLICE_FMT "\"", p->row->name, p->row->least, p->row->most,
                SLICE_ARG(word));
}

/* Three letters, so that FRIL is FRI and L. */
static int read_word(struct parser *p, int *value) {
    const char *start = p->at;
    size_t n = 0;
    while (start + n < p->end && is_letter(start[n])) n++;
    for (size_t i = 0; p->row->words && n >= 3 && i < p->row->word_count; i++) {
        if (!slice_equal_nocase(slice_make(start, 3), slice_of(p->row->words[i]))) continue;
        if (n > 3 && !(n == 4 && (start[3] | 32) == 'l')) break;
        p->at += 3;
        *value = p->row->first_word + (int)i;
        return 0;
    }
    return unknown_word(p, start, slice_make(start, n));
}

static int read_number(struct parser *p, int *value) {
    const char *start = p->at;
    size_t n = 0;
    *value = 0;
    for (; is_digit(peek(p)) && n < 5; n++) *value = *value * 10 + (*p->at++ - '0');
    if (n) return 0;
    if (p->at == p->end) return FAIL(p, start, "%s: expected a number, found the end", p->row->name);
    return FAIL(p, start, "%s: expected a number, found \"%c\"", p->row->name, *p->at);
}

static int read_value(struct parser *p, int *value) {
    const char *start = p->at;
    if (is_letter(peek(p))) return read_word(p, value);
    int status = read_number(p, value);
    if (status < 0 || (*value >= p->row->least && *value <= p->row->most)) return status;
    return FAIL(p, start, "%s: %d is not from %d to %d", p->row->name, *value, p->row->least, p->row->most);
}

/* A step that goes past the end is a mistake: only the first of its values would ever be met. */
static int read_step(struct parser *p, int *step) {
    const char *start = p->at;
    int most = p->row->most - p->row->least + 1;
    *step = 1;
    if (!take(p, '/')) return 0;
    int status = read_number(p, step);
    if (status < 0 || (*step >= 1 && *step <= most)) return status;
    return FAIL(p, start + 1, "%s: a step is from 1 to %d, not %d", p->row->name, most, *step);
}

/* --- what only days have --- */

static int weekday_of(const struct parser *p, int value) {
    return p->dialect == CRON_AWS ? value - 1 : value % 7;
}

static int aws_only(struct parser *p, const char *where, const char *sign) {
    return FAIL(p, where, "%s: %s is only known in cron(...), which has six fields", p->row->name, sign);
}

static int read_last(struct parser *p, const char *start) {
    if (p->dialect != CRON_AWS) return aws_only(p, start, "L");
    if (p->kind == FIELD_WEEKDAY) {
        add(p, p->row->most);
        return 0;
    }
    if (take(p, 'W'))
        p->cron->last_working_day = true;
    else
        p->cron->last_day = true;
    return 0;
}

static int read_nth(struct parser *p, int weekday) {
    const char *start = p->at;
    int nth = 0;
    if (p->dialect != CRON_AWS) return aws_only(p, start - 1, "#");
    int status = read_number(p, &nth);
    if (status < 0) return status;
    if (nth < 1 || nth > 5) return FAIL(p, start, "%s: a month has a first to a fifth one, not %d", p->row->name, nth);
    p->cron->nth_weekdays[weekday_of(p, weekday)] |= (uint8_t)(1 << nth);
    return 0;
}

/* What may follow a single value: 15W, 6L, 3#2. *taken tells whether it did. */
static int read_suffix(struct parser *p, int value, bool *taken) {
    const char *start = p->at;
    *taken = true;
    if (p->kind == FIELD_WEEKDAY && take(p, '#')) return read_nth(p, value);
    if (p->kind == FIELD_WEEKDAY && take(p, 'L')) {
        if (p->dialect != CRON_AWS) return aws_only(p, start, "L");
        p->cron->last_weekdays |= 1ULL << weekday_of(p, value);
        return 0;
    }
    if (p->kind == FIELD_DAY && take(p, 'W')) {
        if (p->dialect != CRON_AWS) return aws_only(p, start, "W");
        p->cron->nearest_weekdays |= 1ULL << value;
        return 0;
    }
    *taken = false;
    return 0;
}

/* --- lists --- */

static void add_range(struct parser *p, int first, int last, int step) {
    for (int value = first; value <= last; value += step) add(p, value);
}

static int read_range(struct parser *p, const char *start, int first) {
    int last = 0, step = 1;
    int status = read_value(p, &last);
    if (status == 0) status = read_step(p, &step);
    if (status < 0) return status;
    if (last < first)
        return FAIL(p, start, "%s: the range %d-%d ends before it begins; write %d-%d,%d-%d", p->row->name, first, last,
                    first, p->row->most, p->row->least, last);
    add_range(p, first, last, step);
    return 0;
}

static int read_item(struct parser *p) {
    const char *start = p->at;
    int first = 0, step = 1;
    bool taken = false;
    if (take(p, '*')) {
        int status = read_step(p, &step);
        if (status == 0) add_range(p, p->row->least, p->row->most, step);
        return status;
    }
    if ((p->kind == FIELD_DAY || p->kind == FIELD_WEEKDAY) && take(p, 'L')) return read_last(p, start);
    int status = read_value(p, &first);
    if (status == 0) status = read_suffix(p, first, &taken);
    if (status < 0 || taken) return status;
    if (take(p, '-')) return read_range(p, start, first);
    bool has_step = peek(p) == '/';
    if (has_step && p->dialect != CRON_AWS)
        return FAIL(p, p->at, "%s: a step needs a range; write %d-%d%.*s", p->row->name, first, p->row->most,
                    (int)(p->end - p->at), p->at);
    status = read_step(p, &step);
    if (status == 0) add_range(p, first, has_step ? p->row->most : first, step);
    return status;
}

/* `?` leaves the day to the other field. */
static int read_any(struct parser *p) {
    const char *start = p->at - 1;
    if (p->dialect != CRON_AWS) return FAIL(p, start, "%s: `?` is only known in cron(...); write *", p->row->name);
    if (p->kind != FIELD_DAY && p->kind != FIELD_WEEKDAY)
        return FAIL(p, start, "%s: `?` is for one of the two days; write *", p->row->name);
    add_range(p, p->row->least, p->row->most, 1);
    return 0;
}

static int read_list(struct parser *p) {
    int status = take(p, '?') ? read_any(p) : read_item(p);
    while (status == 0 && take(p, ',')) status = read_item(p);
    if (status < 0 || p->at == p->end) return status;
    return FAIL(p, p->at, "%s: \"%.*s\" does not belong here", p->row->name, (int)(p->end - p->at), p->at);
}

/* --- fields --- */

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static size_t split(struct slice text, struct slice fields[FIELD_KINDS]) {
    size_t count = 0, at = 0;
    while (at < text.n) {
        while (at < text.n && is_blank(text.p[at])) at++;
        size_t start = at;
        while (at < text.n && !is_blank(text.p[at])) at++;
        if (at > start && count < FIELD_KINDS) fields[count] = slice_make(text.p + start, at - start);
        if (at > start) count++;
    }
    return count;
}

static int check_count(struct parser *p, size_t count) {
    if (p->dialect == CRON_AWS && count != 6)
        return FAIL(p, p->text, "cron(...) has six fields (minute hour day-of-month month day-of-week year), not %zu%s",
                    count, count == 5 ? "; five are written without cron()" : "");
    if (p->dialect == CRON_CLASSIC && count != 5)
        return FAIL(p, p->text, "expected five fields (minute hour day-of-month month day-of-week), found %zu%s", count,
                    count == 6 ? "; six are written as cron(...)" : "; or cron(...), or rate(5 minutes)");
    return 0;
}

static int check_days(struct parser *p, const struct slice fields[FIELD_KINDS]) {
    bool any_day = fields[FIELD_DAY].p[0] == '?', any_weekday = fields[FIELD_WEEKDAY].p[0] == '?';
    if (p->dialect == CRON_AWS && any_day == any_weekday)
        return FAIL(p, fields[FIELD_DAY].p, "one of the day of the month and the day of the week is `?`, %s",
                    any_day ? "not both" : "the other one says which days");
    bool by_day = fields[FIELD_DAY].p[0] != '*', by_weekday = fields[FIELD_WEEKDAY].p[0] != '*';
    p->cron->day_rule = p->dialect == CRON_CLASSIC && by_day && by_weekday ? CRON_DAYS_EITHER : CRON_DAYS_BOTH;
    return 0;
}

static void settle(struct cron *c, const struct slice fields[FIELD_KINDS], size_t count) {
    c->weekdays = (c->weekdays | c->weekdays >> 7) & 0x7f; /* of crontab, 7 is Sunday too */
    c->every_hour = fields[FIELD_HOUR].p[0] == '*';
    for (size_t i = 0; count < FIELD_KINDS && i < ARRAY_LEN(c->years); i++) c->years[i] = UINT64_MAX;
}

static int parse_fields(struct parser *p, const struct slice fields[FIELD_KINDS], size_t count) {
    int status = 0;
    for (size_t i = 0; i < count && status == 0; i++) {
        p->kind = (enum field_kind)i;
        p->row = &rows[p->dialect][i];
        p->at = fields[i].p;
        p->end = fields[i].p + fields[i].n;
        status = read_list(p);
    }
    return status;
}

int cron_parse(struct cron *c, enum cron_dialect dialect, struct slice text, struct error *e) {
    struct slice fields[FIELD_KINDS] = {{0}};
    struct parser p = {.cron = c, .dialect = dialect, .text = text.p, .e = e};
    *c = (struct cron){.minutes = 0};
    size_t count = split(text, fields);
    int status = check_count(&p, count);
    if (status == 0) status = parse_fields(&p, fields, count);
    if (status == 0) status = check_days(&p, fields);
    if (status < 0) return status;
    settle(c, fields, count);
    if (cron_find(c, 0) != CRON_NEVER) return 0;
    return FAIL(&p, text.p, "it never fires: no date fits");
}
