#include "local-api/answer_http.h"
#include "gateway/base/base64.h"
#include "gateway/base/json_read.h"
#include "gateway/base/text.h"
#include "local-api/http_message.h"

#define QUOTED_BYTES 64
#define PRELUDE_NULS 8

enum answer_member {
    MEMBER_STATUS,
    MEMBER_HEADERS,
    MEMBER_MULTI_HEADERS,
    MEMBER_COOKIES,
    MEMBER_BODY,
    MEMBER_BASE64,
    MEMBERS
};

static const struct slice member_names[MEMBERS] = {
    [MEMBER_STATUS] = {"statusCode", 10},
    [MEMBER_HEADERS] = {"headers", 7},
    [MEMBER_MULTI_HEADERS] = {"multiValueHeaders", 17},
    [MEMBER_COOKIES] = {"cookies", 7},
    [MEMBER_BODY] = {"body", 4},
    [MEMBER_BASE64] = {"isBase64Encoded", 15},
};

/* One answer while it is read; members that are absent or null have kind JSON_INVALID or JSON_NULL. */
struct reading {
    struct invocation *inv;
    struct json_value members[MEMBERS];
    struct fields sent; /* as the handler gave them, before they are filtered */
    struct arena *arena;
    const char *wrong; /* the first thing that is not right; NULL while all is well */
};

static bool reading_fails(struct reading *r, const char *why) {
    if (!r->wrong) r->wrong = why;
    return false;
}

static bool given(struct json_value value) {
    return value.kind != JSON_INVALID && value.kind != JSON_NULL;
}

struct outcome answer_invalid(struct invocation *inv, const char *why, struct slice bytes) {
    struct buf quoted = {0};
    struct outcome o = outcome_failure(inv, FAILURE_HANDLER_ANSWER, "%s", why);
    text_append_quoted(&quoted, bytes, QUOTED_BYTES);
    if (bytes.n) o.evidence = arena_copy(&inv->arena, buf_slice(&quoted));
    buf_free(&quoted);
    return o;
}

/* --- members --- */

/* The last of a repeated member counts. */
static bool read_members(struct reading *r, struct json_read *json) {
    struct slice name;
    struct json_value value;
    while (json_read_name(json, r->arena, &name)) {
        if (!json_read_value(json, &value)) return false;
        for (int i = 0; i < MEMBERS; i++)
            if (slice_equal(name, member_names[i])) r->members[i] = value;
    }
    return true;
}

/* A string's text in the invocation's arena: headers outlive the bytes they came in. */
static struct slice text_of(struct reading *r, struct json_value string) {
    char *text = arena_alloc(r->arena, string.raw.n);
    return slice_make(text, json_unescape(string.raw, text));
}

static bool status_is_valid(int64_t status) {
    return status >= 200 && status <= 599;
}

/* A number, or digits in a string. */
static bool read_status(struct reading *r, int *status) {
    struct json_value value = r->members[MEMBER_STATUS];
    int64_t number = 0;
    uint64_t digits = 0;
    bool known = value.kind == JSON_NUMBER && json_int_of(value, &number);
    if (value.kind == JSON_STRING && slice_to_u64(text_of(r, value), &digits) && digits <= INT64_MAX) {
        number = (int64_t)digits;
        known = true;
    }
    if (!known || !status_is_valid(number)) return reading_fails(r, "its statusCode is not one of 200 to 599");
    *status = (int)number;
    return true;
}

/* Strings, numbers and booleans are values of a header. */
static bool add_header(struct reading *r, struct slice name, struct json_value value) {
    switch (value.kind) {
    case JSON_NULL: return true;
    case JSON_STRING: fields_add(&r->sent, r->arena, name, slice_trim(text_of(r, value))); return true;
    case JSON_NUMBER:
    case JSON_TRUE:
    case JSON_FALSE: fields_add(&r->sent, r->arena, name, value.raw); return true;
    case JSON_INVALID:
    case JSON_ARRAY:
    case JSON_OBJECT: break;
    }
    return reading_fails(r, "a header's value is neither text nor a number");
}

static bool add_multi_header(struct reading *r, struct slice name, struct json_value values) {
    struct json_read json;
    struct json_value value;
    if (!given(values)) return true;
    if (values.kind != JSON_ARRAY) return reading_fails(r, "multiValueHeaders holds something that is no list");
    json_read_init(&json, values.raw);
    json_read_open(&json, '[');
    while (json_read_element(&json))
        if (!json_read_value(&json, &value) || !add_header(r, name, value)) return false;
    return true;
}

/* `headers` adds what `multiValueHeaders`, read before it, did not say; those who use both say it twice. */
static bool add_single_header(struct reading *r, struct slice name, struct json_value value) {
    return given(r->members[MEMBER_MULTI_HEADERS]) && fields_count(&r->sent, name) ? true : add_header(r, name, value);
}

static bool read_header_object(struct reading *r, struct json_value object,
                               bool (*add)(struct reading *, struct slice, struct json_value)) {
    struct json_read json;
    struct slice name;
    struct json_value value;
    if (!given(object)) return true;
    if (object.kind != JSON_OBJECT) return reading_fails(r, "its headers are no object");
    json_read_init(&json, object.raw);
    json_read_open(&json, '{');
    while (json_read_name(&json, r->arena, &name))
        if (!json_read_value(&json, &value) || !add(r, name, value)) return false;
    return true;
}

