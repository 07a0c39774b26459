#include "gateway/source/queue/queue_json.h"
#include "gateway/base/base64.h"
#include "gateway/base/json_read.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include <stdio.h>

/* --- reading --- */

struct member {
    const char *name;
    unsigned kinds; /* of enum queue_json_kind */
    int (*read)(struct queue_send *send, const struct member *m, struct json_value value, struct arena *a,
                struct error *e);
    size_t offset; /* of the text in struct queue_send */
};

static int must_be(const char *name, const char *what, struct error *e) {
    return error_set(e, ERROR_FORMAT, "%s: must be %s", name, what);
}

static int base64_read(struct slice *out, const char *name, struct slice text, struct arena *a, struct error *e) {
    char *bytes = arena_alloc(a, text.n / 4 * 3 + 1);
    ptrdiff_t n = base64_decode(text, bytes);
    if (n < 0) return error_set(e, ERROR_FORMAT, "%s: is not base64", name);
    *out = slice_make(bytes, (size_t)n);
    return 0;
}

static struct slice *target_of(struct queue_send *send, const struct member *m) {
    return (struct slice *)(void *)((char *)send + m->offset);
}

static int read_text(struct queue_send *send, const struct member *m, struct json_value value, struct arena *a,
                     struct error *e) {
    if (value.kind != JSON_STRING) return must_be(m->name, "a text", e);
    *target_of(send, m) = json_text_of(a, value);
    return 0;
}

static int read_base64(struct queue_send *send, const struct member *m, struct json_value value, struct arena *a,
                       struct error *e) {
    if (value.kind != JSON_STRING) return must_be(m->name, "a text", e);
    return base64_read(target_of(send, m), m->name, json_text_of(a, value), a, e);
}

static int read_delay(struct queue_send *send, const struct member *m, struct json_value value, struct arena *a,
                      struct error *e) {
    if (value.kind != JSON_STRING) return must_be(m->name, "a text such as \"30s\"", e);
    struct slice text = json_text_of(a, value);
    if (text_to_duration_ms(text, &send->delay_ms)) return 0;
    return error_set(e, ERROR_FORMAT, "the delay must be a duration such as 30s: \"" SLICE_FMT "\"", SLICE_ARG(text));
}

static int number_read(uint64_t *out, const char *name, struct json_value value, struct error *e) {
    int64_t number;
    if (!json_int_of(value, &number) || number < 0) return must_be(name, "a number from 0", e);
    *out = (uint64_t)number;
    return 0;
}

static int read_number(struct queue_send *send, const struct member *m, struct json_value value, struct arena *a,
                       struct error *e) {
    (void)a;
    return number_read((uint64_t *)(void *)((char *)send + m->offset), m->name, value, e);
}

static int read_nothing(struct queue_send *send, const struct member *m, struct json_value value, struct arena *a,
                        struct error *e) {
    (void)send, (void)m, (void)value, (void)a, (void)e;
    return 0;
}

/* --- attributes --- */

static const char *const type_names[] = {[QUEUE_TEXT] = "text", [QUEUE_NUMBER] = "number", [QUEUE_BINARY] = "binary"};
#define ATTRIBUTE_FORMS "attributes: must be an object of texts, or of objects with type and value"

static int read_type(struct queue_attribute *attribute, struct slice name, struct error *e) {
    for (size_t i = 0; i < ARRAY_LEN(type_names); i++) {
        if (!slice_equal(name, slice_of(type_names[i]))) continue;
        attribute->type = (enum queue_attribute_type)i;
        return 0;
    }
    return error_set(e, ERROR_FORMAT, "attributes: a type is text, number or binary, not \"" SLICE_FMT "\"",
                     SLICE_ARG(name));
}

static int read_attribute_member(struct queue_attribute *attribute, struct slice name, struct slice text,
                                 struct arena *a, struct error *e) {
    if (slice_equal(name, SLICE("type"))) return read_type(attribute, text, e);
    if (slice_equal(name, SLICE("valueBase64"))) return base64_read(&attribute->value, "valueBase64", text, a, e);
    if (!slice_equal(name, SLICE("value"))) return error_set(e, ERROR_FORMAT, ATTRIBUTE_FORMS);
    attribute->value = text;
    return 0;
}

static int read_attribute(struct queue_attribute *attribute, struct json_value value, struct arena *a,
                          struct error *e) {
    struct json_read json;
    struct slice name;
    struct json_value text;
    if (value.kind == JSON_STRING) {
        attribute->value = json_text_of(a, value);
        return 0;
    }
    json_read_init(&json, value.raw);
    if (!json_read_open(&json, '{')) return error_set(e, ERROR_FORMAT, ATTRIBUTE_FORMS);
    while (json_read_name(&json, a, &name) && json_read_value(&json, &text)) {
        if (text.kind != JSON_STRING) return error_set(e, ERROR_FORMAT, ATTRIBUTE_FORMS);
        int status = read_attribute_member(attribute, name, json_text_of(a, text), a, e);
        if (status < 0) return status;
    }
    return slice_is_none(attribute->value) ? error_set(e, ERROR_FORMAT, ATTRIBUTE_FORMS) : 0;
}

