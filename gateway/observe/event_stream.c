#include "gateway/observe/event_stream.h"
#include <assert.h>
#include <zlib.h>

#define PRELUDE_SIZE 12
#define CRC_SIZE 4
#define NAME_AND_TYPE(name) (1 + (name).n + 1 + 2)
#define HEADER_TEXT 7
#define PAYLOAD_MAX (16 * 1024 * 1024)
#define VALUE_MAX 255

static const struct slice message_type = {":message-type", 13};
static const struct slice event_type = {":event-type", 11};
static const struct slice content_type = {":content-type", 13};

static char *put_u32(char *at, size_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) *at++ = (char)(value >> shift & 0xff);
    return at;
}

static char *put_slice(char *at, struct slice s) {
    if (s.n) memcpy(at, s.p, s.n);
    return at + s.n;
}

static char *put_header(char *at, struct slice name, struct slice value) {
    *at++ = (char)name.n;
    at = put_slice(at, name);
    *at++ = HEADER_TEXT;
    *at++ = (char)(value.n >> 8);
    *at++ = (char)(value.n & 0xff);
    return put_slice(at, value);
}

static char *put_crc(char *start, char *at) {
    return put_u32(at, crc32(0, (const unsigned char *)start, (unsigned)(at - start)));
}

struct chunk *event_stream_message(const struct event_message *m) {
    const struct slice kind = SLICE("event");
    assert(m->payload.n <= PAYLOAD_MAX && m->type.n <= VALUE_MAX && m->content_type.n <= VALUE_MAX);
    size_t headers = NAME_AND_TYPE(message_type) + kind.n + NAME_AND_TYPE(event_type) + m->type.n +
                     NAME_AND_TYPE(content_type) + m->content_type.n;
    size_t total = PRELUDE_SIZE + headers + m->payload.n + CRC_SIZE;
    struct chunk *c = chunk_new(total);
    char *start = c->memory, *at = put_u32(put_u32(start, total), headers);
    at = put_crc(start, at);
    at = put_header(at, message_type, kind);
    at = put_header(at, event_type, m->type);
    at = put_header(at, content_type, m->content_type);
    at = put_crc(start, put_slice(at, m->payload));
    assert(at == start + total);
    c->bytes = slice_make(start, total);
    return c;
}
