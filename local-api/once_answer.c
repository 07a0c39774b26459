#include "local-api/once_answer.h"
#include "gateway/base/http_text.h"
#include "gateway/base/json_read.h"
#include "gateway/base/text.h"

#define QUOTED_BYTES 80

/* Of the text's first line, as far as it has come. */
static enum once_shape first_line_shape(struct slice text) {
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == ':') return i > 0 ? ONCE_DOCUMENT : ONCE_PLAIN;
        if (!http_is_token(slice_make(text.p + i, 1))) return ONCE_PLAIN;
    }
    return ONCE_UNDECIDED;
}

static bool is_cgi_field(struct slice line) {
    static const char *const names[] = {"Content-Type:", "Status:", "Location:"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (slice_starts_with_nocase(line, slice_of(names[i]))) return true;
    return false;
}

/* True when one of the lines before the first that is no header line is a CGI field (RFC 3875 section 6.3). */
static bool head_was_meant(struct slice text) {
    struct slice line;
    while (slice_next(&text, '\n', &line) && first_line_shape(line) == ONCE_DOCUMENT)
        if (is_cgi_field(line)) return true;
    return false;
}

enum once_shape once_shape_of(struct slice text, enum once_output output, struct arena *a, struct response_head *head,
                              struct error *e) {
    enum once_shape shape = first_line_shape(text);
    if (shape == ONCE_UNDECIDED && output == ONCE_OUTPUT_ENDED) return ONCE_PLAIN;
    if (shape != ONCE_DOCUMENT) return shape;
    enum head_result result = cgi_head_parse(head, a, text, e);
    if (result == HEAD_COMPLETE) return ONCE_DOCUMENT;
    if (result == HEAD_INCOMPLETE && output == ONCE_MORE_MAY_COME) return ONCE_UNDECIDED;
    if (!head_was_meant(text)) return ONCE_PLAIN;
    if (result == HEAD_INCOMPLETE) error_set(e, ERROR_FORMAT, "no blank line ends the header lines");
    return ONCE_BROKEN;
}

static const char *content_type_of(struct slice text) {
    struct slice rest = text;
    while (rest.n && memchr(" \t\r\n", rest.p[0], 4)) rest = slice_make(rest.p + 1, rest.n - 1);
    bool container = rest.n && (rest.p[0] == '{' || rest.p[0] == '[');
    if (container && json_is_valid(text)) return "application/json";
    return text_utf8_prefix(text) == text.n ? "text/plain; charset=utf-8" : "application/octet-stream";
}

struct outcome once_plain_outcome(struct invocation *inv, struct buf *take_text) {
    struct outcome o = {.status = 200};
    struct slice text = buf_slice(take_text);
    if (!text.n) return o;
    fields_add(&o.headers, &inv->arena, SLICE("Content-Type"), slice_of(content_type_of(text)));
    size_t n;
    char *bytes = buf_take(take_text, &n);
    o.body = body_of_chunk(chunk_take(bytes, n));
    return o;
}

struct outcome once_document_outcome(struct invocation *inv, const struct response_head *head) {
    struct outcome o = {.status = head->status};
    answer_fields_copy(inv, &head->fields, &o.headers);
    return o;
}

struct outcome once_broken_outcome(struct invocation *inv, struct slice text, const char *why) {
    struct buf quoted = {0};
    struct outcome o = outcome_failure(inv, FAILURE_HANDLER_ANSWER, "%s", why);
    text_append_quoted(&quoted, text, QUOTED_BYTES);
    o.evidence = arena_copy(&inv->arena, buf_slice(&quoted));
    buf_free(&quoted);
    return o;
}