static int read_attributes(struct queue_send *send, const struct member *m, struct json_value object, struct arena *a,
                           struct error *e) {
    struct json_read json;
    struct slice name;
    struct json_value value;
    struct queue_attribute *list = arena_zalloc(a, QUEUE_ATTRIBUTES_MAX * sizeof *list);
    send->attributes = list;
    send->attribute_count = 0;
    json_read_init(&json, object.raw);
    if (!json_read_open(&json, '{')) return must_be(m->name, "an object of texts", e);
    while (json_read_name(&json, a, &name) && json_read_value(&json, &value)) {
        if (send->attribute_count == QUEUE_ATTRIBUTES_MAX)
            return error_set(e, ERROR_LIMIT, "a message may have %d attributes", QUEUE_ATTRIBUTES_MAX);
        struct queue_attribute *attribute = &list[send->attribute_count++];
        *attribute = (struct queue_attribute){.type = QUEUE_TEXT, .name = name};
        int status = read_attribute(attribute, value, a, e);
        if (status < 0) return status;
    }
    return 0;
}

/* --- why it died --- */

static int read_death_member(struct queue_death *death, struct slice name, struct json_value value, struct arena *a,
                             struct error *e) {
    const struct {
        struct slice name;
        struct slice *text;
        uint64_t *number;
    } rows[] = {{SLICE("queue"), &death->queue, NULL},
                {SLICE("reason"), &death->reason, NULL},
                {SLICE("error"), &death->error, NULL},
                {SLICE("attempts"), NULL, &death->attempts},
                {SLICE("diedMs"), NULL, &death->died_ms}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!slice_equal(rows[i].name, name)) continue;
        if (rows[i].number) return number_read(rows[i].number, rows[i].name.p, value, e);
        if (value.kind != JSON_STRING) return must_be(rows[i].name.p, "a text", e);
        *rows[i].text = json_text_of(a, value);
        return 0;
    }
    if (!slice_equal(name, SLICE("errorBase64")) || value.kind != JSON_STRING)
        return error_set(e, ERROR_FORMAT, "death: has no member \"" SLICE_FMT "\"", SLICE_ARG(name));
    return base64_read(&death->error, "errorBase64", json_text_of(a, value), a, e);
}

static int read_death(struct queue_send *send, const struct member *m, struct json_value object, struct arena *a,
                      struct error *e) {
    struct json_read json;
    struct slice name;
    struct json_value value;
    struct queue_death *death = arena_zalloc(a, sizeof *death);
    send->death = death;
    json_read_init(&json, object.raw);
    if (!json_read_open(&json, '{')) return must_be(m->name, "an object", e);
    while (json_read_name(&json, a, &name) && json_read_value(&json, &value)) {
        int status = read_death_member(death, name, value, a, e);
        if (status < 0) return status;
    }
    return slice_is_none(death->queue) ? error_set(e, ERROR_FORMAT, "death: needs the queue it died in") : 0;
}

/* --- the object --- */

#define FIELD(name) offsetof(struct queue_send, name)
static const struct member members[] = {
    {"body", QUEUE_JSON_SEND, read_text, FIELD(body)},
    {"bodyBase64", QUEUE_JSON_SEND, read_base64, FIELD(body)},
    {"contentType", QUEUE_JSON_SEND, read_text, FIELD(content_type)},
    {"contentTypeBase64", QUEUE_JSON_RECORD, read_base64, FIELD(content_type)},
    {"delay", QUEUE_JSON_SEND, read_delay, 0},
    {"delayMs", QUEUE_JSON_RECORD, read_number, FIELD(delay_ms)},
    {"groupId", QUEUE_JSON_SEND, read_text, FIELD(group_id)},
    {"groupIdBase64", QUEUE_JSON_RECORD, read_base64, FIELD(group_id)},
    {"dedupId", QUEUE_JSON_SEND, read_text, FIELD(dedup_id)},
    {"dedupIdBase64", QUEUE_JSON_RECORD, read_base64, FIELD(dedup_id)},
    {"attributes", QUEUE_JSON_SEND, read_attributes, 0},
    {"id", QUEUE_JSON_RECORD, read_text, FIELD(id)},
    {"sentMs", QUEUE_JSON_RECORD, read_number, FIELD(sent_ms)},
    {"death", QUEUE_JSON_RECORD, read_death, 0},
    {"place", QUEUE_JSON_RECORD, read_nothing, 0},
    {"receiveCount", QUEUE_JSON_RECORD, read_nothing, 0},
    {"firstReceivedMs", QUEUE_JSON_RECORD, read_nothing, 0},
    {"lastReceivedMs", QUEUE_JSON_RECORD, read_nothing, 0},
};

