#include "gateway/source/http/http_check.h"
#include "gateway/base/http_text.h"
#include "gateway/base/memory.h"

/* The fields that decide about framing and origin, found in one pass. */
struct marks {
    size_t hosts, lengths, codings;
    struct slice host, length, coding, expect;
};

static const struct http_verdict fine = {FAILURE_NONE, NULL};

static struct http_verdict refuse(enum failure failure, const char *detail) {
    return (struct http_verdict){failure, detail};
}

static struct http_verdict bad(const char *detail) {
    return refuse(FAILURE_BAD_REQUEST, detail);
}

static bool is_http_1_1(const struct http_head *head) {
    return slice_equal(head->version, SLICE("HTTP/1.1"));
}

static struct http_verdict check_line(const struct http_head *head) {
    if (!is_http_1_1(head) && !slice_equal(head->version, SLICE("HTTP/1.0")))
        return refuse(FAILURE_VERSION, "HTTP/1.1 and HTTP/1.0 are spoken here");
    if (!http_is_token(head->method)) return bad("the method is not a token");
    if (slice_equal(head->method, SLICE("CONNECT"))) return refuse(FAILURE_NOT_IMPLEMENTED, "no tunnels: CONNECT");
    /* A TRACE would show its sender's credentials to a script (RFC 9110 9.3.8). */
    if (slice_equal(head->method, SLICE("TRACE"))) return refuse(FAILURE_NOT_IMPLEMENTED, "no loop-back: TRACE");
    return fine;
}

/* The host of an absolute target takes the place of the Host field (RFC 9112 3.2.2), and is held to the same form. */
static struct http_verdict check_absolute(struct slice target, size_t scheme) {
    size_t end = scheme;
    while (end < target.n && target.p[end] != '/' && target.p[end] != '?') end++;
    if (http_is_host(slice_make(target.p + scheme, end - scheme))) return fine;
    return bad("the request target does not name a host");
}

/* RFC 9112 3.2; the details of paths are url_parse's. */
static struct http_verdict check_target(const struct http_head *head) {
    struct slice target = head->target;
    for (size_t i = 0; i < target.n; i++) {
        unsigned char c = (unsigned char)target.p[i];
        if (c <= ' ' || c >= 0x7f) return bad("the request target holds a byte that must be percent-encoded");
        if (c == '#') return bad("the request target has a fragment");
    }
    if (slice_equal(target, SLICE("*")))
        return slice_equal(head->method, SLICE("OPTIONS")) ? fine : bad("the request target * is for OPTIONS only");
    if (slice_starts_with(target, SLICE("/"))) return fine;
    if (slice_starts_with_nocase(target, SLICE("http://"))) return check_absolute(target, 7);
    if (slice_starts_with_nocase(target, SLICE("https://"))) return check_absolute(target, 8);
    return bad("the request target is neither a path nor an http or https URL");
}

static void mark(struct marks *m, const struct field *f) {
    switch (f->name.n) {
    case 4:
        if (!slice_equal_nocase(f->name, SLICE("Host"))) return;
        m->hosts++;
        m->host = f->value;
        return;
    case 6:
        if (slice_equal_nocase(f->name, SLICE("Expect"))) m->expect = f->value;
        return;
    case 14:
        if (!slice_equal_nocase(f->name, SLICE("Content-Length"))) return;
        m->lengths++;
        m->length = f->value;
        return;
    case 17:
        if (!slice_equal_nocase(f->name, SLICE("Transfer-Encoding"))) return;
        m->codings++;
        m->coding = f->value;
        return;
    default: return;
    }
}

static struct http_verdict check_fields(const struct fields *fields, struct marks *m) {
    if (fields->count > HTTP_MAX_FIELDS) return refuse(FAILURE_HEADER_TOO_LARGE, "more than 128 header fields");
    for (size_t i = 0; i < fields->count; i++) {
        const struct field *f = &fields->items[i];
        if (!http_is_token(f->name)) return bad("a header field's name is not a token");
        if (!http_is_field_value(f->value)) return bad("a header field's value holds a control character");
        mark(m, f);
    }
    return fine;
}

static bool is_digits(struct slice s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9') return false;
    return s.n > 0;
}

/* Where one parser ends a message, the next must end it too (RFC 9112 6.3, 11.2). */
static struct http_verdict check_framing(const struct http_head *head, const struct marks *m) {
    if (m->codings && m->lengths) return bad("Transfer-Encoding and Content-Length together");
    if (m->codings && !is_http_1_1(head)) return bad("Transfer-Encoding in HTTP/1.0");
    if (m->codings > 1 || (m->codings && !slice_equal_nocase(m->coding, SLICE("chunked"))))
        return refuse(FAILURE_NOT_IMPLEMENTED, "the only Transfer-Encoding here is chunked");
    if (m->lengths > 1) return bad("more than one Content-Length");
    uint64_t length;
    if (m->lengths && !is_digits(m->length)) return bad("Content-Length is not a number");
    if (m->lengths && (!slice_to_u64(m->length, &length) || length > INT64_MAX))
        return refuse(FAILURE_BODY_TOO_LARGE, "Content-Length is beyond all bounds");
    return fine;
}

/* unreserved, sub-delims and '%' of a registered name; an address is a subset (RFC 3986 3.2.2). */
static bool is_host_byte(char c) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
    return c != '\0' && strchr("-._~!$&'()*+,;=%", c) != NULL;
}

static bool is_literal_byte(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' || c == '.';
}

bool http_is_host(struct slice s) {
    size_t i = 0;
    if (s.n && s.p[0] == '[') {
        for (i = 1; i < s.n && is_literal_byte(s.p[i]);) i++;
        if (i < 3 || i == s.n || s.p[i] != ']') return false;
        i++;
    } else {
        while (i < s.n && is_host_byte(s.p[i])) i++;
    }
    if (i == 0) return false;
    if (i == s.n) return true;
    struct slice port = slice_make(s.p + i + 1, s.n - i - 1);
    return s.p[i] == ':' && port.n <= 5 && (port.n == 0 || is_digits(port));
}

static struct http_verdict check_origin(const struct http_head *head, const struct marks *m) {
    if (m->hosts > 1) return bad("more than one Host");
    if (m->hosts == 0) return is_http_1_1(head) ? bad("no Host") : fine;
    return http_is_host(m->host) ? fine : bad("Host is not a host name");
}

static struct http_verdict check_expect(const struct marks *m) {
    if (slice_is_none(m->expect) || slice_equal_nocase(m->expect, SLICE("100-continue"))) return fine;
    return refuse(FAILURE_EXPECTATION, "the only expectation met here is 100-continue");
}

struct http_verdict http_check(const struct http_head *head) {
    struct marks m = {0};
    struct http_verdict v = check_line(head);
    if (v.failure == FAILURE_NONE) v = check_target(head);
    if (v.failure == FAILURE_NONE) v = check_fields(head->fields, &m);
    if (v.failure == FAILURE_NONE) v = check_framing(head, &m);
    if (v.failure == FAILURE_NONE) v = check_origin(head, &m);
    if (v.failure == FAILURE_NONE) v = check_expect(&m);
    return v;
}
