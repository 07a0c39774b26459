#include "gateway/observe/invoke_report.h"
#include "gateway/base/base64.h"
#include "gateway/base/json_read.h"
#include "gateway/base/json_write.h"

#define LOG_TAIL_MAX 4096

const struct api_error api_not_found = {404, "ResourceNotFoundException", API_RETRY_NEVER};
const struct api_error api_invalid = {400, "InvalidParameterValueException", API_RETRY_NEVER};
const struct api_error api_bad_content = {400, "InvalidRequestContentException", API_RETRY_NEVER};
const struct api_error api_too_large = {413, "RequestTooLargeException", API_RETRY_NEVER};
const struct api_error api_busy = {429, "TooManyRequestsException", API_RETRY_SOON};
const struct api_error api_unavailable = {503, "ServiceException", API_RETRY_SOON};

const struct api_error *invoke_service_error(enum failure f) {
    static const struct {
        enum failure failure;
        const struct api_error *error;
    } rows[] = {{FAILURE_OVERLOADED, &api_busy},           {FAILURE_QUEUE_FULL, &api_busy},
                {FAILURE_QUEUE_TIMEOUT, &api_busy},        {FAILURE_UNAVAILABLE, &api_unavailable},
                {FAILURE_SHUTTING_DOWN, &api_unavailable}, {FAILURE_INTERNAL, &api_unavailable},
                {FAILURE_NOT_KEPT, &api_unavailable}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].failure == f) return rows[i].error;
    return NULL;
}

/* The types that Lambda's own runtime gives them. */
static struct slice type_of(enum failure f) {
    static const struct {
        enum failure failure;
        struct slice type;
    } rows[] = {{FAILURE_HANDLER_TIMEOUT, SLICE("Sandbox.Timedout")},
                {FAILURE_HANDLER_DIED, SLICE("Runtime.ExitError")},
                {FAILURE_HANDLER_ANSWER_TOO_LARGE, SLICE("Function.ResponseSizeTooLarge")}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].failure == f) return rows[i].type;
    return SLICE("Runtime.Unknown");
}

struct invoke_report invoke_report_of(struct arena *a, const struct invoke_answer *answer) {
    const struct handler_report *said = answer->report;
    if (said) return (struct invoke_report){said->type, said->message};
    struct slice what = slice_of(failure_row(answer->failure)->title);
    struct slice why = answer->detail.n ? answer->detail : what;
    return (struct invoke_report){
        type_of(answer->failure),
        arena_printf(a, "RequestId: " SLICE_FMT " Error: " SLICE_FMT, SLICE_ARG(answer->id), SLICE_ARG(why))};
}

static bool posted_is_object(const struct handler_report *said) {
    struct slice text = said ? slice_trim(said->posted) : SLICE_NONE;
    return text.n > 0 && text.p[0] == '{' && json_is_valid(text);
}

void invoke_report_write(struct buf *out, const struct invoke_answer *answer) {
    struct arena a;
    struct json_write w = json_write_to(out);
    if (posted_is_object(answer->report)) {
        buf_append_slice(out, answer->report->posted);
        return;
    }
    arena_init(&a, 512);
    struct invoke_report report = invoke_report_of(&a, answer);
    json_open(&w, '{');
    json_member(&w, SLICE("errorType"), report.type);
    json_member(&w, SLICE("errorMessage"), report.message);
    if (answer->report && answer->report->stack.n) json_member(&w, SLICE("stackTrace"), answer->report->stack);
    json_close(&w, '}');
    arena_free(&a);
}

struct slice invoke_log_tail(struct arena *a, const struct invoke_answer *answer) {
    struct buf text = {0};
    buf_printf(&text, "START RequestId: " SLICE_FMT " Version: $LATEST\n", SLICE_ARG(answer->id));
    buf_append_slice(&text, answer->output);
    if (answer->output.n) buf_append_char(&text, '\n');
    buf_printf(&text, "END RequestId: " SLICE_FMT "\n", SLICE_ARG(answer->id));
    buf_printf(&text, "REPORT RequestId: " SLICE_FMT "\tDuration: %.2f ms\n", SLICE_ARG(answer->id),
               (double)answer->duration_us / 1000);
    size_t n = text.n < LOG_TAIL_MAX ? text.n : LOG_TAIL_MAX;
    char *encoded = arena_alloc(a, base64_encoded_size(n));
    base64_encode(text.p + text.n - n, n, encoded);
    buf_free(&text);
    return slice_make(encoded, base64_encoded_size(n));
}
