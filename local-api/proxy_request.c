#include "local-api/proxy_request.h"
#include "gateway/base/http_text.h"
#include "gateway/pool/pool.h"
#include "local-api/event.h"
#include "local-api/http_message.h"
#include "local-api/proxy_fields.h"
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

/* Servers close idle connections after 2 s and more: younger ones are safe to use again. */
#define REUSE_MAX_IDLE_S 1L
#define RECEIVE_BYTES (32 * 1024L)
/* Of an answer that comes before the end of its request: the most that is kept, nearly all of it in a file. */
#define ANSWER_HELD_MAX (256 * 1024 * 1024)

struct proxy_request {
    struct list_node node;
    struct proxy_upstream *upstream;
    CURL *easy;
    int socket; /* for transfers_add */
    struct curl_slist *fields;
    struct invocation *inv; /* until it is completed */
    bool is_head;
    bool may_repeat;
    unsigned sends;
    bool send_again; /* its connection was found unfit, and nothing was sent */
    bool on_new_connection;

    struct body *upload; /* consumer's end; NULL = none */
    struct buf head_text;
    size_t head_bytes;         /* of all heads and trailers so far */
    struct response_head head; /* slices of head_text */
    bool head_complete;
    bool chunked;        /* libcurl has taken the chunks apart */
    struct body *answer; /* producer's end; NULL = the answer has none */
    struct answer_stream stream;
    bool streaming; /* the invocation was completed with the answer's consumer end */

    bool upload_paused, answer_paused;
    bool refusal_told; /* libcurl was woken to notice that it need not go on sending */
    bool done;         /* libcurl has let go of it */
    CURLcode result;
    bool cancelled;
    bool dropped;       /* nobody waits for it any more */
    enum failure fault; /* found by a callback, which then broke the transfer off */
    char why[160];
};

/* --- marks --- */

static void request_mark(struct proxy_request *r) {
    list_remove(&r->node);
    list_push(&r->upstream->marked, &r->node);
    transfers_wake(r->upstream->transfers);
}

static void on_body_moved(void *context) {
    request_mark(context);
}

static size_t request_fault(struct proxy_request *r, enum failure f, const char *why) {
    r->fault = f;
    snprintf(r->why, sizeof r->why, "%.*s", (int)sizeof r->why - 1, why);
    return 0; /* which makes libcurl end the transfer */
}

/* --- what libcurl asks for and hands over --- */

static size_t on_upload(char *room, size_t size, size_t count, void *context) {
    struct proxy_request *r = context;
    size_t n = body_read(r->upload, room, size * count);
    if (body_at_end(r->upload)) request_mark(r);
    if (n > 0 || body_at_end(r->upload)) return n;
    if (body_state_of(r->upload) == BODY_OPEN) {
        r->upload_paused = true;
        return CURL_READFUNC_PAUSE;
    }
    request_fault(r, body_fault(r->upload), body_failure(r->upload));
    return CURL_READFUNC_ABORT;
}

static void upstream_distrust(struct proxy_upstream *u) {
    if (u->unsound) return;
    u->unsound = true;
    log_event(u->log, LOG_WARN, "handler sends more than its answers", LOG_TEXT("handler", u->worker->handler->name),
              LOG_INT("pid", u->worker->pid));
}

/* Of two requests on one connection the second must not be answered by what was left over from the first. */
static bool connection_is_fit(struct proxy_request *r, int local_port) {
    enum connection_state state = transfers_examine(r->upstream->transfers, r->socket, local_port);
    if (r->on_new_connection) return true;
    if (state == CONNECTION_TALKING) upstream_distrust(r->upstream);
    return state == CONNECTION_NEW || state == CONNECTION_SILENT;
}

static int on_send(void *context, char *server, char *local, int server_port, int local_port) {
    struct proxy_request *r = context;
    (void)server;
    (void)local;
    (void)server_port;
    r->send_again = !connection_is_fit(r, local_port);
    if (r->send_again) return CURL_PREREQFUNC_ABORT;
    if (r->sends++ == 0 || r->may_repeat) return CURL_PREREQFUNC_OK;
    request_fault(r, FAILURE_HANDLER_DIED, "the handler closed the connection before it answered");
    return CURL_PREREQFUNC_ABORT;
}

static bool answer_has_body(const struct proxy_request *r) {
    return r->head.status != 204 && r->head.status != 304;
}

