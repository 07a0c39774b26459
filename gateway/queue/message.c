#include "gateway/queue/message.h"

#define ATTRIBUTE_HEAD_SIZE 9

void queue_id_make(struct clock *clock, char id[UUID_TEXT_SIZE + 1]) {
    static const char hex[] = "0123456789abcdef";
    uint64_t ms = clock_wall_ms(clock);
    clock_uuid(clock, id);
    /* The first 48 bits are the time; a dash stands after the eighth digit. */
    for (int digit = 0; digit < 12; digit++) id[digit + (digit >= 8)] = hex[ms >> (44 - 4 * digit) & 15];
    id[14] = '7';
    id[UUID_TEXT_SIZE] = '\0';
}

int queue_name_check(struct slice name, struct error *e) {
    if (name.n == 0) return error_set(e, ERROR_FORMAT, "a queue's name must not be empty");
    if (name.n <= QUEUE_NAME_SIZE_MAX) return 0;
    return error_set(e, ERROR_LIMIT, "a queue's name may have %d bytes, not %zu", QUEUE_NAME_SIZE_MAX, name.n);
}

int queue_key_check(struct slice key, const char *what, struct error *e) {
    if (key.n == 0) return error_set(e, ERROR_FORMAT, "%s must not be empty", what);
    if (key.n <= QUEUE_KEY_SIZE_MAX) return 0;
    return error_set(e, ERROR_FORMAT, "%s may have %d bytes, not %zu", what, QUEUE_KEY_SIZE_MAX, key.n);
}

int queue_page_check(size_t count, struct error *e) {
    if (count > 0 && count <= QUEUE_PAGE_MAX) return 0;
    return error_set(e, ERROR_LIMIT, "one call takes 1 to %d messages, not %zu", QUEUE_PAGE_MAX, count);
}

int queue_delay_check(uint64_t ms, struct error *e) {
    if (ms <= QUEUE_DELAY_MS_MAX) return 0;
    return error_set(e, ERROR_FORMAT, "a delay may be 366 days, not %llu ms", (unsigned long long)ms);
}

static int attributes_check(const struct queue_send *send, struct error *e) {
    if (send->attribute_count > QUEUE_ATTRIBUTES_MAX)
        return error_set(e, ERROR_FORMAT, "a message may have %d attributes, not %zu", QUEUE_ATTRIBUTES_MAX,
                         send->attribute_count);
    for (size_t i = 0; i < send->attribute_count; i++) {
        int status = queue_key_check(send->attributes[i].name, "an attribute's name", e);
        if (status < 0) return status;
    }
    return 0;
}

static int size_check(const struct queue_send *send, uint32_t limit, struct error *e) {
    size_t size = send->body.n;
    for (size_t i = 0; i < send->attribute_count; i++) size += send->attributes[i].name.n + send->attributes[i].value.n;
    if (size <= limit) return 0;
    return error_set(e, ERROR_LIMIT, "queue " SLICE_FMT " takes messages of up to %u bytes, not %zu",
                     SLICE_ARG(send->queue), limit, size);
}

static int optional_key_check(struct slice key, const char *what, struct error *e) {
    return slice_is_none(key) ? 0 : queue_key_check(key, what, e);
}

static int import_check(const struct queue_send *send, struct error *e) {
    if (send->id.n == 0 || send->id.n > UUID_TEXT_SIZE)
        return error_set(e, ERROR_FORMAT, "a message's id has 1 to %d bytes, not %zu", UUID_TEXT_SIZE, send->id.n);
    int status = queue_delay_check(send->once_ms, e);
    return status == 0 && send->death ? queue_name_check(send->death->queue, e) : status;
}

int queue_send_check(const struct queue_send *send, uint32_t size_limit, struct error *e) {
    int status = queue_name_check(send->queue, e);
    if (status == 0) status = queue_delay_check(send->delay_ms, e);
    if (status == 0) status = optional_key_check(send->content_type, "a content type", e);
    if (status == 0) status = optional_key_check(send->dedup_id, "a deduplication id", e);
    if (status == 0) status = optional_key_check(send->group_id, "a group id", e);
    if (status == 0) status = attributes_check(send, e);
    if (status == 0) status = size_check(send, size_limit ? size_limit : QUEUE_MESSAGE_SIZE_DEFAULT, e);
    return status < 0 || slice_is_none(send->id) ? status : import_check(send, e);
}

