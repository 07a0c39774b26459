#include "gateway/observe/record.h"
#include "gateway/base/base64.h"
#include "gateway/base/json_read.h"
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"

enum member_kind {
    MEMBER_TEXT,
    MEMBER_NUMBER,
    MEMBER_JSON,
    MEMBER_PAIRS,        /* a list, because a name may be there twice */
    MEMBER_BYTES_TEXT,   /* bytes that are UTF-8 */
    MEMBER_BYTES_BASE64, /* any others */
    MEMBER_OBJECT,
};
struct member {
    struct slice name;
    enum member_kind kind;
    size_t offset;
    const struct member *inner; /* of an OBJECT; the last row has no name */
};

#define ROW(struct_name, key, member_kind, path)                                                                       \
    { {key, sizeof(key) - 1}, member_kind, offsetof(struct struct_name, path), NULL }
#define INNER(struct_name, key, path, rows)                                                                            \
    { {key, sizeof(key) - 1}, MEMBER_OBJECT, offsetof(struct struct_name, path), rows }
#define END                                                                                                            \
    { {NULL, 0}, MEMBER_TEXT, 0, NULL }

static const struct member bytes_members[] = {
    ROW(record_bytes, "text", MEMBER_BYTES_TEXT, bytes),
    ROW(record_bytes, "base64", MEMBER_BYTES_BASE64, bytes),
    ROW(record_bytes, "size", MEMBER_NUMBER, size),
    ROW(record_bytes, "cut", MEMBER_TEXT, cut),
    END,
};
static const struct member request_members[] = {
    ROW(record_request, "method", MEMBER_TEXT, method),
    ROW(record_request, "target", MEMBER_TEXT, target),
    ROW(record_request, "headers", MEMBER_PAIRS, headers),
    INNER(record_request, "body", body, bytes_members),
    ROW(record_request, "clientAddress", MEMBER_TEXT, client_address),
    END,
};
static const struct member failure_members[] = {
    ROW(record_failure, "failure", MEMBER_TEXT, slug),
    ROW(record_failure, "detail", MEMBER_TEXT, detail),
    ROW(record_failure, "type", MEMBER_TEXT, type),
    ROW(record_failure, "message", MEMBER_TEXT, message),
    END,
};
static const struct member answer_members[] = {
    ROW(record_answer, "status", MEMBER_NUMBER, status),
    ROW(record_answer, "headers", MEMBER_PAIRS, headers),
    INNER(record_answer, "body", body, bytes_members),
    ROW(record_answer, "encoded", MEMBER_TEXT, encoded),
    ROW(record_answer, "streamed", MEMBER_NUMBER, streamed),
    INNER(record_answer, "error", failure, failure_members),
    END,
};
static const struct member timing_members[] = {
    ROW(record_timing, "totalUs", MEMBER_NUMBER, total_us),
    ROW(record_timing, "waitedUs", MEMBER_NUMBER, waited_us),
    END,
};
static const struct member record_members[] = {
    ROW(record, "record", MEMBER_NUMBER, version),
    ROW(record, "id", MEMBER_TEXT, id),
    ROW(record, "time", MEMBER_TEXT, time),
    ROW(record, "trigger", MEMBER_TEXT, trigger),
    ROW(record, "handler", MEMBER_TEXT, handler),
    ROW(record, "route", MEMBER_TEXT, route),
    INNER(record, "request", request, request_members),
    ROW(record, "parameters", MEMBER_PAIRS, parameters),
    ROW(record, "guarded", MEMBER_NUMBER, guarded),
    ROW(record, "claims", MEMBER_JSON, claims),
    ROW(record, "clientContext", MEMBER_JSON, client_context),
    INNER(record, "answer", answer, answer_members),
    INNER(record, "timing", timing, timing_members),
    ROW(record, "redacted", MEMBER_PAIRS, redacted),
    END,
};

/* --- writing --- */

/* Which of the two ways a row of bytes is written. */
static bool is_written(enum member_kind kind, struct slice s) {
    bool text = text_utf8_prefix(s) == s.n;
    if (kind == MEMBER_BYTES_TEXT && !text) return false;
    return !slice_is_none(s) && !(kind == MEMBER_BYTES_BASE64 && text);
}

static void write_slice(struct json_write *w, const struct member *m, struct slice s) {
    if (!is_written(m->kind, s)) return;
    json_name(w, m->name);
    if (m->kind == MEMBER_JSON)
        json_raw(w, s);
    else if (m->kind == MEMBER_BYTES_BASE64)
        json_base64(w, s);
    else
        json_text(w, s);
}

static void write_number(struct json_write *w, struct slice name, uint64_t n) {
    if (n == 0) return;
    json_name(w, name);
    json_number(w, (int64_t)n);
}

static void write_members(struct json_write *w, const struct member *rows, const char *base);

static void write_member(struct json_write *w, const struct member *m, const void *at) {
    const struct fields *pairs = at;
    switch (m->kind) {
    case MEMBER_NUMBER: write_number(w, m->name, *(const uint64_t *)at); break;
    case MEMBER_PAIRS:
        if (pairs->count == 0) break;
        json_name(w, m->name);
        json_pairs(w, pairs);
        break;
    case MEMBER_OBJECT:
        json_name(w, m->name);
        write_members(w, m->inner, at);
        break;
    case MEMBER_TEXT:
    case MEMBER_JSON:
    case MEMBER_BYTES_TEXT:
    case MEMBER_BYTES_BASE64: write_slice(w, m, *(const struct slice *)at); break;
    }
}