static const struct member *member_of(struct slice name, enum queue_json_kind kind, struct error *e) {
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (members[i].kinds <= kind && slice_equal(name, slice_of(members[i].name))) return &members[i];
    error_set(e, ERROR_FORMAT, "a message has no member \"" SLICE_FMT "\"", SLICE_ARG(name));
    return NULL;
}

/* RFC 8259 4 leaves it open which of two members of one name counts, and each would take memory. What can be said in
 * another form stands right before it in the table: `body` and `bodyBase64` are one. */
static int member_once(const struct member *m, unsigned *seen, struct error *e) {
    size_t i = (size_t)(m - members);
    if (i > 0 && slice_starts_with(slice_of(m->name), slice_of(m[-1].name))) i--;
    if (*seen & 1u << i)
        return error_set(e, ERROR_FORMAT, "%s: is said already; give it once, as text or as base64", m->name);
    *seen |= 1u << i;
    return 0;
}

int queue_json_read(struct queue_send *send, struct slice object, enum queue_json_kind kind, struct arena *a,
                    struct error *e) {
    struct json_read json;
    struct slice name;
    struct json_value value;
    unsigned seen = 0;
    json_read_init(&json, object);
    if (!json_read_open(&json, '{')) return error_set(e, ERROR_FORMAT, "a message must be an object");
    while (json_read_name(&json, a, &name) && json_read_value(&json, &value)) {
        const struct member *m = member_of(name, kind, e);
        int status = m ? member_once(m, &seen, e) : -ERROR_FORMAT;
        if (status == 0) status = m->read(send, m, value, a, e);
        if (status < 0) return status;
    }
    if (slice_is_none(send->body)) return error_set(e, ERROR_FORMAT, "a message needs a body");
    return 0;
}

/* --- writing --- */

void queue_json_text(struct json_write *w, const char *name, struct slice value) {
    char encoded[64];
    if (slice_is_none(value)) return;
    if (text_utf8_prefix(value) == value.n) {
        json_member(w, slice_of(name), value);
        return;
    }
    snprintf(encoded, sizeof encoded, "%sBase64", name);
    json_name(w, slice_of(encoded));
    json_base64(w, value);
}

static void write_number(struct json_write *w, const char *name, uint64_t value) {
    json_name(w, slice_of(name));
    json_number(w, (int64_t)value);
}

static void write_attribute(struct json_write *w, const struct queue_attribute *attribute) {
    json_name(w, attribute->name);
    bool is_text = text_utf8_prefix(attribute->value) == attribute->value.n;
    if (attribute->type == QUEUE_TEXT && is_text) {
        json_text(w, attribute->value);
        return;
    }
    json_open(w, '{');
    json_member(w, SLICE("type"), slice_of(type_names[attribute->type]));
    queue_json_text(w, "value", attribute->value);
    json_close(w, '}');
}

static void write_attributes(struct json_write *w, const struct queue_message *m) {
    if (m->attribute_count == 0) return;
    json_name(w, SLICE("attributes"));
    json_open(w, '{');
    for (size_t i = 0; i < m->attribute_count; i++) write_attribute(w, &m->attributes[i]);
    json_close(w, '}');
}

static void write_death(struct json_write *w, const struct queue_death *death) {
    if (!death) return;
    json_name(w, SLICE("death"));
    json_open(w, '{');
    json_member(w, SLICE("queue"), death->queue);
    queue_json_text(w, "reason", death->reason);
    queue_json_text(w, "error", death->error);
    write_number(w, "attempts", death->attempts);
    write_number(w, "diedMs", death->died_ms);
    json_close(w, '}');
}

static void write_receives(struct json_write *w, const struct queue_message *m) {
    if (m->receive_count == 0) return;
    write_number(w, "receiveCount", m->receive_count);
    write_number(w, "firstReceivedMs", m->first_received_ms);
    write_number(w, "lastReceivedMs", m->last_received_ms);
}

void queue_json_write(struct json_write *w, const struct queue_message *m) {
    static const char *const places[] = {[QUEUE_READY] = "ready",
                                         [QUEUE_IN_FLIGHT] = "inFlight",
                                         [QUEUE_DELAYED] = "delayed",
                                         [QUEUE_BLOCKED] = "blocked"};
    json_open(w, '{');
    json_member(w, SLICE("id"), slice_of(m->id));
    write_number(w, "sentMs", m->sent_ms);
    json_member(w, SLICE("place"), slice_of(places[m->place]));
    if (m->place == QUEUE_DELAYED) write_number(w, "delayMs", m->ready_in_ms);
    write_receives(w, m);
    queue_json_text(w, "contentType", m->content_type);
    queue_json_text(w, "groupId", m->group_id);
    queue_json_text(w, "dedupId", m->dedup_id);
    write_attributes(w, m);
    write_death(w, m->death);
    queue_json_text(w, "body", m->body);
    json_close(w, '}');
}
