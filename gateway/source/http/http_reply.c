#include "gateway/base/http_text.h"
#include "gateway/base/memory.h"
#include "gateway/source/http/http_private.h"
#include <stdlib.h>

/* A complete body up to here is sent from memory as it is; a larger one in pieces, so that progress can be seen. */
#define WHOLE_MAX (64 * 1024)
#define PIECE_SIZE (64 * 1024)
/* An answer that comes before the end of its request's body is written by hand... */
/* ...unless no more than this is left to read, which is cheaper than losing the connection. */
#define DISCARD_MAX (64 * 1024)

bool status_has_body(int status) {
    return status != 204 && status != 304 && status >= 200;
}

/* Fields that frame the message are the server's own (RFC 9112 6). */
bool field_is_ours(struct slice name) {
    static const struct slice ours[] = {
        {"Date", 4}, {"Connection", 10}, {"Content-Length", 14}, {"Transfer-Encoding", 17}};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (ours[i].n == name.n && slice_equal_nocase(ours[i], name)) return true;
    return false;
}

/* libmicrohttpd wants NUL-terminated text and copies it. It refuses an empty value and one with CR or LF; such a field
 * is left out. */
static void response_add(struct MHD_Response *r, const struct field *f) {
    char room[512];
    size_t need = f->name.n + f->value.n + 2;
    char *text = need <= sizeof room ? room : xmalloc(need);
    memcpy(text, f->name.p, f->name.n);
    text[f->name.n] = '\0';
    char *value = text + f->name.n + 1;
    if (f->value.n) memcpy(value, f->value.p, f->value.n);
    value[f->value.n] = '\0';
    MHD_add_response_header(r, text, value);
    if (text != room) free(text);
}

void response_add_fields(struct MHD_Response *r, const struct fields *fields) {
    for (size_t i = 0; fields && i < fields->count; i++)
        if (!field_is_ours(fields->items[i].name)) response_add(r, &fields->items[i]);
}

/* Upgrade holds for this connection alone, and Connection has to say so (RFC 9110 7.8). */
bool fields_offer_upgrade(const struct fields *fields) {
    return fields && !slice_is_none(fields_get(fields, SLICE("Upgrade")));
}

static void response_add_answer(struct MHD_Response *r, const struct fields *fields) {
    response_add_fields(r, fields);
    if (fields_offer_upgrade(fields)) MHD_add_response_header(r, "Connection", "Upgrade");
}

static void response_close(struct MHD_Response *r) {
    MHD_add_response_header(r, "Connection", "close");
}

static void on_stream_readable(void *context) {
    struct http_exchange *x = context;
    if (x->suspended) exchange_resume(x);
}

/* libmicrohttpd pulls the next piece. Returning 0 without being suspended would make it ask again at once, for ever. */
static ssize_t on_pull(void *context, uint64_t position, char *room, size_t size) {
    (void)position;
    struct http_exchange *x = context;
    if (x->broken) return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t n = body_read(x->stream, room, size);
    if (n > 0) {
        exchange_place(x, PLACE_SENDING);
        return (ssize_t)n;
    }
    if (body_at_end(x->stream)) return MHD_CONTENT_READER_END_OF_STREAM;
    if (body_state_of(x->stream) != BODY_OPEN) return MHD_CONTENT_READER_END_WITH_ERROR;
    exchange_suspend(x);
    /* Asking may have made the producer deliver before we were there to be woken. */
    if (body_peek(x->stream).n > 0 || body_state_of(x->stream) != BODY_OPEN) exchange_resume(x);
    return 0;
}

static void release_whole(void *body) {
    body_release_consumer(body);
}

static struct MHD_Response *response_empty(void) {
    return MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
}

static struct MHD_Response *response_whole(struct body *take_body) {
    struct slice bytes = body_whole(take_body);
    return MHD_create_response_from_buffer_with_free_callback_cls(bytes.n, (void *)bytes.p, release_whole, take_body);
}

