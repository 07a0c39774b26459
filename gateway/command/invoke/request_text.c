#include "gateway/command/invoke/request_text.h"
#include "gateway/base/http_text.h"
#include "gateway/base/json_read.h"
#include "gateway/command/invoke/input.h"
#include "gateway/command/token/claims.h"

/* --- the request line --- */

static bool is_method(struct slice s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 'A' || s.p[i] > 'Z') return false;
    return s.n > 0;
}

/* As curl and browsers do it. */
static struct slice encode_beyond_ascii(struct arena *a, struct slice target) {
    static const char digits[] = "0123456789ABCDEF";
    char *out = arena_alloc(a, 3 * target.n);
    size_t n = 0;
    for (size_t i = 0; i < target.n; i++) {
        unsigned char c = (unsigned char)target.p[i];
        if (c >= 0x80) {
            out[n++] = '%';
            out[n++] = digits[c >> 4];
            out[n++] = digits[c & 15];
        } else {
            out[n++] = target.p[i];
        }
    }
    return slice_make(out, n);
}

static int read_line(struct request_text *r, const char *text, bool has_data, struct error *e) {
    struct slice rest = slice_of(text), method = SLICE_NONE;
    if (rest.n && rest.p[0] != '/') slice_next(&rest, ' ', &method);
    struct slice target = slice_is_none(rest) ? SLICE_NONE : slice_trim(rest);
    if (slice_is_none(method)) method = has_data ? SLICE("POST") : SLICE("GET");
    if (!is_method(method) || !target.n || target.p[0] != '/')
        return error_set(e, ERROR_USAGE,
                         "--http takes \"METHOD /path?query\", such as \"POST /orders?x=1\", not \"%s\"", text);
    r->http.method = method;
    r->http.target = encode_beyond_ascii(&r->arena, target);
    return 0;
}

/* --- data --- */

int request_data_read(struct buf *out, const struct arguments *a, struct error *e) {
    const char *data;
    for (size_t at = 0; (data = arguments_next(a, "data", &at));) {
        if (out->n) buf_append_char(out, '&');
        if (data[0] != '@')
            buf_append_text(out, data);
        else if (input_read(out, "--data", data + 1, e) < 0)
            return -ERROR_USAGE;
    }
    return 0;
}

static struct slice type_of(struct slice data) {
    struct slice s = slice_trim(data);
    bool container = s.n && (s.p[0] == '{' || s.p[0] == '[');
    return container && json_is_valid(data) ? SLICE("application/json") : SLICE("application/x-www-form-urlencoded");
}

/* --- headers --- */

/* Takes it away when there is no value; repeated ones are kept, but not beside one of ours. */
static int read_header(struct request_text *r, const char *text, struct error *e) {
    struct slice value = slice_of(text), name;
    slice_next(&value, ':', &name);
    bool well = !slice_is_none(value) && http_is_token(name) && http_is_field_value(slice_trim(value));
    if (!well) return error_set(e, ERROR_USAGE, "--header takes \"Name: value\", not \"%s\"", text);
    value = slice_trim(value);
    if (value.n) fields_add(&r->headers, &r->arena, name, value);
    return 0;
}

/* True when some -H speaks of it, if only to take it away. */
static bool is_given(const struct arguments *a, struct slice name) {
    const char *text;
    for (size_t at = 0; (text = arguments_next(a, "header", &at));) {
        struct slice rest = slice_of(text), given;
        if (slice_next(&rest, ':', &given) && slice_equal_nocase(given, name)) return true;
    }
    return false;
}

static void add_default(struct request_text *r, const struct arguments *a, struct slice name, struct slice value) {
    if (!is_given(a, name)) fields_add(&r->headers, &r->arena, name, value);
}

static int read_headers(struct request_text *r, const struct arguments *a, struct error *e) {
    const char *text;
    int status = 0;
    add_default(r, a, SLICE("Host"), SLICE("localhost"));
    add_default(r, a, SLICE("User-Agent"), SLICE("execgate/" EXECGATE_VERSION));
    add_default(r, a, SLICE("Accept"), SLICE("*/*"));
    for (size_t at = 0; status == 0 && (text = arguments_next(a, "header", &at));) status = read_header(r, text, e);
    if (slice_is_none(r->http.body)) return status;
    add_default(r, a, SLICE("Content-Length"), arena_printf(&r->arena, "%zu", r->body.n));
    add_default(r, a, SLICE("Content-Type"), type_of(r->http.body));
    return status;
}

/* --- all of it --- */

static int refuse_without_http(const struct arguments *a, struct error *e) {
    static const char *const needing[] = {"header", "data"};
    for (size_t i = 0; i < sizeof needing / sizeof needing[0]; i++)
        if (arguments_has(a, needing[i]))
            return error_set(e, ERROR_USAGE, "--%s says something about a request: it needs --http", needing[i]);
    return 0;
}

int request_text_read(struct request_text *r, const struct arguments *a, const char *otherwise, struct error *e) {
    const char *line = arguments_has(a, "http") ? arguments_get(a, "http") : otherwise;
    *r = (struct request_text){.http.headers = &r->headers};
    arena_init(&r->arena, 1024);
    if (!line) return refuse_without_http(a, e);
    int status = request_data_read(&r->body, a, e);
    if (arguments_has(a, "data")) r->http.body = r->body.n ? buf_slice(&r->body) : SLICE("");
    if (status == 0) status = read_line(r, line, arguments_has(a, "data"), e);
    return status == 0 ? read_headers(r, a, e) : status;
}

void request_text_free(struct request_text *r) {
    buf_free(&r->body);
    arena_free(&r->arena);
}

int request_claims_read(struct buf *out, const struct arguments *a, struct error *e) {
    struct json_write w = json_write_to(out);
    struct error why = {0};
    if (!arguments_has(a, "as")) return 0;
    json_open(&w, '{');
    int status = claims_write(&w, a, "as", e);
    json_close(&w, '}');
    if (status < 0 || invoke_claims_check(buf_slice(out), &why)) return status;
    return error_set(e, ERROR_USAGE, "--as: %s", why.message);
}
