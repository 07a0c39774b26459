#include "gateway/cluster/cluster_message.h"

#define VERSION 1
#define HEAD_SIZE (2 + CLUSTER_TAG_SIZE + 8 + 8)

static void number_write(struct buf *out, uint64_t number, size_t bytes) {
    for (size_t i = bytes; i-- > 0;) buf_append_char(out, (char)(number >> (8 * i)));
}

static uint64_t number_read(const char *p, size_t bytes) {
    uint64_t number = 0;
    for (size_t i = 0; i < bytes; i++) number = number << 8 | (unsigned char)p[i];
    return number;
}

bool cluster_tag_is_good(struct slice tag) {
    if (tag.n != CLUSTER_TAG_SIZE) return false;
    for (size_t i = 0; i < tag.n; i++)
        if (!(tag.p[i] >= '0' && tag.p[i] <= '9') && !(tag.p[i] >= 'a' && tag.p[i] <= 'f')) return false;
    return true;
}

void cluster_message_write(struct buf *out, const struct cluster_message *m) {
    buf_append_char(out, VERSION);
    buf_append_char(out, (char)m->kind);
    buf_append(out, m->sender, sizeof m->sender);
    number_write(out, m->number, 8);
    number_write(out, m->floor, 8);
    buf_append_slice(out, m->payload);
}

bool cluster_message_read(struct slice bytes, struct cluster_message *m) {
    if (bytes.n < HEAD_SIZE || bytes.p[0] != VERSION) return false;
    if (bytes.p[1] != CLUSTER_REQUEST && bytes.p[1] != CLUSTER_ANSWER) return false;
    if (!cluster_tag_is_good(slice_make(bytes.p + 2, CLUSTER_TAG_SIZE))) return false;
    const char *numbers = bytes.p + 2 + CLUSTER_TAG_SIZE;
    m->kind = (enum cluster_kind)bytes.p[1];
    memcpy(m->sender, bytes.p + 2, CLUSTER_TAG_SIZE);
    m->number = number_read(numbers, 8);
    m->floor = number_read(numbers + 8, 8);
    m->payload = slice_make(bytes.p + HEAD_SIZE, bytes.n - HEAD_SIZE);
    return m->number > 0 && m->floor <= m->number;
}

void cluster_field_write(struct buf *out, struct slice field) {
    number_write(out, field.n, 4);
    buf_append_slice(out, field);
}

void cluster_field_write_number(struct buf *out, uint64_t number) {
    number_write(out, 8, 4);
    number_write(out, number, 8);
}

bool cluster_field_read(struct slice *rest, struct slice *field) {
    if (rest->n < 4) return false;
    uint64_t size = number_read(rest->p, 4);
    if (size > rest->n - 4) return false;
    *field = slice_make(rest->p + 4, (size_t)size);
    *rest = slice_make(field->p + size, rest->n - 4 - (size_t)size);
    return true;
}

bool cluster_field_read_number(struct slice *rest, uint64_t *number) {
    struct slice field;
    if (!cluster_field_read(rest, &field) || field.n != 8) return false;
    *number = number_read(field.p, 8);
    return true;
}