static struct MHD_Response *response_stream(struct http_exchange *x, struct body *take_body) {
    int64_t length = body_length(take_body);
    uint64_t size = length == BODY_LENGTH_UNKNOWN ? MHD_SIZE_UNKNOWN : (uint64_t)length;
    size_t piece = size < PIECE_SIZE ? (size_t)size : PIECE_SIZE;
    struct MHD_Response *r = MHD_create_response_from_callback(size, piece, on_pull, x, NULL);
    x->stream = take_body;
    body_on_readable(take_body, on_stream_readable, x);
    body_want(take_body);
    /* To a HEAD, libmicrohttpd 0.9.75 would send the last chunk of the chunked body that it does not send. Without
     * chunks there is no length to tell, and it closes the connection. */
    if (size == MHD_SIZE_UNKNOWN && slice_equal(x->method, SLICE("HEAD")))
        MHD_set_response_options(r, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    return r;
}

static struct MHD_Response *response_for(struct http_exchange *x, int status, struct body *take_body) {
    if (!take_body) return response_empty();
    if (!status_has_body(status)) {
        body_release_consumer(take_body);
        return response_empty();
    }
    if (body_state_of(take_body) == BODY_COMPLETE && body_length(take_body) <= WHOLE_MAX) {
        if (body_length(take_body) > 0) return response_whole(take_body);
        body_release_consumer(take_body);
        return response_empty();
    }
    return response_stream(x, take_body);
}

static void response_release(struct http_exchange *x) {
    if (x->response && !x->canned) MHD_destroy_response(x->response);
    x->response = NULL;
    x->canned = false;
}

void reply_queue(struct http_exchange *x) {
    exchange_place(x, PLACE_SENDING);
    x->outq = -1;
    x->queued = MHD_queue_response(x->mhd, x->status, x->response) == MHD_YES;
    response_release(x);
    if (!x->queued) exchange_break(x);
    if (x->peer.tls) pair_note_answer(x);
}

void reply_forget(struct http_exchange *x) {
    response_release(x);
    if (x->stream) body_release_consumer(x->stream);
    x->stream = NULL;
    upgrade_forget(x);
    by_hand_forget(x);
}

void reply_send(struct http_exchange *x) {
    if (x->in_call) return; /* settle looks after it */
    if (x->stage == STAGE_END) reply_queue(x);
    if (x->suspended) exchange_resume(x);
}

/* The rest of the body is small, is on its way, and can be trusted to end where it says. */
static bool rest_is_cheap(const struct http_exchange *x, const struct http_reply *reply) {
    return reply->connection == HTTP_KEEP && x->content_length >= 0 && x->content_length <= DISCARD_MAX &&
           slice_is_none(http_exchange_header(x, SLICE("Expect")));
}

static void reply_make(struct http_exchange *x, const struct http_reply *reply) {
    x->status = (unsigned)reply->status;
    x->response = response_for(x, reply->status, reply->take_body);
    response_add_answer(x->response, reply->headers);
    if (reply->connection == HTTP_CLOSE || exchange_is_last(x)) response_close(x->response);
    reply_send(x);
}

static bool head_is_large(const struct fields *headers) {
    size_t size = 0;
    for (size_t i = 0; headers && i < headers->count; i++)
        size += headers->items[i].name.n + headers->items[i].value.n + 4;
    return size > REPLY_HEAD_MAX;
}

void http_exchange_reply(struct http_exchange *x, const struct http_reply *reply) {
    if (!x->open || x->replied || x->broken) {
        if (reply->take_body) body_release_consumer(reply->take_body);
        return;
    }
    x->replied = true;
    if (head_is_large(reply->headers) || (x->stage != STAGE_END && !rest_is_cheap(x, reply)))
        reply_by_hand(x, reply);
    else
        reply_make(x, reply);
}

void http_exchange_reply_bytes(struct http_exchange *x, int status, const struct fields *headers, char *take_bytes,
                               size_t n) {
    bool plain = x->open && !x->replied && !x->broken && x->stage == STAGE_END && n > 0 && n <= WHOLE_MAX &&
                 !head_is_large(headers);
    if (!plain) {
        struct body *body = body_of_chunk(n ? chunk_take(take_bytes, n) : NULL);
        if (n == 0) free(take_bytes);
        http_exchange_reply(x, &(struct http_reply){.status = status, .headers = headers, .take_body = body});
        return;
    }
    x->replied = true;
    x->status = (unsigned)status;
    x->response = MHD_create_response_from_buffer(n, take_bytes, MHD_RESPMEM_MUST_FREE);
    response_add_answer(x->response, headers);
    if (exchange_is_last(x)) response_close(x->response);
    reply_send(x);
}

struct http_canned {
    int status;
    char *content_type; /* NULL = none */
    char *bytes;
    size_t n;
    struct MHD_Response *keep;
    struct MHD_Response *close;
};

static struct MHD_Response *canned_response(const struct http_canned *c) {
    struct MHD_Response *r = MHD_create_response_from_buffer(c->n, c->bytes, MHD_RESPMEM_MUST_COPY);
    if (c->content_type) MHD_add_response_header(r, "Content-Type", c->content_type);
    return r;
}

struct http_canned *http_canned_new(int status, const char *content_type, struct slice body) {
    struct http_canned *c = xcalloc(1, sizeof *c);
    c->status = status;
    c->content_type = content_type ? xstrdup(content_type) : NULL;
    c->bytes = slice_dup(body);
    c->n = body.n;
    c->keep = canned_response(c);
    c->close = canned_response(c);
    response_close(c->close);
    return c;
}

void http_canned_free(struct http_canned *c) {
    if (!c) return;
    MHD_destroy_response(c->keep);
    MHD_destroy_response(c->close);
    free(c->content_type);
    free(c->bytes);
    free(c);
}

static void reply_canned_early(struct http_exchange *x, struct http_canned *c) {
    struct field type = {SLICE("Content-Type"), slice_of(c->content_type)};
    struct fields fields = {&type, c->content_type ? 1 : 0, 1};
    struct chunk *chunk = c->n ? chunk_copy(slice_make(c->bytes, c->n)) : NULL;
    http_exchange_reply(
        x, &(struct http_reply){.status = c->status, .headers = &fields, .take_body = body_of_chunk(chunk)});
}

void http_exchange_reply_canned(struct http_exchange *x, struct http_canned *c) {
    if (!x->open || x->replied || x->broken) return;
    if (x->stage != STAGE_END) {
        reply_canned_early(x, c);
        return;
    }
    x->replied = true;
    x->status = (unsigned)c->status;
    x->response = exchange_is_last(x) ? c->close : c->keep;
    x->canned = true;
    reply_send(x);
}
