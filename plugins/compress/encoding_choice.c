#include "plugins/compress/encoding_choice.h"

#define QUALITY_ONE 1000 /* q-values have three decimals at most (RFC 9110 12.4.2) */
#define NOT_SAID (-1)

struct acceptance {
    int quality[CODINGS];
    int others; /* of `*` */
};

static const struct slice names[CODINGS] = {
    [CODING_IDENTITY] = {"identity", 8},
    [CODING_GZIP] = {"gzip", 4},
    [CODING_BROTLI] = {"br", 2},
    [CODING_ZSTD] = {"zstd", 4},
};

struct slice coding_name(enum coding c) {
    return names[c];
}

enum coding coding_named(struct slice name) {
    for (unsigned c = 0; c < CODINGS; c++)
        if (slice_equal_nocase(names[c], name)) return c;
    return slice_equal_nocase(name, SLICE("x-gzip")) ? CODING_GZIP : CODINGS;
}

/* "0.5" -> 500; NOT_SAID when it is no q-value. */
static int quality_parse(struct slice s) {
    static const int scale[] = {100, 10, 1};
    if (s.n == 0 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.')) return NOT_SAID;
    int quality = (s.p[0] - '0') * QUALITY_ONE;
    for (size_t i = 2; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return NOT_SAID;
        quality += (s.p[i] - '0') * scale[i - 2];
    }
    return quality <= QUALITY_ONE ? quality : NOT_SAID;
}

/* What follows the name: nothing, or `;q=...`. */
static int weight_parse(struct slice parameters) {
    if (slice_is_none(parameters)) return QUALITY_ONE;
    parameters = slice_trim(parameters);
    if (!slice_starts_with_nocase(parameters, SLICE("q="))) return NOT_SAID;
    return quality_parse(slice_make(parameters.p + 2, parameters.n - 2));
}

/* An element that is no weighted coding says nothing; the first word about a coding stands. */
static void acceptance_note(struct acceptance *a, struct slice element) {
    struct slice name;
    slice_next(&element, ';', &name);
    name = slice_trim(name);
    int weight = weight_parse(element);
    enum coding c = coding_named(name);
    if (slice_equal(name, SLICE("*")) && a->others == NOT_SAID) a->others = weight;
    if (c != CODINGS && a->quality[c] == NOT_SAID) a->quality[c] = weight;
}

static bool acceptance_read(struct acceptance *a, const struct fields *f) {
    bool found = false;
    *a = (struct acceptance){.others = NOT_SAID};
    for (unsigned c = 0; c < CODINGS; c++) a->quality[c] = NOT_SAID;
    for (size_t i = 0; i < f->count; i++) {
        if (!slice_equal_nocase(f->items[i].name, SLICE("Accept-Encoding"))) continue;
        struct slice list = f->items[i].value, element;
        while (slice_next(&list, ',', &element)) acceptance_note(a, element);
        found = true;
    }
    return found;
}

/* Zero: not wanted. */
static int acceptance_of(const struct acceptance *a, enum coding c) {
    if (a->quality[c] != NOT_SAID) return a->quality[c];
    return a->others != NOT_SAID ? a->others : 0;
}

/* Acceptable unless it is refused by name or by `*;q=0`. */
static bool identity_is_refused(const struct acceptance *a) {
    int quality = a->quality[CODING_IDENTITY];
    return quality == 0 || (quality == NOT_SAID && a->others == 0);
}

struct coding_choice encoding_choose(const struct fields *request, const struct coding_offer *offer) {
    struct acceptance a;
    struct coding_choice choice = {.coding = CODING_IDENTITY};
    int best = 0;
    if (!acceptance_read(&a, request)) return choice;
    for (size_t i = 0; i < offer->count; i++) {
        int quality = acceptance_of(&a, offer->items[i]);
        if (quality <= best) continue;
        best = quality;
        choice.coding = offer->items[i];
    }
    if (acceptance_of(&a, CODING_IDENTITY) > best) choice.coding = CODING_IDENTITY;
    choice.identity_refused = identity_is_refused(&a);
    return choice;
}
