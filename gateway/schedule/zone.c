#include "gateway/schedule/zone.h"
#include "gateway/base/file.h"
#include "gateway/base/text.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define DATABASE "/usr/share/zoneinfo"
#define FILE_SIZE_MAX (256u << 10)
#define HEADER_SIZE 44
#define CHANGES_MAX 8192
#define TYPES_MAX 256
#define TYPE_SIZE 6
#define NAMES_SHOWN 512

struct change {
    int64_t at_s;
    int32_t offset_s; /* from then on */
};
struct zone {
    int32_t first_offset_s; /* before all changes */
    struct change *changes; /* ascending */
    size_t count;
    bool has_rule;
    struct zone_rule rule; /* after them */
};

/* --- the file: RFC 9636 section 3 --- */

/* What the header counts. */
struct counts {
    uint32_t is_ut, is_standard, leaps, changes, types, characters;
};

static uint32_t read_u32(const char *p) {
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static int64_t read_i64(const char *p) {
    return (int64_t)((uint64_t)read_u32(p) << 32 | read_u32(p + 4));
}

static bool read_header(struct slice *rest, struct counts *c) {
    if (rest->n < HEADER_SIZE || memcmp(rest->p, "TZif", 4) != 0 || rest->p[4] < '2') return false;
    const char *p = rest->p + 20;
    *c = (struct counts){read_u32(p),      read_u32(p + 4),  read_u32(p + 8),
                         read_u32(p + 12), read_u32(p + 16), read_u32(p + 20)};
    *rest = slice_make(rest->p + HEADER_SIZE, rest->n - HEADER_SIZE);
    return c->changes <= CHANGES_MAX && c->types >= 1 && c->types <= TYPES_MAX && c->leaps <= CHANGES_MAX &&
           c->characters <= FILE_SIZE_MAX && c->is_ut <= TYPES_MAX && c->is_standard <= TYPES_MAX;
}

static size_t block_size(const struct counts *c, size_t time_size) {
    return c->changes * (time_size + 1) + c->types * (size_t)TYPE_SIZE + c->characters + c->leaps * (time_size + 4) +
           c->is_standard + c->is_ut;
}

static bool read_changes(struct zone *z, const char *block, const struct counts *c) {
    const char *kinds = block + c->changes * 8u, *types = kinds + c->changes;
    z->first_offset_s = (int32_t)read_u32(types);
    z->count = c->changes;
    for (size_t i = 0; i < z->count; i++) {
        unsigned char kind = (unsigned char)kinds[i];
        if (kind >= c->types) return false;
        z->changes[i] = (struct change){read_i64(block + i * 8), (int32_t)read_u32(types + kind * TYPE_SIZE)};
        if (i && z->changes[i].at_s <= z->changes[i - 1].at_s) return false;
    }
    return true;
}

static bool read_footer(struct zone *z, struct slice rest) {
    if (rest.n < 2 || rest.p[0] != '\n' || rest.p[rest.n - 1] != '\n') return false;
    struct slice text = slice_make(rest.p + 1, rest.n - 2);
    z->has_rule = text.n > 0;
    return !z->has_rule || zone_rule_parse(&z->rule, text);
}

static bool read_zone(struct arena *a, struct zone *z, struct slice rest) {
    struct counts c;
    if (!read_header(&rest, &c) || rest.n < block_size(&c, 4)) return false;
    rest = slice_make(rest.p + block_size(&c, 4), rest.n - block_size(&c, 4)); /* the 32-bit block of old readers */
    if (!read_header(&rest, &c) || rest.n < block_size(&c, 8)) return false;
    z->changes = arena_alloc(a, (c.changes + 1) * sizeof *z->changes);
    if (!read_changes(z, rest.p, &c)) return false;
    return read_footer(z, slice_make(rest.p + block_size(&c, 8), rest.n - block_size(&c, 8)));
}

const struct zone *zone_parse(struct arena *a, struct slice bytes, struct error *e) {
    struct zone *z = arena_zalloc(a, sizeof *z);
    if (read_zone(a, z, bytes)) return z;
    error_set(e, ERROR_FORMAT, "not a time zone file (TZif version 2 or later)");
    return NULL;
}

/* --- by name --- */

static const char *database(void) {
    const char *folder = getenv("TZDIR");
    return folder && *folder ? folder : DATABASE;
}

/* "Europe/Paris", "America/Argentina/Ushuaia", "Etc/GMT+5": nothing that leaves the folder. */
static bool name_is_sane(struct slice name) {
    bool begins = true;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_word && (begins || !strchr("/_+-", c))) return false;
        begins = c == '/';
    }
    return name.n > 0 && name.n <= ZONE_NAME_MAX && !begins;
}