/* It is whole before the transfer is done when the server has answered without reading all of the request. */
static void answer_finish_if_full(struct proxy_request *r) {
    if (!r->answer || r->is_head) return;
    if (body_length(r->answer) != (int64_t)body_received(r->answer)) return;
    body_finish(r->answer);
    request_mark(r);
}

static size_t head_finish(struct proxy_request *r, size_t n) {
    struct error e;
    if (!r->inv) return 0;
    buf_append_text(&r->head_text, "\r\n");
    if (response_head_parse(&r->head, &r->inv->arena, buf_slice(&r->head_text), &e) != HEAD_COMPLETE)
        return request_fault(r, FAILURE_HANDLER_ANSWER, e.message);
    if (r->head.status < 200 || r->head.status > 599)
        return request_fault(r, FAILURE_HANDLER_ANSWER, "the status is not one of 200 to 599");
    r->head_complete = true;
    if (answer_has_body(r))
        r->answer = body_new(r->chunked ? -1 : r->head.content_length, UINT64_MAX);
    else
        curl_easy_setopt(r->easy, CURLOPT_FORBID_REUSE, 1L); /* many servers send one nevertheless */
    answer_finish_if_full(r);
    request_mark(r);
    return n;
}

/* 100 Continue and the like are between the handler and us. 101 answers an Upgrade that was never sent. */
static bool head_is_interim(const struct proxy_request *r) {
    struct slice text = buf_slice(&r->head_text);
    return text.n > 12 && text.p[9] == '1' && memcmp(text.p + 9, "101", 3) != 0;
}

static struct slice line_of(const char *bytes, size_t n) {
    while (n && (bytes[n - 1] == '\n' || bytes[n - 1] == '\r')) n--;
    return slice_make(bytes, n);
}

/* Line by line: status lines, fields, and the blank line at the end, for each interim answer too; at last the trailers.
 * libcurl keeps the fields of them all, so they are bounded together.
 */
static size_t on_head_line(char *bytes, size_t size, size_t count, void *context) {
    struct proxy_request *r = context;
    struct slice line = line_of(bytes, size * count);
    r->head_bytes += size * count;
    if (r->head_bytes > HTTP_MESSAGE_MAX_HEAD)
        return request_fault(r, FAILURE_HANDLER_ANSWER_TOO_LARGE, "its header fields are too large");
    if (r->head_complete) return size * count;
    if (line.n == 0 && !head_is_interim(r)) return head_finish(r, size * count);
    if (line.n == 0) {
        r->head_text.n = 0;
        r->chunked = false;
        return size * count;
    }
    if (slice_starts_with_nocase(line, SLICE("transfer-encoding:"))) {
        r->chunked = true;
        return size * count;
    }
    buf_append_slice(&r->head_text, line);
    buf_append_text(&r->head_text, "\r\n");
    return size * count;
}

/* The client's side can only answer once it has read all of the request. */
static bool upload_is_open(const struct proxy_request *r) {
    return r->upload && !body_at_end(r->upload);
}

/* Before anybody can want it, some is taken in advance: it may turn out to be all. A server that goes on answering
 * while it is still being sent its request must not wait for the end of that, or both would wait for ever. */
static bool answer_is_wanted(struct proxy_request *r) {
    if (r->streaming) return body_wants(r->answer);
    if (body_received(r->answer) < BODY_HIGH_WATER) return true;
    if (!upload_is_open(r)) return body_wants(r->answer);
    body_set_limit(r->answer, ANSWER_HELD_MAX);
    body_collect(r->answer);
    return true;
}

static size_t on_answer(char *bytes, size_t size, size_t count, void *context) {
    struct proxy_request *r = context;
    if (!r->answer || r->dropped) return 0;
    if (!answer_is_wanted(r)) {
        r->answer_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (!body_append_copy(r->answer, slice_make(bytes, size * count)))
        return request_fault(r, FAILURE_HANDLER_ANSWER_TOO_LARGE, "too much of it came before the end of the request");
    answer_finish_if_full(r);
    return size * count;
}

void proxy_request_done(void *transfer, int curl_code) {
    struct proxy_request *r = transfer;
    r->done = true;
    r->result = (CURLcode)curl_code;
    request_mark(r);
}

/* --- the beginning --- */

static uint64_t deadline_wall_ms(struct clock *clock, const struct invocation *inv) {
    uint64_t now_ms = clock_now_ms(clock);
    uint64_t due_ms = deadline_armed(&inv->deadline) ? inv->deadline.at_ms : now_ms + invocation_timeout_ms(inv);
    return clock_wall_ms(clock) + (due_ms > now_ms ? due_ms - now_ms : 0);
}

static bool is_one_of(struct slice method, const char *const *methods, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (slice_equal(method, slice_of(methods[i]))) return true;
    return false;
}

static bool is_idempotent(struct slice method) {
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};
    return is_one_of(method, methods, ARRAY_LEN(methods));
}