static bool read_cookies(struct reading *r) {
    struct json_value cookies = r->members[MEMBER_COOKIES];
    struct json_read json;
    struct json_value value;
    if (!given(cookies)) return true;
    if (cookies.kind != JSON_ARRAY) return reading_fails(r, "its cookies are no list");
    json_read_init(&json, cookies.raw);
    json_read_open(&json, '[');
    while (json_read_element(&json)) {
        if (!json_read_value(&json, &value)) return false;
        if (value.kind == JSON_NULL) continue;
        if (value.kind != JSON_STRING) return reading_fails(r, "a cookie is no text");
        fields_add(&r->sent, r->arena, SLICE("set-cookie"), slice_trim(text_of(r, value)));
    }
    return true;
}

/* Everything but the body. */
static bool read_head(struct reading *r, struct outcome *o) {
    bool well = read_status(r, &o->status) &&
                read_header_object(r, r->members[MEMBER_MULTI_HEADERS], add_multi_header) &&
                read_header_object(r, r->members[MEMBER_HEADERS], add_single_header) && read_cookies(r);
    if (well) answer_fields_copy(r->inv, &r->sent, &o->headers);
    return well;
}

/* --- the body --- */

static bool read_base64_flag(struct reading *r, bool *base64) {
    struct json_value value = r->members[MEMBER_BASE64];
    *base64 = value.kind == JSON_TRUE;
    if (!given(value) || value.kind == JSON_TRUE || value.kind == JSON_FALSE) return true;
    return reading_fails(r, "its isBase64Encoded is neither true nor false");
}

/* Unescapes and decodes within the chunk that holds the answer, which shrinks to the body. */
static bool read_body(struct reading *r, struct chunk *whole) {
    struct json_value value = r->members[MEMBER_BODY];
    bool base64;
    if (!read_base64_flag(r, &base64)) return false;
    if (!given(value)) {
        whole->bytes.n = 0;
        return true;
    }
    if (value.kind != JSON_STRING) return reading_fails(r, "its body is no text");
    char *at = (char *)whole->memory + (value.raw.p - (const char *)whole->memory);
    struct slice text = {at, json_unescape(value.raw, at)};
    ptrdiff_t n = base64 ? base64_decode(text, at) : (ptrdiff_t)text.n;
    if (n < 0) return reading_fails(r, "its body is not valid base64");
    whole->bytes = slice_make(at, (size_t)n);
    return true;
}

static void default_content_type(struct invocation *inv, struct outcome *o) {
    if (!slice_is_none(fields_get(&o->headers, SLICE("content-type")))) return;
    fields_add(&o->headers, &inv->arena, SLICE("content-type"), SLICE("application/json"));
}

static bool read_answer(struct reading *r, struct chunk *whole, struct outcome *o) {
    struct json_read json;
    struct json_value value;
    json_read_init(&json, whole->bytes);
    bool well = json_read_open(&json, '{') ? read_members(r, &json) : json_read_value(&json, &value);
    if (!json_read_end(&json) || !well) return reading_fails(r, "it is not JSON");
    if (!given(r->members[MEMBER_STATUS])) {
        o->status = 200;
        return true;
    }
    return read_head(r, o) && read_body(r, whole);
}

struct outcome http_answer_read(struct invocation *inv, struct chunk *take_chunk) {
    struct reading r = {.inv = inv, .arena = &inv->arena};
    struct outcome o = {.failure = FAILURE_NONE};
    if (!read_answer(&r, take_chunk, &o)) {
        o = answer_invalid(inv, r.wrong ? r.wrong : "it is not JSON", take_chunk->bytes);
        chunk_release(take_chunk);
        return o;
    }
    if (take_chunk->bytes.n == 0) {
        chunk_release(take_chunk);
        return o;
    }
    default_content_type(inv, &o);
    o.body = body_of_chunk(take_chunk);
    return o;
}

/* --- streamed answers --- */

enum prelude_result prelude_find(struct slice text, struct slice *json, size_t *size) {
    /* JSON has no NUL, so the first one ends it. */
    const char *end = text.n ? memchr(text.p, '\0', text.n) : NULL;
    size_t n = end ? (size_t)(end - text.p) : text.n;
    if (n > PRELUDE_MAX) return PRELUDE_INVALID;
    size_t nuls = 0;
    while (n + nuls < text.n && nuls < PRELUDE_NULS && text.p[n + nuls] == '\0') nuls++;
    if (nuls < PRELUDE_NULS && n + nuls < text.n) return PRELUDE_INVALID;
    if (nuls < PRELUDE_NULS) return PRELUDE_INCOMPLETE;
    *json = slice_make(text.p, n);
    *size = n + nuls;
    return PRELUDE_COMPLETE;
}

static bool read_prelude(struct reading *r, struct slice text, struct outcome *o) {
    struct json_read json;
    json_read_init(&json, text);
    bool well = json_read_open(&json, '{') && read_members(r, &json);
    if (!json_read_end(&json) || !well) return reading_fails(r, "its prelude is no JSON object");
    if (given(r->members[MEMBER_STATUS])) return read_head(r, o);
    r->members[MEMBER_STATUS] = (struct json_value){JSON_NUMBER, SLICE("200")};
    return read_head(r, o);
}

struct outcome prelude_read(struct invocation *inv, struct slice json) {
    struct reading r = {.inv = inv, .arena = &inv->arena};
    struct outcome o = {.failure = FAILURE_NONE};
    if (read_prelude(&r, json, &o)) return o;
    return answer_invalid(inv, r.wrong, json);
}