static void write_members(struct json_write *w, const struct member *rows, const char *base) {
    json_open(w, '{');
    for (const struct member *m = rows; m->name.p; m++) write_member(w, m, base + m->offset);
    json_close(w, '}');
}

void record_write(const struct record *r, struct buf *out) {
    struct json_write w = json_write_to(out);
    write_members(&w, record_members, (const char *)r);
    buf_append_char(out, '\n');
}

/* --- reading --- */

struct reading {
    struct json_read json;
    struct arena *arena;
    const struct member *wrong; /* the row whose value is not what it should be */
};

static bool take_text(struct reading *r, struct slice *text) {
    struct json_value value;
    if (!json_read_value(&r->json, &value) || value.kind != JSON_STRING) return false;
    *text = json_text_of(r->arena, value);
    return true;
}

static bool take_number(struct reading *r, uint64_t *number) {
    struct json_value value;
    int64_t n;
    if (!json_read_value(&r->json, &value) || !json_int_of(value, &n) || n < 0) return false;
    *number = (uint64_t)n;
    return true;
}

static bool take_json(struct reading *r, struct slice *raw) {
    struct json_value value;
    if (!json_read_value(&r->json, &value)) return false;
    *raw = value.raw;
    return true;
}

static bool take_base64(struct reading *r, struct slice *bytes) {
    struct slice text;
    if (!take_text(r, &text)) return false;
    char *out = arena_alloc(r->arena, text.n / 4 * 3 + 1);
    ptrdiff_t n = base64_decode(text, out);
    *bytes = slice_make(out, n < 0 ? 0 : (size_t)n);
    return n >= 0;
}

static bool take_pair(struct reading *r, struct fields *pairs) {
    struct slice part[2] = {SLICE_NONE, SLICE_NONE};
    size_t count = 0;
    if (!json_read_open(&r->json, '[')) return false;
    while (json_read_element(&r->json))
        if (count == 2 || !take_text(r, &part[count++])) return false;
    if (count == 2) fields_add(pairs, r->arena, part[0], part[1]);
    return count == 2;
}

static bool take_pairs(struct reading *r, struct fields *pairs) {
    *pairs = (struct fields){0};
    if (!json_read_open(&r->json, '[')) return false;
    while (json_read_element(&r->json))
        if (!take_pair(r, pairs)) return false;
    return true;
}

static bool take_members(struct reading *r, const struct member *rows, char *base);

static bool take_member(struct reading *r, const struct member *m, void *at) {
    switch (m->kind) {
    case MEMBER_TEXT:
    case MEMBER_BYTES_TEXT: return take_text(r, at);
    case MEMBER_NUMBER: return take_number(r, at);
    case MEMBER_JSON: return take_json(r, at);
    case MEMBER_PAIRS: return take_pairs(r, at);
    case MEMBER_BYTES_BASE64: return take_base64(r, at);
    case MEMBER_OBJECT: return take_members(r, m->inner, at);
    }
    return false;
}

static const struct member *row_named(const struct member *rows, struct slice name) {
    for (const struct member *m = rows; m->name.p; m++)
        if (slice_equal(m->name, name)) return m;
    return NULL;
}

static bool take_members(struct reading *r, const struct member *rows, char *base) {
    struct json_value skipped;
    struct slice name;
    if (!json_read_open(&r->json, '{')) return false;
    while (json_read_name(&r->json, r->arena, &name)) {
        const struct member *m = row_named(rows, name);
        bool taken = m ? take_member(r, m, base + m->offset) : json_read_value(&r->json, &skipped);
        if (!taken && !r->wrong) r->wrong = m;
        if (!taken) return false;
    }
    return true;
}

static int refuse(const struct reading *r, struct error *e) {
    if (r->json.error)
        return error_set(e, ERROR_FORMAT, "no whole record: %s at byte %zu", r->json.error, r->json.at + 1);
    if (r->wrong)
        return error_set(e, ERROR_FORMAT, "no record: its member \"%s\" is of another type", r->wrong->name.p);
    return error_set(e, ERROR_FORMAT, "no record: it is no JSON object");
}

static bool is_object_or_none(struct slice json) {
    return slice_is_none(json) || json.p[0] == '{';
}

static int check(const struct record *r, struct error *e) {
    if (r->version != RECORD_VERSION)
        return error_set(e, ERROR_FORMAT, "no record that this execgate reads: it says \"record\": %llu, not %d",
                         (unsigned long long)r->version, RECORD_VERSION);
    if (!r->trigger.n || !r->request.method.n || !r->request.target.n || !r->answer.status || r->answer.status > 599)
        return error_set(e, ERROR_FORMAT,
                         "no whole record: trigger, request.method, request.target or answer.status "
                         "is missing");
    if (!is_object_or_none(r->claims) || !is_object_or_none(r->client_context))
        return error_set(e, ERROR_FORMAT, "no record: claims and clientContext are objects");
    return 0;
}

int record_read(struct record *r, struct slice line, struct arena *a, struct error *e) {
    struct reading reading = {.arena = a};
    *r = (struct record){0};
    json_read_init(&reading.json, line);
    if (!take_members(&reading, record_members, (char *)r) || !json_read_end(&reading.json)) return refuse(&reading, e);
    return check(r, e);
}

bool record_redacts(const struct record *r, struct slice kind, struct slice name) {
    bool header = slice_equal(kind, SLICE("header"));
    for (size_t i = 0; i < r->redacted.count; i++) {
        const struct field *f = &r->redacted.items[i];
        if (!slice_equal(f->name, kind)) continue;
        if (slice_equal(f->value, name) || (header && slice_equal_nocase(f->value, name))) return true;
    }
    return false;
}
