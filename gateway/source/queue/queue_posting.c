#include "gateway/source/queue/queue_posting.h"
#include "gateway/base/json_read.h"
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/base/url.h"
#include "gateway/source/queue/queue_json.h"

/* --- one message, its fields in the head --- */

static struct slice decoded_field(const struct fields *headers, struct slice name, struct arena *a) {
    struct slice value = fields_get(headers, name);
    return slice_is_none(value) ? value : url_decode(a, value, URL_PLUS_IS_BLANK);
}

static int read_delay(struct slice text, uint64_t *delay_ms, struct error *e) {
    if (slice_is_none(text) || text_to_duration_ms(text, delay_ms)) return 0;
    return error_set(e, ERROR_FORMAT, "the delay must be a duration such as 30s: \"" SLICE_FMT "\"", SLICE_ARG(text));
}

static int add_attribute(struct queue_attribute *list, size_t *count, struct slice name, struct slice value,
                         struct error *e) {
    if (*count == QUEUE_ATTRIBUTES_MAX)
        return error_set(e, ERROR_LIMIT, "a message may have %d attributes", QUEUE_ATTRIBUTES_MAX);
    list[(*count)++] = (struct queue_attribute){.type = QUEUE_TEXT, .name = name, .value = value};
    return 0;
}

static struct queue_attribute *attributes_new(struct arena *a) {
    return arena_alloc(a, QUEUE_ATTRIBUTES_MAX * sizeof(struct queue_attribute));
}

static int read_form_attributes(struct queue_send *send, struct slice form, struct arena *a, struct error *e) {
    struct slice name, value;
    if (slice_is_none(form)) return 0;
    struct queue_attribute *list = attributes_new(a);
    send->attributes = list;
    while (url_query_next(&form, &name, &value)) {
        int status = add_attribute(list, &send->attribute_count, url_decode(a, name, URL_PLUS_IS_BLANK),
                                   url_decode(a, value, URL_PLUS_IS_BLANK), e);
        if (status < 0) return status;
    }
    return 0;
}

static int read_single(struct queue_send *send, const struct fields *headers, struct slice body, struct arena *a,
                       struct error *e) {
    send->body = body.n ? body : SLICE("");
    send->content_type = fields_get(headers, SLICE("Content-Type"));
    send->group_id = decoded_field(headers, SLICE("Queue-Group-Id"), a);
    send->dedup_id = decoded_field(headers, SLICE("Queue-Dedup-Id"), a);
    int status = read_delay(fields_get(headers, SLICE("Queue-Delay")), &send->delay_ms, e);
    if (status < 0) return status;
    return read_form_attributes(send, fields_get(headers, SLICE("Queue-Attributes")), a, e);
}

/* --- a list of them --- */

#define LIST_FORM "the body must be an object with a list, such as {\"messages\": [{\"body\": \"a teapot\"}]}"

/* Of many messages, which one has the error. */
static int say_which(const struct queue_posting *p, size_t number, int status, struct error *e) {
    struct error inner = *e;
    if (!p->is_list) return status;
    return error_set(e, inner.code, "messages[%zu]: %s", number, inner.message);
}

static int read_items(struct queue_posting *p, const struct queue_config *queue, struct slice list, struct arena *a,
                      struct error *e) {
    struct json_read json;
    struct json_value item;
    json_read_init(&json, list);
    if (!json_read_open(&json, '[')) return error_set(e, ERROR_FORMAT, "messages: must be a list");
    while (json_read_element(&json) && json_read_value(&json, &item)) {
        if (p->count == QUEUE_PAGE_MAX)
            return error_set(e, ERROR_LIMIT, "at most %d messages can be sent at once", QUEUE_PAGE_MAX);
        p->sends[p->count].delay_ms = queue->delay_ms;
        int status = queue_json_read(&p->sends[p->count], item.raw, QUEUE_JSON_SEND, a, e);
        if (status < 0) return say_which(p, p->count, status, e);
        p->count++;
    }
    if (p->count == 0) return error_set(e, ERROR_FORMAT, "messages: there is none");
    return 0;
}

static int read_list(struct queue_posting *p, const struct queue_config *queue, struct slice body, struct arena *a,
                     struct error *e) {
    struct json_read json;
    struct slice name;
    struct json_value value, list = {.kind = JSON_INVALID};
    p->is_list = true;
    p->sends = arena_zalloc(a, QUEUE_PAGE_MAX * sizeof *p->sends);
    if (!json_is_valid(body)) return error_set(e, ERROR_FORMAT, "the body is no JSON");
    json_read_init(&json, body);
    if (!json_read_open(&json, '{')) return error_set(e, ERROR_FORMAT, LIST_FORM);
    while (json_read_name(&json, a, &name) && json_read_value(&json, &value))
        if (slice_equal(name, SLICE("messages"))) list = value;
    if (list.kind == JSON_INVALID) return error_set(e, ERROR_FORMAT, LIST_FORM);
    return read_items(p, queue, list.raw, a, e);
}

/* --- both --- */

int queue_posting_check(const struct queue_send *send, const struct queue_config *queue, struct error *e) {
    if (!queue->fifo || !slice_is_none(send->group_id)) return 0;
    return error_set(e, ERROR_FORMAT, "the queue %s keeps an order: a message needs a group id", queue->name);
}

static int complete(struct queue_posting *p, const struct queue_config *queue, struct error *e) {
    for (size_t i = 0; i < p->count; i++) {
        p->sends[i].queue = slice_of(queue->name);
        int status = queue_posting_check(&p->sends[i], queue, e);
        if (status < 0) return say_which(p, i, status, e);
    }
    return 0;
}

int queue_posting_read(struct queue_posting *p, const struct queue_config *queue, const struct fields *headers,
                       struct slice body, struct arena *a, struct error *e) {
    struct slice type = fields_get(headers, SLICE("Content-Type"));
    *p = (struct queue_posting){.count = 0};
    int status;
    if (slice_equal_nocase(slice_trim(type), SLICE(QUEUE_POSTING_TYPE))) {
        status = read_list(p, queue, body, a, e);
    } else {
        p->sends = arena_zalloc(a, sizeof *p->sends);
        p->count = 1;
        p->sends->delay_ms = queue->delay_ms;
        status = read_single(p->sends, headers, body, a, e);
    }
    return status < 0 ? status : complete(p, queue, e);
}

static void write_sent(struct json_write *w, const struct queue_sent *sent) {
    json_open(w, '{');
    json_member(w, SLICE("messageId"), slice_of(sent->id));
    json_name(w, SLICE("duplicate"));
    json_bool(w, sent->duplicate);
    json_close(w, '}');
}

void queue_posting_answer(struct buf *out, const struct queue_posting *p, const struct queue_sent *sent) {
    struct json_write w = json_write_to(out);
    if (!p->is_list) {
        write_sent(&w, sent);
        return;
    }
    json_open(&w, '{');
    json_name(&w, SLICE("messages"));
    json_open(&w, '[');
    for (size_t i = 0; i < p->count; i++) write_sent(&w, &sent[i]);
    json_close(&w, ']');
    json_close(&w, '}');
}
