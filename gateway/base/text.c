#include "gateway/base/text.h"
#include "gateway/base/memory.h"

struct unit {
    const char *name;
    uint64_t factor;
};

/* The first one spells zero; anything else takes the largest that divides it, which is the shortest spelling. */
static const struct unit duration_units[] = {
    {"s", 1000}, {"ms", 1}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {"d", 24 * 3600 * 1000},
};
static const struct unit size_units[] = {
    {"B", 1},
    {"KiB", 1 << 10},
    {"MiB", 1 << 20},
    {"GiB", 1 << 30},
};

static const struct unit rate_units[] = {
    {"/d", 1},
    {"/h", 24},
    {"/m", 24 * 60},
    {"/s", 24 * 3600},
};

static bool units_parse(const struct unit *units, size_t count, struct slice s, uint64_t *value) {
    size_t digits = 0;
    uint64_t number;
    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9') digits++;
    if (!slice_to_u64(slice_make(s.p, digits), &number)) return false; /* no digits: no number */
    struct slice unit = {s.p + digits, s.n - digits};
    for (size_t i = 0; i < count; i++)
        if (slice_equal(unit, slice_of(units[i].name))) return !__builtin_mul_overflow(number, units[i].factor, value);
    return false;
}

static void units_append(struct buf *out, const struct unit *units, size_t count, uint64_t value) {
    const struct unit *best = &units[0];
    for (size_t i = 0; value && i < count; i++)
        if (value % units[i].factor == 0 && (value % best->factor || units[i].factor > best->factor)) best = &units[i];
    buf_append_u64(out, value / best->factor);
    buf_append_text(out, best->name);
}

bool text_to_duration_ms(struct slice s, uint64_t *ms) {
    return units_parse(duration_units, ARRAY_LEN(duration_units), s, ms);
}

bool text_to_size_bytes(struct slice s, uint64_t *bytes) {
    return units_parse(size_units, ARRAY_LEN(size_units), s, bytes);
}

bool text_to_rate_per_day(struct slice s, uint64_t *per_day) {
    return units_parse(rate_units, ARRAY_LEN(rate_units), s, per_day);
}

void text_append_duration(struct buf *out, uint64_t ms) {
    units_append(out, duration_units, ARRAY_LEN(duration_units), ms);
}

void text_append_size(struct buf *out, uint64_t bytes) {
    units_append(out, size_units, ARRAY_LEN(size_units), bytes);
}

void text_append_rate(struct buf *out, uint64_t per_day) {
    units_append(out, rate_units, ARRAY_LEN(rate_units), per_day);
}

#define NEAREST_NAME_LIMIT 64

static inline size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Optimal string alignment: edits, and swaps of neighbours, with every letter touched once. */
static size_t edit_distance(struct slice a, struct slice b) {
    size_t rows[3][NEAREST_NAME_LIMIT + 1];
    size_t *before = rows[0], *previous = rows[1], *current = rows[2];
    for (size_t j = 0; j <= b.n; j++) previous[j] = before[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        current[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t replaced = previous[j - 1] + (a.p[i - 1] != b.p[j - 1]);
            bool swapped = i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1];
            current[j] = smaller(replaced, 1 + smaller(previous[j], current[j - 1]));
            if (swapped) current[j] = smaller(current[j], 1 + before[j - 2]);
        }
        size_t *spare = before;
        before = previous;
        previous = current;
        current = spare;
    }
    return previous[b.n];
}

const char *text_nearest(struct slice name, const char *const *candidates, size_t count) {
    const char *nearest = NULL;
    if (name.n > NEAREST_NAME_LIMIT) return NULL;
    /* A third of the letters may be wrong, at most three: beyond that it is another word. */
    size_t best = smaller((name.n + 1) / 3, 3) + 1;
    for (size_t i = 0; i < count; i++) {
        struct slice candidate = slice_of(candidates[i]);
        if (slice_equal_nocase(name, candidate)) return candidates[i];
        if (candidate.n > NEAREST_NAME_LIMIT) continue;
        size_t distance = edit_distance(name, candidate);
        if (distance >= best) continue;
        best = distance;
        nearest = candidates[i];
    }
    return nearest;
}

size_t text_utf8_length(struct slice s) {
    const unsigned char *p = (const unsigned char *)s.p;
    if (s.n == 0) return 0;
    if (p[0] < 0x80) return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4) return 0;
    size_t n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (s.n < n) return 0;
    /* The second byte's range rules out overlong forms, surrogates and what is beyond U+10FFFF (RFC 3629 4). */
    unsigned from = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned to = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < from || p[1] > to) return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return n;
}

size_t text_utf8_prefix(struct slice s) {
    size_t at = 0;
    while (at < s.n) {
        uint64_t eight;
        if (s.n - at >= sizeof eight) {
            memcpy(&eight, s.p + at, sizeof eight);
            if ((eight & 0x8080808080808080u) == 0) {
                at += sizeof eight;
                continue;
            }
        }
        size_t n = text_utf8_length(slice_make(s.p + at, s.n - at));
        if (n == 0) break;
        at += n;
    }
    return at;
}

/* C0, DEL, C1 and the two Unicode line ends: whatever moves a terminal's cursor or ends a line in some viewer. */
static bool is_control(const char *text, size_t n) {
    const unsigned char *p = (const unsigned char *)text;
    if (n == 1) return p[0] < 0x20 || p[0] == 0x7f;
    if (n == 2) return p[0] == 0xc2 && p[1] < 0xa0;
    return n == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9);
}

/* Length of the character at the start if it may be shown as it is, else 0. */
static size_t printable_length(struct slice s) {
    size_t n = text_utf8_length(s);
    return n && is_control(s.p, n) ? 0 : n;
}

static void append_escaped_byte(struct buf *out, char c) {
    static const char hex[] = "0123456789abcdef";
    const char escaped[4] = {'\\', 'x', hex[(unsigned char)c >> 4], hex[c & 15]};
    buf_append(out, escaped, sizeof escaped);
}

void text_append_quoted(struct buf *out, struct slice s, size_t limit) {
    size_t run = 0;
    size_t at = 0;
    if (s.n == 0) return;
    while (at < s.n && at < limit) {
        size_t n = printable_length(slice_make(s.p + at, s.n - at));
        if (n > limit - at) break;
        if (n == 0) {
            buf_append(out, s.p + run, at - run);
            append_escaped_byte(out, s.p[at]);
            run = at + 1;
        }
        at += n ? n : 1;
    }
    buf_append(out, s.p + run, at - run);
    if (at < s.n) buf_append_text(out, "...");
}