/* The member of a folder that is nearest to the name; "" when none is near. */
static void nearest_in(struct arena *a, const char *folder, struct slice name, char out[ZONE_NAME_MAX + 1]) {
    const char *names[NAMES_SHOWN];
    size_t count = 0;
    DIR *dir = opendir(folder);
    out[0] = '\0';
    if (!dir) return;
    for (struct dirent *d; (d = readdir(dir)) && count < NAMES_SHOWN;)
        if (strlen(d->d_name) <= ZONE_NAME_MAX && d->d_name[0] >= 'A' && d->d_name[0] <= 'Z')
            names[count++] = arena_text(a, slice_of(d->d_name));
    closedir(dir);
    const char *near = text_nearest(name, names, count);
    if (near) strcpy(out, near);
}

/* Part by part, so that "Europ/Pariss" finds Europe/Paris. */
static void report_unknown(struct arena *a, struct slice name, struct error *e) {
    struct buf meant = {0};
    char folder[512], part[ZONE_NAME_MAX + 1];
    struct slice rest = name, word;
    bool found = true;
    snprintf(folder, sizeof folder, "%s", database());
    while (found && slice_next(&rest, '/', &word)) {
        size_t n = strlen(folder);
        nearest_in(a, folder, word, part);
        found = part[0] != '\0';
        buf_printf(&meant, "%s%s", meant.n ? "/" : "", part);
        snprintf(folder + n, sizeof folder - n, "/%s", part);
    }
    if (found)
        error_set(e, ERROR_FORMAT, "there is no time zone \"" SLICE_FMT "\"; did you mean \"" SLICE_FMT "\"?",
                  SLICE_ARG(name), SLICE_ARG(buf_slice(&meant)));
    else
        error_set(e, ERROR_FORMAT,
                  "there is no time zone \"" SLICE_FMT "\" in %s; zones have names such as Europe/Paris or UTC "
                  "(on Debian the package tzdata has them)",
                  SLICE_ARG(name), database());
    buf_free(&meant);
}

const struct zone *zone_load(struct arena *a, struct slice name, struct error *e) {
    struct buf bytes = {0};
    struct error unread;
    if (slice_equal(name, SLICE("UTC"))) return arena_zalloc(a, sizeof(struct zone));
    if (!name_is_sane(name)) {
        error_set(e, ERROR_FORMAT, "a time zone has a name such as Europe/Paris, America/New_York or UTC");
        return NULL;
    }
    const char *path = arena_printf(a, "%s/" SLICE_FMT, database(), SLICE_ARG(name)).p;
    const struct zone *z = NULL;
    if (file_read(path, "the time zone", FILE_SIZE_MAX, &bytes, &unread) < 0)
        report_unknown(a, name, e);
    else
        z = zone_parse(a, buf_slice(&bytes), e);
    buf_free(&bytes);
    return z;
}

/* --- use --- */

/* How many changes are at or before the moment. */
static size_t changes_until(const struct zone *z, int64_t at_s) {
    size_t low = 0, high = z->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (z->changes[middle].at_s <= at_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int32_t zone_offset_s(const struct zone *z, int64_t at_s) {
    size_t past = changes_until(z, at_s);
    if (past == z->count && z->has_rule) return zone_rule_offset_s(&z->rule, at_s);
    return past ? z->changes[past - 1].offset_s : z->first_offset_s;
}

int64_t zone_next_change(const struct zone *z, int64_t after_s) {
    for (size_t i = changes_until(z, after_s); i < z->count; i++) {
        int64_t at_s = z->changes[i].at_s;
        if (zone_offset_s(z, at_s) != zone_offset_s(z, at_s - 1)) return at_s;
    }
    if (!z->has_rule) return ZONE_NEVER;
    /* The rule counts from the last listed change on. */
    int64_t from_s = z->count && z->changes[z->count - 1].at_s > after_s ? z->changes[z->count - 1].at_s : after_s;
    return zone_rule_next_change(&z->rule, from_s);
}
