#include "local-api/http_message.h"
#include "gateway/base/http_text.h"
#include "gateway/invocation/event.h"
#include "gateway/schedule/moment.h"

enum line_end { LINE_CRLF, LINE_ANY };

struct head_reader {
    struct slice rest;
    size_t left; /* how far the head may still reach */
    enum line_end line_end;
    struct response_head *head;
    struct arena *arena;
    struct error *error;
};

static enum head_result head_invalid(const struct head_reader *r, const char *why) {
    error_set(r->error, ERROR_FORMAT, "%s", why);
    return HEAD_INVALID;
}

static struct head_reader head_reader_start(struct response_head *h, struct arena *a, struct slice text) {
    *h = (struct response_head){.content_length = -1};
    return (struct head_reader){.rest = text, .left = HTTP_MESSAGE_MAX_HEAD, .head = h, .arena = a};
}

/* The next line without its end. */
static enum head_result head_take_line(struct head_reader *r, struct slice *line) {
    size_t room = r->rest.n < r->left ? r->rest.n : r->left;
    const char *newline = room ? memchr(r->rest.p, '\n', room) : NULL;
    if (!newline && r->rest.n >= r->left) return head_invalid(r, "the head is too large");
    if (!newline) return HEAD_INCOMPLETE;
    size_t n = (size_t)(newline - r->rest.p);
    bool returned = n && newline[-1] == '\r';
    if (!returned && r->line_end == LINE_CRLF) return head_invalid(r, "a line does not end in CRLF");
    *line = slice_make(r->rest.p, n - returned);
    r->rest = slice_make(newline + 1, r->rest.n - n - 1);
    r->left -= n + 1;
    return HEAD_COMPLETE;
}

static enum head_result head_note_length(struct head_reader *r, struct slice value) {
    uint64_t length;
    if (r->head->content_length >= 0) return head_invalid(r, "Content-Length is given twice");
    if (!slice_to_u64(value, &length) || length > INT64_MAX) return head_invalid(r, "Content-Length is no number");
    r->head->content_length = (int64_t)length;
    return HEAD_COMPLETE;
}

static enum head_result head_take_field(struct head_reader *r, struct slice line) {
    ptrdiff_t colon = slice_find(line, ':');
    if (colon < 0) return head_invalid(r, "a header line has no colon");
    struct slice name = slice_make(line.p, (size_t)colon);
    struct slice value = slice_trim(slice_make(line.p + colon + 1, line.n - (size_t)colon - 1));
    if (!http_is_token(name)) return head_invalid(r, "a header name is not valid");
    if (!http_is_field_value(value)) return head_invalid(r, "a header value is not valid");
    if (r->head->fields.count == HTTP_MESSAGE_MAX_FIELDS) return head_invalid(r, "too many header lines");
    fields_add(&r->head->fields, r->arena, name, value);
    if (slice_equal_nocase(name, SLICE("content-length"))) return head_note_length(r, value);
    if (slice_equal_nocase(name, SLICE("transfer-encoding")))
        return head_invalid(r, "Transfer-Encoding has no place in an answer");
    return HEAD_COMPLETE;
}