/* --- attributes as bytes --- */

static void put_u32(struct buf *out, size_t value) {
    for (int shift = 0; shift < 32; shift += 8) buf_append_char(out, (char)(value >> shift & 255));
}

static size_t get_u32(const char *p) {
    size_t value = 0;
    for (int i = 3; i >= 0; i--) value = value << 8 | (unsigned char)p[i];
    return value;
}

void queue_attributes_pack(const struct queue_attribute *attributes, size_t count, struct buf *out) {
    for (size_t i = 0; i < count; i++) {
        buf_append_char(out, (char)attributes[i].type);
        put_u32(out, attributes[i].name.n);
        put_u32(out, attributes[i].value.n);
        buf_append_slice(out, attributes[i].name);
        buf_append_slice(out, attributes[i].value);
    }
}

/* Cuts one attribute off the front; false when the bytes are not one. */
static bool attribute_next(struct slice *rest, struct queue_attribute *attribute) {
    if (rest->n < ATTRIBUTE_HEAD_SIZE || (unsigned char)rest->p[0] > QUEUE_BINARY) return false;
    size_t name = get_u32(rest->p + 1), value = get_u32(rest->p + 5);
    const char *at = rest->p + ATTRIBUTE_HEAD_SIZE;
    size_t left = rest->n - ATTRIBUTE_HEAD_SIZE;
    if (name > left || value > left - name) return false;
    *attribute = (struct queue_attribute){(enum queue_attribute_type)rest->p[0], slice_make(at, name),
                                          slice_make(at + name, value)};
    *rest = slice_make(at + name + value, left - name - value);
    return true;
}

int queue_attributes_unpack(struct slice bytes, struct queue_message *m, struct arena *a, struct error *e) {
    struct queue_attribute found[QUEUE_ATTRIBUTES_MAX];
    size_t count = 0;
    while (bytes.n > 0) {
        if (count == QUEUE_ATTRIBUTES_MAX || !attribute_next(&bytes, &found[count]))
            return error_set(e, ERROR_FORMAT, "the stored attributes of message %s are damaged", m->id);
        count++;
    }
    m->attribute_count = count;
    m->attributes = NULL;
    if (count == 0) return 0;
    struct queue_attribute *kept = arena_alloc(a, count * sizeof *kept);
    memcpy(kept, found, count * sizeof *kept);
    m->attributes = kept;
    return 0;
}

static const struct queue_death *death_copy(const struct queue_death *death, struct arena *a) {
    if (!death) return NULL;
    struct queue_death *copy = arena_alloc(a, sizeof *copy);
    *copy = *death;
    copy->queue = arena_copy(a, death->queue);
    copy->reason = arena_copy(a, death->reason);
    copy->error = arena_copy(a, death->error);
    return copy;
}

void queue_send_copy(struct queue_send *copy, const struct queue_send *send, struct arena *a) {
    *copy = *send;
    copy->queue = arena_copy(a, send->queue);
    copy->body = arena_copy(a, send->body);
    copy->content_type = arena_copy(a, send->content_type);
    copy->dedup_id = arena_copy(a, send->dedup_id);
    copy->group_id = arena_copy(a, send->group_id);
    copy->id = arena_copy(a, send->id);
    copy->death = death_copy(send->death, a);
    copy->attributes = NULL;
    if (send->attribute_count == 0) return;
    struct queue_attribute *attributes = arena_alloc(a, send->attribute_count * sizeof *attributes);
    for (size_t i = 0; i < send->attribute_count; i++)
        attributes[i] = (struct queue_attribute){send->attributes[i].type, arena_copy(a, send->attributes[i].name),
                                                 arena_copy(a, send->attributes[i].value)};
    copy->attributes = attributes;
}
