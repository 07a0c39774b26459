#include "local-api/native_answer.h"
#include "local-api/event.h"
#include "local-api/lambda_report.h"
#include "local-api/report_retry.h"
#include "local-api/runtime_private.h"
#include <inttypes.h>

#define ID_FIELD "Execgate-Invocation-Id"
#define REFUSED_MAX (64 * 64)

/* --- one answer --- */

const char *answer_misses(const struct endpoint *ep, struct slice id) {
    return endpoint_end_of(ep, id) == END_NONE ? "unknown" : "late";
}

static bool status_is_valid(int status) {
    return status >= 200 && status <= 599;
}

/* The type is the handler's word for it, a field value already; the text is for the operator. */
static struct outcome answer_error(struct endpoint *ep, struct invocation *inv, const struct fields *fields,
                                   struct slice text) {
    struct handler_report report = {.type = fields_get(fields, SLICE("Execgate-Error")), .message = text};
    struct slice retry = fields_get(fields, SLICE("Execgate-Retry"));
    if (!slice_is_none(retry) && !report_retry_read_field(&report, retry)) report.retry = REPORT_RETRY_UNSAID;
    lambda_report_log(ep, "handler reported an error", invocation_id(inv), &report);
    return outcome_reported(inv, &report);
}

struct outcome answer_outcome(struct endpoint *ep, struct invocation *inv, const struct response_head *head,
                              struct slice text) {
    if (!slice_is_none(fields_get(&head->fields, SLICE("Execgate-Error"))))
        return answer_error(ep, inv, &head->fields, text);
    if (!status_is_valid(head->status))
        return outcome_failure(inv, FAILURE_HANDLER_ANSWER, "its status is not one of 200 to 599: %d", head->status);
    struct outcome o = {.status = head->status};
    answer_fields_copy(inv, &head->fields, &o.headers);
    return event_outcome(inv, o);
}

const char *answer_take(struct endpoint *ep, struct slice id, const struct response_head *head,
                        struct chunk *take_body) {
    struct invocation *inv = endpoint_find_wanted(ep, id);
    if (!inv) {
        chunk_release(take_body);
        return answer_misses(ep, id);
    }
    struct outcome o = answer_outcome(ep, inv, head, take_body ? take_body->bytes : SLICE_NONE);
    enum failure f = o.failure;
    if (take_body && f == FAILURE_NONE)
        o.body = body_of_chunk(take_body);
    else
        chunk_release(take_body);
    endpoint_complete(ep, inv, o);
    return f == FAILURE_HANDLER_ANSWER ? "invalid" : NULL;
}

/* --- a pipeline of them --- */

static void note_refused(struct call *c, struct slice id, const char *reason) {
    /* Ids that are none of ours have no place in a header field. */
    if (id.n != UUID_TEXT_SIZE || c->refused.n > REFUSED_MAX) return;
    if (c->refused.n) buf_append_text(&c->refused, ", ");
    buf_append_slice(&c->refused, id);
    buf_append_char(&c->refused, ' ');
    buf_append_text(&c->refused, reason);
}

static struct slice answer_id(const struct response_head *head) {
    return fields_get(&head->fields, SLICE(ID_FIELD));
}

static uint64_t answer_length(const struct response_head *head) {
    return head->content_length > 0 ? (uint64_t)head->content_length : 0;
}

static void take_one(struct call *c, const struct response_head *head, struct chunk *take_body) {
    struct slice id = answer_id(head);
    const char *reason = answer_take(c->endpoint, id, head, take_body);
    if (reason) note_refused(c, id, reason);
}

static bool is_too_large(const struct call *c, const struct response_head *head) {
    return answer_length(head) > c->endpoint->api->max_answer;
}

/* What is left of its body is skipped. */
static void refuse_too_large(struct call *c, const struct response_head *head) {
    struct endpoint *ep = c->endpoint;
    struct slice id = answer_id(head);
    struct invocation *inv = endpoint_find(ep, id);
    note_refused(c, id, inv ? "too-large" : answer_misses(ep, id));
    if (!inv) return;
    endpoint_complete(ep, inv,
                      outcome_failure(inv, FAILURE_HANDLER_ANSWER_TOO_LARGE, "at most %" PRIu64 " bytes are accepted",
                                      ep->api->max_answer));
}