/* Header lines up to the blank one. */
static enum head_result head_take_fields(struct head_reader *r) {
    struct slice line;
    for (;;) {
        enum head_result result = head_take_line(r, &line);
        if (result != HEAD_COMPLETE || line.n == 0) return result;
        result = head_take_field(r, line);
        if (result != HEAD_COMPLETE) return result;
    }
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* "200" or "200 OK"; anything but three digits, alone or before a blank, is -1. */
static int status_of(struct slice text) {
    if (text.n < 3 || !is_digit(text.p[0]) || !is_digit(text.p[1]) || !is_digit(text.p[2])) return -1;
    if (text.n > 3 && text.p[3] != ' ') return -1;
    return (text.p[0] - '0') * 100 + (text.p[1] - '0') * 10 + text.p[2] - '0';
}

/* status-line (RFC 9112 4); the reason phrase may be missing along with its blank. */
static enum head_result head_take_status_line(struct head_reader *r) {
    struct slice line;
    enum head_result result = head_take_line(r, &line);
    if (result != HEAD_COMPLETE) return result;
    bool known = slice_starts_with(line, SLICE("HTTP/1.1 ")) || slice_starts_with(line, SLICE("HTTP/1.0 "));
    if (!known) return head_invalid(r, "an answer must begin with HTTP/1.1 and a status");
    struct slice status = slice_make(line.p + 9, line.n - 9);
    if (!http_is_field_value(slice_trim(status))) return head_invalid(r, "the reason phrase is not valid");
    r->head->status = status_of(status);
    if (r->head->status < 0) return head_invalid(r, "the status is not three digits");
    return HEAD_COMPLETE;
}

enum head_result response_head_parse(struct response_head *h, struct arena *a, struct slice text, struct error *e) {
    struct head_reader r = head_reader_start(h, a, text);
    r.error = e;
    r.line_end = LINE_CRLF;
    enum head_result result = head_take_status_line(&r);
    if (result == HEAD_COMPLETE) result = head_take_fields(&r);
    h->size = (size_t)(r.rest.p - text.p);
    return result;
}

/* Status and Location (RFC 3875 6.2 and 6.3.3). A local redirect is left to the client, who comes back with it. */
static enum head_result cgi_interpret(struct head_reader *r) {
    struct response_head *h = r->head;
    struct slice status = fields_get(&h->fields, SLICE("status"));
    bool redirects = !slice_is_none(fields_get(&h->fields, SLICE("location")));
    h->status = redirects ? 302 : 200;
    if (slice_is_none(status)) return HEAD_COMPLETE;
    h->status = status_of(status);
    fields_remove(&h->fields, SLICE("status"));
    if (h->status < 200 || h->status > 599) return head_invalid(r, "Status is not one of 200 to 599");
    return HEAD_COMPLETE;
}

enum head_result cgi_head_parse(struct response_head *h, struct arena *a, struct slice text, struct error *e) {
    struct head_reader r = head_reader_start(h, a, text);
    r.error = e;
    r.line_end = LINE_ANY;
    enum head_result result = head_take_fields(&r);
    h->size = (size_t)(r.rest.p - text.p);
    if (result != HEAD_COMPLETE) return result;
    if (h->fields.count == 0) return head_invalid(&r, "there is no header line");
    return cgi_interpret(&r);
}

/* True when some Connection field says more than close or keep-alive, and so may name other fields. */
static bool connection_names_fields(const struct fields *f) {
    for (size_t i = 0; i < f->count; i++) {
        const struct field *field = &f->items[i];
        if (!slice_equal_nocase(field->name, SLICE("connection"))) continue;
        if (slice_equal_nocase(field->value, SLICE("keep-alive"))) continue;
        if (!slice_equal_nocase(field->value, SLICE("close"))) return true;
    }
    return false;
}

/* Fields that end at this gateway in either direction, or that it writes itself. */
static bool field_ends_here(struct slice name) {
    return http_is_hop_by_hop(name) || slice_equal_nocase(name, SLICE("content-length")) ||
           slice_starts_with_nocase(name, SLICE("execgate-"));
}

static bool is_event_stream(struct slice content_type) {
    struct slice type;
    return slice_next(&content_type, ';', &type) && slice_equal_nocase(slice_trim(type), SLICE("text/event-stream"));
}

/* A list may be spread over several fields (RFC 9110 5.3). */
static void note_groups(struct invocation *inv, struct slice value) {
    struct slice before = inv->answer_groups;
    inv->answer_groups = slice_is_none(before)
                             ? arena_copy(&inv->arena, value)
                             : arena_printf(&inv->arena, SLICE_FMT "," SLICE_FMT, SLICE_ARG(before), SLICE_ARG(value));
}

/* What the answer says to the gateway. */
static void note_field(struct invocation *inv, const struct field *f) {
    if (slice_equal_nocase(f->name, SLICE("Content-Type")))
        inv->answers_events = is_event_stream(f->value);
    else if (slice_equal_nocase(f->name, SLICE("Execgate-Groups")))
        note_groups(inv, f->value);
}

void answer_fields_copy(struct invocation *inv, const struct fields *from, struct fields *to) {
    bool named = connection_names_fields(from);
    for (size_t i = 0; i < from->count; i++) {
        const struct field *field = &from->items[i];
        note_field(inv, field);
        if (field_ends_here(field->name) || (named && http_is_named_by_connection(from, field->name))) continue;
        if (!http_is_token(field->name) || !http_is_field_value(field->value)) continue;
        fields_add(to, &inv->arena, arena_copy(&inv->arena, field->name), arena_copy(&inv->arena, field->value));
    }
}

static void write_field(struct buf *out, struct slice name, struct slice value) {
    char *at = buf_reserve(out, name.n + value.n + 4);
    memcpy(at, name.p, name.n);
    at += name.n;
    *at++ = ':';
    *at++ = ' ';
    if (value.n) memcpy(at, value.p, value.n);
    at[value.n] = '\r';
    at[value.n + 1] = '\n';
    out->n += name.n + value.n + 4;
}

static void write_number_field(struct buf *out, struct slice name, uint64_t value) {
    buf_append_slice(out, name);
    buf_append(out, ": ", 2);
    buf_append_u64(out, value);
    buf_append(out, "\r\n", 2);
}

static void write_parameters(struct buf *out, const struct invocation *inv) {
    const struct route *route = inv->route;
    if (!route || route->parameter_count == 0) return;
    buf_append_text(out, "Execgate-Parameters: ");
    for (size_t i = 0; i < route->parameter_count; i++) {
        if (i) buf_append_char(out, '&');
        url_append_form(out, route->parameter_names[i]);
        buf_append_char(out, '=');
        url_append_form(out, inv->parameters[i]);
    }
    buf_append(out, "\r\n", 2);
}

/* traceparent (W3C Trace Context 3.2), naming the span that is the handler's parent. */
static void write_traceparent(struct buf *out, const struct invocation *inv) {
    buf_append_text(out, "traceparent: 00-");
    buf_append(out, inv->trace_id, sizeof inv->trace_id);
    buf_append_char(out, '-');
    buf_append(out, inv->parent_id, sizeof inv->parent_id);
    buf_append_text(out, inv->trace_sampled ? "-01\r\n" : "-00\r\n");
}

static void write_websocket(struct buf *out, const struct websocket_event *e) {
    write_field(out, SLICE("Execgate-Connection-Id"), e->connection_id);
    write_field(out, SLICE("Execgate-Websocket-Route"), e->route_key);
    if (e->type == WEBSOCKET_MESSAGE) write_field(out, SLICE("Execgate-Message-Id"), e->message_id);
    if (e->groups.n) write_field(out, SLICE("Execgate-Groups"), e->groups);
    if (e->type == WEBSOCKET_DISCONNECT) write_number_field(out, SLICE("Execgate-Close-Code"), (uint64_t)e->close_code);
}

static void write_scheduled_time(struct buf *out, const struct invocation *inv) {
    char time[MOMENT_SIZE];
    if (!inv->schedule) return;
    moment_text_utc(time, (int64_t)(inv->schedule->due_ms / 1000));
    write_field(out, SLICE("Execgate-Scheduled-Time"), slice_of(time));
}

void event_fields_write(struct buf *out, const struct invocation *inv, uint64_t deadline_ms) {
    write_field(out, SLICE("Execgate-Invocation-Id"), invocation_id(inv));
    write_field(out, SLICE("Execgate-Trigger"), slice_of(trigger_kind_name(inv->trigger)));
    if (inv->route) write_field(out, SLICE("Execgate-Route"), inv->route->key);
    write_parameters(out, inv);
    write_number_field(out, SLICE("Execgate-Deadline"), deadline_ms);
    write_scheduled_time(out, inv);
    if (inv->request.client_address.n) write_field(out, SLICE("Execgate-Client-Address"), inv->request.client_address);
    if (inv->client_context.n) write_field(out, SLICE("Execgate-Client-Context"), inv->client_context);
    write_field(out, SLICE("Execgate-Request-Id"), inv->request_id);
    if (!slice_is_none(inv->request.client_certificate) && http_is_field_value(inv->request.client_certificate))
        write_field(out, SLICE("Execgate-Client-Certificate"), inv->request.client_certificate);
    if (inv->identity) write_field(out, SLICE("Execgate-Claims"), inv->identity->claims_json);
    if (inv->websocket) write_websocket(out, inv->websocket);
    write_traceparent(out, inv);
    if (inv->request.host.n) write_field(out, SLICE("Host"), inv->request.host);
}

bool request_field_passes(const struct fields *all, struct slice name) {
    if (http_is_hop_by_hop(name) || slice_starts_with_nocase(name, SLICE("execgate-"))) return false;
    if (slice_equal_nocase(name, SLICE("expect"))) return false;
    return !connection_names_fields(all) || !http_is_named_by_connection(all, name);
}

/* What the message carries in fields of our own making. */
static bool is_rewritten(struct slice name) {
    return slice_equal_nocase(name, SLICE("host")) || slice_equal_nocase(name, SLICE("content-length")) ||
           slice_equal_nocase(name, SLICE("traceparent"));
}

static void write_client_fields(struct buf *out, const struct fields *f) {
    bool named = connection_names_fields(f);
    for (size_t i = 0; i < f->count; i++) {
        const struct field *field = &f->items[i];
        if (field_ends_here(field->name) || is_rewritten(field->name)) continue;
        if (slice_equal_nocase(field->name, SLICE("expect"))) continue;
        if (named && http_is_named_by_connection(f, field->name)) continue;
        write_field(out, field->name, field->value);
    }
}

/* Always in origin-form: the authority of an absolute target has become the Host field (RFC 9112 3.2.2). */
static void write_request_line(struct buf *out, const struct request *request) {
    buf_append_slice(out, request->method);
    buf_append_char(out, ' ');
    buf_append_slice(out, request->url.path);
    if (!slice_is_none(request->url.query)) {
        buf_append_char(out, '?');
        buf_append_slice(out, request->url.query);
    }
    buf_append_text(out, " HTTP/1.1\r\n");
}

void event_message_write(struct buf *out, struct invocation *inv, uint64_t deadline_ms) {
    struct slice body = inv->body ? body_whole(inv->body) : SLICE("");
    buf_reserve(out, 1024 + body.n);
    write_request_line(out, &inv->request);
    event_fields_write(out, inv, deadline_ms);
    write_client_fields(out, &inv->request.headers);
    write_number_field(out, SLICE("Content-Length"), body.n);
    buf_append(out, "\r\n", 2);
    buf_append_slice(out, body);
}
