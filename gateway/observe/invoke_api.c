/* Invocations by name, as the AWS Lambda API spells them ("Invoke" and "InvokeWithResponseStream" of the Lambda API
 * reference, version 2015-03-31), so that its command line and its SDKs can call handlers when they are given this
 * listener's URL. Signatures are not looked at: who reaches the listener may call. */
#include "gateway/base/base64.h"
#include "gateway/base/json_read.h"
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/model.h"
#include "gateway/invocation/identity.h"
#include "gateway/observe/admin_private.h"
#include "gateway/observe/function_name.h"
#include "gateway/observe/invoke_report.h"
#include "gateway/observe/invoke_stream.h"
#include "gateway/source/queue/async_send.h"
#include <stdlib.h>

#define CONTEXT_MAX 3583 /* bytes of client context, as the API has it */
#define RETRY_AFTER_S SLICE("1")

enum invocation_type { TYPE_WAIT, TYPE_EVENT, TYPE_DRY_RUN };

/* One that is being answered. */
struct invoke_work {
    struct admin_request *request; /* NULL: the client has left */
    struct invoke_call *call;
    bool log_tail;
};

/* --- refusals, in the API's words --- */

static void refuse(struct admin_request *r, const struct api_error *error, const char *message) {
    struct fields fields = {0};
    struct buf text = {0};
    struct json_write w = json_write_to(&text);
    fields_add(&fields, &r->arena, SLICE("x-amzn-ErrorType"), slice_of(error->type));
    if (error->retry) fields_add(&fields, &r->arena, SLICE("Retry-After"), RETRY_AFTER_S);
    json_open(&w, '{');
    json_member(&w, SLICE("Type"), error->status < 500 ? SLICE("User") : SLICE("Service"));
    json_member(&w, SLICE("Message"), slice_of(message));
    json_close(&w, '}');
    admin_reply_json(r, error->status, &fields, &text);
}

static void refuse_unknown(struct admin_request *r) {
    char *message = xasprintf("there is no handler " SLICE_FMT " in the blueprint", SLICE_ARG(r->variable));
    refuse(r, &api_not_found, message);
    free(message);
}

/* --- what is asked for --- */

static const struct route *find_route(struct admin_request *r) {
    const struct invoke_host *host = &r->admin->host.calls;
    struct function_name f;
    if (!function_name_parse(r->variable, &f)) {
        refuse(r, &api_invalid,
               "the function name is none: NAME, ACCOUNT:function:NAME or an ARN, :QUALIFIER behind it");
        return NULL;
    }
    const struct route *route = host->route(host->context, f.name);
    bool known = route && function_qualifier_is_known(f.qualifier) &&
                 function_qualifier_is_known(admin_query(r, SLICE("Qualifier")));
    if (!known) refuse_unknown(r);
    return known ? route : NULL;
}

static bool read_type(struct admin_request *r, enum invocation_type *type) {
    static const struct slice names[] = {
        [TYPE_WAIT] = SLICE("RequestResponse"), [TYPE_EVENT] = SLICE("Event"), [TYPE_DRY_RUN] = SLICE("DryRun")};
    struct slice name = fields_get(&r->headers, SLICE("X-Amz-Invocation-Type"));
    *type = TYPE_WAIT;
    if (slice_is_none(name)) return true;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        *type = (enum invocation_type)i;
        if (slice_equal(name, names[i])) return true;
    }
    refuse(r, &api_invalid, "X-Amz-Invocation-Type is none of RequestResponse, Event, DryRun");
    return false;
}

/* An object behind base64, on one line. */
static bool read_context(struct admin_request *r, struct slice *context) {
    struct slice text = fields_get(&r->headers, SLICE("X-Amz-Client-Context"));
    *context = SLICE_NONE;
    if (slice_is_none(text)) return true;
    char *bytes = arena_alloc(&r->arena, text.n + 1);
    ptrdiff_t n = text.n <= base64_encoded_size(CONTEXT_MAX) ? base64_decode(text, bytes) : -1;
    *context = slice_make(bytes, n < 0 ? 0 : (size_t)n);
    struct slice trimmed = slice_trim(*context);
    if (trimmed.n && trimmed.p[0] == '{' && json_is_valid(trimmed)) {
        *context = identity_json_line(*context, &r->arena);
        return true;
    }
    refuse(r, &api_bad_content, "X-Amz-Client-Context is not a JSON object of at most 3583 bytes in base64");
    return false;
}