/* Their requests say so when they carry nothing (RFC 9110 8.6). */
static bool expects_length(const struct invocation *inv) {
    static const char *const methods[] = {"POST", "PUT", "PATCH"};
    return is_one_of(inv->request.method, methods, ARRAY_LEN(methods)) ||
           !slice_is_none(fields_get(&inv->request.headers, SLICE("Content-Length")));
}

/* Content in a HEAD request has no meaning (RFC 9110 9.3.2), and libcurl has no way to send it. */
static enum proxy_payload payload_of(const struct invocation *inv) {
    if (slice_equal(inv->request.method, SLICE("HEAD"))) return PROXY_NO_BODY;
    if (!inv->body || body_at_end(inv->body)) return expects_length(inv) ? PROXY_EMPTY_BODY : PROXY_NO_BODY;
    return body_length(inv->body) < 0 ? PROXY_CHUNKED : PROXY_KNOWN_LENGTH;
}

static void easy_set_always(struct proxy_request *r) {
    curl_easy_setopt(r->easy, CURLOPT_PRIVATE, r);
    curl_easy_setopt(r->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(r->easy, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(r->easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(r->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(r->easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
    curl_easy_setopt(r->easy, CURLOPT_MAXAGE_CONN, REUSE_MAX_IDLE_S);
    curl_easy_setopt(r->easy, CURLOPT_BUFFERSIZE, RECEIVE_BYTES);
    curl_easy_setopt(r->easy, CURLOPT_HEADERFUNCTION, on_head_line);
    curl_easy_setopt(r->easy, CURLOPT_HEADERDATA, r);
    curl_easy_setopt(r->easy, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(r->easy, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(r->easy, CURLOPT_PREREQFUNCTION, on_send);
    curl_easy_setopt(r->easy, CURLOPT_PREREQDATA, r);
}

static void easy_set_upload(struct proxy_request *r, struct invocation *inv, enum proxy_payload payload) {
    if (payload != PROXY_KNOWN_LENGTH && payload != PROXY_CHUNKED) return;
    r->upload = inv->body;
    inv->body = NULL;
    curl_easy_setopt(r->easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(r->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)body_length(r->upload));
    curl_easy_setopt(r->easy, CURLOPT_READFUNCTION, on_upload);
    curl_easy_setopt(r->easy, CURLOPT_READDATA, r);
    body_on_readable(r->upload, on_body_moved, r);
    body_want(r->upload);
}

/* Always in origin-form (RFC 9112 3.2.1), and the bytes that the client sent. */
static void easy_set_target(struct proxy_request *r, const struct request *request) {
    char url[64];
    struct buf target = {0};
    buf_append_slice(&target, request->url.path);
    if (!slice_is_none(request->url.query)) buf_append_char(&target, '?');
    buf_append_slice(&target, request->url.query);
    buf_append_char(&target, '\0');
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", (unsigned)r->upstream->port);
    curl_easy_setopt(r->easy, CURLOPT_URL, url);
    curl_easy_setopt(r->easy, CURLOPT_REQUEST_TARGET, target.p);
    buf_free(&target);
}

static void easy_set_method(struct proxy_request *r, struct slice method) {
    char *text = slice_dup(method);
    if (r->is_head)
        curl_easy_setopt(r->easy, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(r->easy, CURLOPT_CUSTOMREQUEST, text);
    free(text);
}

void proxy_request_start(struct proxy_upstream *u, struct invocation *inv) {
    struct proxy_request *r = xcalloc(1, sizeof *r);
    enum proxy_payload payload = payload_of(inv);
    r->upstream = u;
    r->inv = inv;
    inv->delivery = r;
    list_push(&u->resting, &r->node);
    r->easy = curl_easy_init();
    if (!r->easy) abort(); /* as xmalloc does */
    r->is_head = slice_equal(inv->request.method, SLICE("HEAD"));
    r->fields = proxy_fields_new(inv, payload, deadline_wall_ms(loop_clock(u->loop), inv));
    easy_set_always(r);
    curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->fields);
    easy_set_upload(r, inv, payload);
    r->may_repeat = is_idempotent(inv->request.method) && !r->upload;
    easy_set_target(r, &inv->request);
    easy_set_method(r, inv->request.method);
    if (r->is_head || u->unsound) curl_easy_setopt(r->easy, CURLOPT_FORBID_REUSE, 1L);
    transfers_add(u->transfers, r->easy, &r->socket);
}

/* --- the end --- */

static void request_free(struct proxy_request *r) {
    struct proxy_upstream *u = r->upstream;
    if (!r->done) transfers_remove(u->transfers, r->easy);
    curl_easy_cleanup(r->easy);
    curl_slist_free_all(r->fields);
    if (r->upload) body_release_consumer(r->upload);
    if (r->answer) body_release_producer(r->answer);
    if (r->answer && !r->streaming) body_release_consumer(r->answer);
    buf_free(&r->head_text);
    list_remove(&r->node);
    if (r->streaming) worker_stream_end(u->worker, &r->stream);
    free(r);
}

static void request_complete(struct proxy_request *r, struct outcome outcome) {
    struct invocation *inv = r->inv;
    r->inv = NULL;
    inv->delivery = NULL;
    (void)invocation_complete(inv, outcome);
}

/* Hands the answer over, with its body as far as it has come. */
static void request_answer(struct proxy_request *r) {
    struct outcome o = {.status = r->head.status};
    answer_fields_copy(r->inv, &r->head.fields, &o.headers);
    o = event_outcome(r->inv, o);
    if (o.failure != FAILURE_NONE) {
        r->dropped = true;
        request_complete(r, o);
        return;
    }
    o.body = r->answer;
    r->streaming = r->answer != NULL;
    if (r->answer && body_state_of(r->answer) == BODY_OPEN) {
        body_on_wanted(r->answer, on_body_moved, r);
        worker_stream_begin(r->upstream->worker, &r->stream, r->inv);
    }
    request_complete(r, o);
}

struct curl_failure {
    CURLcode code;
    enum failure failure;
    const char *why;
};
static const struct curl_failure curl_failures[] = {
    {CURLE_COULDNT_CONNECT, FAILURE_HANDLER_DIED, "the handler does not accept connections"},
    {CURLE_GOT_NOTHING, FAILURE_HANDLER_DIED, "the handler closed the connection before it answered"},
    {CURLE_SEND_ERROR, FAILURE_HANDLER_DIED, "the handler closed the connection before it answered"},
    {CURLE_RECV_ERROR, FAILURE_HANDLER_DIED, "the handler closed the connection before it answered"},
    {CURLE_SEND_FAIL_REWIND, FAILURE_HANDLER_DIED, "the handler closed the connection before it answered"},
    {CURLE_UNSUPPORTED_PROTOCOL, FAILURE_HANDLER_ANSWER, "the answer is not HTTP/1.1"},
    {CURLE_WEIRD_SERVER_REPLY, FAILURE_HANDLER_ANSWER, "the answer is not HTTP/1.1"},
};

static struct outcome request_failure(struct proxy_request *r) {
    if (r->fault == FAILURE_INTERNAL) return outcome_failure(r->inv, FAILURE_INTERNAL, NULL);
    if (r->fault) return outcome_failure(r->inv, r->fault, "%s", r->why);
    if (r->head_complete) return outcome_failure(r->inv, FAILURE_HANDLER_DIED, "the handler's answer broke off");
    for (size_t i = 0; i < ARRAY_LEN(curl_failures); i++) {
        const struct curl_failure *f = &curl_failures[i];
        if (f->code == r->result) return outcome_failure(r->inv, f->failure, "%s", f->why);
    }
    return outcome_failure(r->inv, FAILURE_HANDLER_ANSWER, "the answer cannot be read");
}

static bool request_succeeded(const struct proxy_request *r) {
    return r->result == CURLE_OK && r->head_complete && !r->fault;
}

static void request_log_failure(const struct proxy_request *r) {
    struct proxy_upstream *u = r->upstream;
    log_event(u->log, LOG_WARN, "proxied request failed", LOG_TEXT("handler", u->worker->handler->name),
              LOG_INT("pid", u->worker->pid), LOG_TEXT("reason", r->why[0] ? r->why : NULL),
              LOG_TEXT("transfer", curl_easy_strerror(r->result)));
}

/* To a HEAD only the length is told: the body stays open, without a byte, until the client's side lets go of it. */
static bool request_waits_for_release(const struct proxy_request *r) {
    return r->is_head && r->answer && body_length(r->answer) != 0;
}

static void request_end(struct proxy_request *r) {
    bool ok = request_succeeded(r);
    if (!ok) request_log_failure(r);
    if (r->result == CURLE_COULDNT_CONNECT) r->upstream->refused = true;
    if (r->result != CURLE_OK && !r->head_complete) r->upstream->suspicious = true;
    if (r->answer && ok) body_finish(r->answer);
    if (r->answer && !ok) body_fail(r->answer, "the handler's answer broke off");
    if (r->inv && ok && (!r->answer || body_state_of(r->answer) == BODY_COMPLETE)) request_answer(r);
    if (r->inv) request_complete(r, request_failure(r));
    request_free(r);
}

/* --- once per turn --- */

/* Answered in full, and the rest of the request is of no use to anybody. */
static bool request_is_answered_early(const struct proxy_request *r) {
    bool whole = r->head_complete && (!r->answer || body_state_of(r->answer) == BODY_COMPLETE);
    return whole && !r->fault && upload_is_open(r);
}

/* Of an answer that is a refusal libcurl sends no more of the request, but it forgets to end one that is paused. */
static bool upload_can_go_on(const struct proxy_request *r) {
    if (!r->upload_paused) return false;
    if (body_peek(r->upload).n || body_state_of(r->upload) != BODY_OPEN) return true;
    return r->head_complete && r->head.status >= 300 && !r->refusal_told;
}

static void request_go_on(struct proxy_request *r) {
    bool upload = upload_can_go_on(r);
    bool answer = r->answer_paused && answer_is_wanted(r);
    if (!upload && !answer) return;
    if (upload) r->upload_paused = false;
    if (upload && r->head_complete) r->refusal_told = true;
    if (answer) r->answer_paused = false;
    curl_easy_pause(r->easy, (r->upload_paused ? CURLPAUSE_SEND : 0) | (r->answer_paused ? CURLPAUSE_RECV : 0));
}

/* Once: a new connection is fit whatever the server says on it first. */
static void request_send_again(struct proxy_request *r) {
    r->send_again = false;
    r->done = false;
    r->on_new_connection = true;
    curl_easy_setopt(r->easy, CURLOPT_FRESH_CONNECT, 1L);
    transfers_add(r->upstream->transfers, r->easy, &r->socket);
}

static bool request_is_dropped(const struct proxy_request *r) {
    return r->dropped || (r->streaming && body_abandoned(r->answer));
}

static void request_settle(struct proxy_request *r) {
    if (r->cancelled && r->inv) {
        request_complete(r, outcome_failure(r->inv, FAILURE_CLIENT_GONE, NULL));
        r->dropped = true;
    }
    if (request_is_dropped(r)) return request_free(r);
    if (r->done && r->send_again) return request_send_again(r);
    if (request_is_answered_early(r)) return request_end(r);
    if (r->done && !(request_succeeded(r) && request_waits_for_release(r))) return request_end(r);
    if (r->inv && r->head_complete && !r->fault && !upload_is_open(r)) request_answer(r);
    if (request_is_dropped(r)) return request_free(r);
    if (!r->done) request_go_on(r);
}

void proxy_requests_settle(struct proxy_upstream *u) {
    for (size_t left = u->marked.length; left > 0 && !list_empty(&u->marked); left--) {
        struct proxy_request *r = list_entry(list_first(&u->marked), struct proxy_request, node);
        list_remove(&r->node);
        list_push(&u->resting, &r->node);
        request_settle(r);
    }
}

/* --- what the pool says --- */

void proxy_request_cancel(struct invocation *inv) {
    struct proxy_request *r = inv->delivery;
    r->cancelled = true;
    request_mark(r);
}

void proxy_request_forget(struct invocation *inv) {
    struct proxy_request *r = inv->delivery;
    if (!r) return;
    inv->delivery = NULL;
    r->inv = NULL;
    r->dropped = true;
    request_mark(r);
}

void proxy_request_abort_stream(struct answer_stream *s) {
    struct proxy_request *r = container_of(s, struct proxy_request, stream);
    body_fail(r->answer, "the handler did not end its answer in time");
    r->dropped = true;
    request_mark(r);
}

void proxy_requests_drop(struct proxy_upstream *u) {
    while (!list_empty(&u->marked)) request_free(list_entry(list_first(&u->marked), struct proxy_request, node));
    while (!list_empty(&u->resting)) request_free(list_entry(list_first(&u->resting), struct proxy_request, node));
}