static enum head_result parse_head(struct call *c, struct response_head *head, struct slice text) {
    static const char *const unnamed = "an answer without an " ID_FIELD " field";
    struct error e;
    enum head_result result = response_head_parse(head, &c->endpoint->api->scratch, text, &e);
    if (result == HEAD_COMPLETE && slice_is_none(answer_id(head))) {
        c->flaw = unnamed;
        return HEAD_INVALID;
    }
    if (result == HEAD_INVALID) c->flaw = "an answer's head is not valid";
    return result;
}

static struct slice after(struct slice s, size_t n) {
    return slice_make(s.p + n, s.n - n);
}

/* The gathered message is complete. */
static void end_gathered(struct call *c) {
    struct response_head head;
    struct chunk *body = c->body;
    c->body = NULL;
    if (!c->skipping && parse_head(c, &head, buf_slice(&c->in)) == HEAD_COMPLETE)
        take_one(c, &head, body);
    else
        chunk_release(body);
    c->skipping = false;
    c->in.n = 0;
}

/* The head is in c->in: its body comes piece by piece. */
static void begin_gathered(struct call *c, const struct response_head *head) {
    c->left = answer_length(head);
    c->skipping = is_too_large(c, head);
    if (c->skipping)
        refuse_too_large(c, head);
    else if (c->left)
        c->body = chunk_new((size_t)c->left);
    if (c->left == 0) end_gathered(c);
}

/* Returns what is left of the bytes. */
static struct slice read_gathered_body(struct call *c, struct slice bytes) {
    size_t n = bytes.n < c->left ? bytes.n : (size_t)c->left;
    if (c->body) {
        memcpy((char *)c->body->memory + c->body->bytes.n, bytes.p, n);
        c->body->bytes.n += n;
    }
    c->left -= n;
    if (c->left == 0) end_gathered(c);
    return after(bytes, n);
}

enum head_result answer_head_gather(struct call *c, struct slice bytes, size_t *taken, const char **flaw) {
    size_t before = c->in.n;
    size_t from = before > 3 ? before - 3 : 0; /* the blank line may have begun earlier */
    buf_append_slice(&c->in, bytes);
    const char *end = memmem(c->in.p + from, c->in.n - from, "\r\n\r\n", 4);
    size_t size = end ? (size_t)(end - c->in.p) + 4 : c->in.n;
    *taken = size - before;
    c->in.n = size;
    if (size > HTTP_MESSAGE_MAX_HEAD) {
        *flaw = "an answer's head is too large";
        return HEAD_INVALID;
    }
    return end ? HEAD_COMPLETE : HEAD_INCOMPLETE;
}

static struct slice read_gathered_head(struct call *c, struct slice bytes) {
    struct response_head head;
    size_t taken;
    if (answer_head_gather(c, bytes, &taken, &c->flaw) == HEAD_COMPLETE &&
        parse_head(c, &head, buf_slice(&c->in)) == HEAD_COMPLETE)
        begin_gathered(c, &head);
    return after(bytes, taken);
}

static struct chunk *body_copy(struct slice body) {
    return body.n ? chunk_copy(body) : NULL;
}

/* At the start of a message. */
static struct slice read_message(struct call *c, struct slice bytes) {
    struct response_head head;
    enum head_result result = parse_head(c, &head, bytes);
    if (result == HEAD_INVALID) return SLICE_NONE;
    if (result == HEAD_INCOMPLETE) {
        buf_append_slice(&c->in, bytes);
        return SLICE_NONE;
    }
    struct slice rest = after(bytes, head.size);
    uint64_t length = answer_length(&head);
    if (length <= rest.n && !is_too_large(c, &head)) {
        take_one(c, &head, body_copy(slice_make(rest.p, (size_t)length)));
        return after(rest, (size_t)length);
    }
    buf_append_slice(&c->in, slice_make(bytes.p, head.size));
    begin_gathered(c, &head);
    return rest;
}

void answers_read(struct call *c, struct slice bytes) {
    while (bytes.n && !c->flaw) {
        if (c->left)
            bytes = read_gathered_body(c, bytes);
        else if (c->in.n)
            bytes = read_gathered_head(c, bytes);
        else
            bytes = read_message(c, bytes);
        arena_reset(&c->endpoint->api->scratch);
    }
}

void answers_end(struct call *c) {
    if (!c->flaw && (c->in.n || c->left)) c->flaw = "the upload ends within an answer";
}