/* What says that it is JSON has to be; other bytes are the handler's affair. */
static bool payload_is_good(struct admin_request *r) {
    struct slice type = fields_get(&r->headers, SLICE("Content-Type"));
    bool json = slice_starts_with_nocase(type, SLICE("application/json"));
    if (!json || r->body.n == 0 || json_is_valid(buf_slice(&r->body))) return true;
    refuse(r, &api_bad_content, "the body is not the JSON that its Content-Type says");
    return false;
}

static bool read_payload(struct admin_request *r, struct invoke_payload *payload) {
    struct slice type = fields_get(&r->headers, SLICE("Content-Type"));
    /* Nothing is the empty object, as it is for Lambda's own front door. */
    *payload = (struct invoke_payload){.bytes = r->body.n ? buf_slice(&r->body) : SLICE("{}"),
                                       .content_type = slice_is_none(type) ? SLICE("application/json") : type};
    return payload_is_good(r) && read_context(r, &payload->client_context);
}

static struct pipeline *present_pipeline(const struct admin_request *r) {
    const struct invoke_host *host = &r->admin->host.calls;
    return host->pipeline(host->context);
}

static struct invoke_order order_for(struct admin_request *r, const struct invoke_ops *ops, void *context) {
    return (struct invoke_order){.ops = ops,
                                 .context = context,
                                 .trace = fields_get(&r->headers, SLICE("traceparent")),
                                 .answer_limit = r->admin->limits.max_answer};
}

/* --- nobody waits --- */

static void reply_nothing(struct admin_request *r, int status, struct slice id) {
    struct fields fields = {0};
    fields_add(&fields, &r->arena, SLICE("x-amzn-RequestId"), arena_copy(&r->arena, id));
    admin_reply_body(r, status, &fields, NULL);
}

static void event_cancel(struct admin_request *r) {
    struct invoke_work *work = r->work;
    work->request = NULL; /* the store will answer all the same */
}

static void event_reply(struct admin_request *r, const struct queue_reply *reply) {
    if (reply->result == QUEUE_OK)
        reply_nothing(r, 202, slice_of(reply->sent->id));
    else
        refuse(r, reply->result == QUEUE_REFUSED ? &api_bad_content : &api_unavailable, reply->error.message);
}

static void on_event_kept(void *context, struct queue_reply *reply) {
    struct invoke_work *work = context;
    struct admin_request *r = work->request;
    free(work);
    if (!r) return;
    r->work = NULL;
    r->cancel = NULL;
    event_reply(r, reply);
}

static void answer_event(struct admin_request *r, const struct route *route, const struct invoke_payload *payload) {
    const struct invoke_host *host = &r->admin->host.calls;
    struct error e;
    if (payload->bytes.n > ASYNC_PAYLOAD_MAX) {
        refuse(r, &api_too_large, "the payload of an Event may have 1 MiB");
        return;
    }
    struct queue_store *store = host->store(host->context, &e);
    if (!store) {
        refuse(r, &api_unavailable, e.message);
        return;
    }
    struct invoke_work *work = xcalloc(1, sizeof *work);
    work->request = r;
    r->work = work;
    r->cancel = event_cancel;
    async_send(store, route->handler, payload, fields_get(&r->headers, SLICE("traceparent")),
               (struct queue_done){on_event_kept, work});
}

static void answer_dry_run(struct admin_request *r) {
    char id[UUID_TEXT_SIZE];
    clock_uuid(loop_clock(r->admin->host.loop), id);
    reply_nothing(r, 204, slice_make(id, sizeof id));
}

/* --- somebody waits --- */

static void work_cancel(struct admin_request *r) {
    struct invoke_work *work = r->work;
    invoke_cancel(work->call);
    free(work);
}

static void work_begin(struct admin_request *r, const struct route *route, const struct invoke_payload *payload,
                       const struct invoke_ops *ops) {
    struct invoke_work *work = xcalloc(1, sizeof *work);
    const struct invoke_order order = order_for(r, ops, work);
    work->request = r;
    work->log_tail = slice_equal_nocase(fields_get(&r->headers, SLICE("X-Amz-Log-Type")), SLICE("Tail"));
    r->work = work;
    r->cancel = work_cancel;
    work->call = invoke_bytes(present_pipeline(r), route, payload, &order);
}

static void add_common(struct admin_request *r, struct fields *fields, const struct invoke_answer *answer) {
    fields_add(fields, &r->arena, SLICE("X-Amz-Executed-Version"), SLICE("$LATEST"));
    fields_add(fields, &r->arena, SLICE("x-amzn-RequestId"), answer->id);
}

static void reply_report(struct admin_request *r, struct fields *fields, const struct invoke_answer *answer) {
    struct buf text = {0};
    fields_add(fields, &r->arena, SLICE("X-Amz-Function-Error"), SLICE("Unhandled"));
    invoke_report_write(&text, answer);
    admin_reply_json(r, 200, fields, &text);
}

static void reply_bytes(struct admin_request *r, struct fields *fields, const struct invoke_answer *answer) {
    struct slice type = fields_get(answer->headers, SLICE("Content-Type"));
    fields_add(fields, &r->arena, SLICE("Content-Type"), slice_is_none(type) ? SLICE("application/json") : type);
    admin_reply_body(r, 200, fields, body_of_chunk(answer->bytes.n ? chunk_copy(answer->bytes) : NULL));
}

static void on_invoke_end(void *context, const struct invoke_answer *answer) {
    struct invoke_work *work = context;
    struct admin_request *r = work->request;
    const struct api_error *error = invoke_service_error(answer->failure);
    struct fields fields = {0};
    add_common(r, &fields, answer);
    if (work->log_tail) fields_add(&fields, &r->arena, SLICE("X-Amz-Log-Result"), invoke_log_tail(&r->arena, answer));
    free(work);
    if (error)
        refuse(r, error, failure_row(answer->failure)->title);
    else if (answer->failure != FAILURE_NONE)
        reply_report(r, &fields, answer);
    else
        reply_bytes(r, &fields, answer);
}

static const struct invoke_ops wait_ops = {.reading = INVOKE_WHOLE, .on_end = on_invoke_end};

/* --- somebody waits for a stream --- */

static void on_stream_begin(void *context, const struct invoke_answer *answer) {
    struct invoke_work *work = context;
    struct admin_request *r = work->request;
    const struct api_error *error = invoke_service_error(answer->failure);
    struct fields fields = {0};
    bool log_tail = work->log_tail;
    free(work);
    if (error) {
        if (answer->body) body_release_consumer(answer->body);
        refuse(r, error, failure_row(answer->failure)->title);
        return;
    }
    add_common(r, &fields, answer);
    fields_add(&fields, &r->arena, SLICE("Content-Type"), SLICE(EVENT_STREAM_TYPE));
    struct slice log = log_tail ? invoke_log_tail(&r->arena, answer) : SLICE_NONE;
    admin_reply_body(r, 200, &fields, invoke_stream_new(r->admin->host.loop, answer, log));
}

static const struct invoke_ops stream_ops = {.reading = INVOKE_STREAMED, .on_end = on_stream_begin};

/* --- by its type --- */

static void answer_by_type(struct admin_request *r, const struct invoke_ops *ops) {
    enum invocation_type type;
    struct invoke_payload payload;
    const struct route *route = find_route(r);
    if (!route || !read_type(r, &type) || !read_payload(r, &payload)) return;
    if (type == TYPE_DRY_RUN)
        answer_dry_run(r);
    else if (type == TYPE_WAIT)
        work_begin(r, route, &payload, ops);
    else if (ops->reading == INVOKE_STREAMED)
        refuse(r, &api_invalid, "an Event has no answer to stream");
    else
        answer_event(r, route, &payload);
}

void admin_answer_invoke(struct admin_request *r) {
    answer_by_type(r, &wait_ops);
}

void admin_answer_invoke_stream(struct admin_request *r) {
    answer_by_type(r, &stream_ops);
}
