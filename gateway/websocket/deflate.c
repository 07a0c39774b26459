#include "gateway/websocket/deflate.h"
#include "gateway/base/memory.h"
#include <stdlib.h>
#include <zlib.h>

#define BITS_MAX 15
#define BITS_LEAST 9 /* zlib cannot write a window of 8 bits */
#define PIECE 4096
#define MESSAGE_LEAST 128              /* below, a compressed message is hardly smaller */
#define BETWEEN_BLOCKS 128             /* of zlib's data_type */
#define TAIL SLICE("\x00\x00\xff\xff") /* of a flushed block; not sent (RFC 7692 7.2.1) */

/* --- terms --- */

struct offer {
    bool server_fresh, client_fresh, server_bits_given, client_bits_given;
    uint64_t server_bits;
};

static struct slice unquoted(struct slice s) {
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"') return slice_make(s.p + 1, s.n - 2);
    return s;
}

/* A flag that may be there once and has no value. */
static bool read_flag(bool *flag, struct slice value) {
    if (*flag || !slice_is_none(value)) return false;
    *flag = true;
    return true;
}

static bool read_bits(bool *given, struct slice value, uint64_t *bits) {
    if (*given || !slice_to_u64(unquoted(value), bits)) return false;
    *given = true;
    return unquoted(value).p[0] != '0' && *bits >= 8 && *bits <= BITS_MAX;
}

static bool read_parameter(struct offer *o, struct slice parameter) {
    uint64_t ignored; /* whatever window the client writes with, ours to read is the largest */
    struct slice name;
    slice_next(&parameter, '=', &name);
    struct slice value = slice_is_none(parameter) ? SLICE_NONE : slice_trim(parameter);
    name = slice_trim(name);
    if (slice_equal_nocase(name, SLICE("server_no_context_takeover"))) return read_flag(&o->server_fresh, value);
    if (slice_equal_nocase(name, SLICE("client_no_context_takeover"))) return read_flag(&o->client_fresh, value);
    if (slice_equal_nocase(name, SLICE("server_max_window_bits")))
        return read_bits(&o->server_bits_given, value, &o->server_bits) && o->server_bits >= BITS_LEAST;
    if (!slice_equal_nocase(name, SLICE("client_max_window_bits"))) return false;
    if (slice_is_none(value)) return read_flag(&o->client_bits_given, value);
    return read_bits(&o->client_bits_given, value, &ignored);
}

/* A quoted value is a token in quotes (RFC 6455 9.1). One with a separator in it would be cut in two, and its middle be
 * taken for an offer. */
static bool is_list_of_offers(struct slice field) {
    bool quoted = false;
    for (size_t i = 0; i < field.n; i++) {
        if (field.p[i] == '"') quoted = !quoted;
        if (quoted && (field.p[i] == ',' || field.p[i] == ';')) return false;
    }
    return !quoted;
}

static bool read_offer(struct offer *o, struct slice text) {
    struct slice part;
    *o = (struct offer){.server_bits = BITS_MAX};
    slice_next(&text, ';', &part);
    if (!slice_equal_nocase(slice_trim(part), SLICE("permessage-deflate"))) return false;
    while (slice_next(&text, ';', &part))
        if (!read_parameter(o, slice_trim(part))) return false;
    return true;
}

static struct deflate_terms terms_of(const struct offer *o, enum deflate_mode mode) {
    return (struct deflate_terms){.agreed = true,
                                  .server_takeover = mode == DEFLATE_CONNECTION && !o->server_fresh,
                                  .client_takeover = mode == DEFLATE_CONNECTION && !o->client_fresh,
                                  .server_bits = (uint8_t)o->server_bits,
                                  .bits_asked = o->server_bits_given};
}

struct deflate_terms deflate_negotiate(const struct fields *headers, enum deflate_mode mode) {
    struct offer o;
    struct slice text;
    for (size_t i = 0; mode != DEFLATE_OFF && i < headers->count; i++) {
        struct slice list = headers->items[i].value;
        if (!slice_equal_nocase(headers->items[i].name, SLICE("Sec-WebSocket-Extensions"))) continue;
        if (!is_list_of_offers(list)) continue;
        while (slice_next(&list, ',', &text))
            if (read_offer(&o, text)) return terms_of(&o, mode);
    }
    return (struct deflate_terms){0};
}

void deflate_write_terms(struct buf *out, const struct deflate_terms *t) {
    buf_append_text(out, "permessage-deflate");
    if (!t->server_takeover) buf_append_text(out, "; server_no_context_takeover");
    if (!t->client_takeover) buf_append_text(out, "; client_no_context_takeover");
    if (t->bits_asked) buf_printf(out, "; server_max_window_bits=%u", t->server_bits);
}

/* --- reading --- */

struct inflater {
    z_stream z;
    bool amid_message;
};

struct inflater *inflater_new(void) {
    struct inflater *i = xcalloc(1, sizeof *i);
    if (inflateInit2(&i->z, -BITS_MAX) != Z_OK) abort();
    return i;
}

enum inflate_result inflater_feed(struct inflater *i, struct slice bytes, struct buf *out, uint64_t limit) {
    i->amid_message = true;
    i->z.next_in = (Bytef *)(uintptr_t)bytes.p;
    i->z.avail_in = (uInt)bytes.n;
    do {
        i->z.next_out = (Bytef *)buf_reserve(out, PIECE);
        i->z.avail_out = PIECE;
        int result = inflate(&i->z, Z_SYNC_FLUSH);
        out->n += PIECE - i->z.avail_out;
        if (out->n > limit) return INFLATE_TOO_BIG;
        if (result == Z_STREAM_END) {
            /* A final block ends nothing here, and its window stays (RFC 7692 7.2.3.4). */
            if (inflateResetKeep(&i->z) != Z_OK) return INFLATE_BAD;
        } else if (result != Z_OK && result != Z_BUF_ERROR) {
            return INFLATE_BAD;
        }
    } while (i->z.avail_in > 0 || i->z.avail_out == 0);
    return INFLATE_OK;
}

enum inflate_result inflater_end(struct inflater *i, struct buf *out, uint64_t limit) {
    /* A message without a byte is empty, though it should be one 00 (RFC 7692 7.2.3.6). */
    if (!i->amid_message) return INFLATE_OK;
    enum inflate_result result = inflater_feed(i, TAIL, out, limit);
    i->amid_message = false;
    /* A block that is cut off would take the tail, and the next message, for its own. */
    return result == INFLATE_OK && !(i->z.data_type & BETWEEN_BLOCKS) ? INFLATE_BAD : result;
}

void inflater_free(struct inflater *i) {
    if (!i) return;
    inflateEnd(&i->z);
    free(i);
}

/* --- writing --- */

struct deflater {
    z_stream z;
};

/* Small messages by themselves need small windows, which are cheaper to begin. */
static int bits_for(const struct deflate_terms *t, size_t size) {
    int bits = t->server_bits;
    while (!t->server_takeover && bits > BITS_LEAST && size <= (size_t)1 << (bits - 1)) bits--;
    return bits;
}

static struct deflater *deflater_new(int bits) {
    struct deflater *d = xcalloc(1, sizeof *d);
    int memory = bits >= 15 ? 8 : bits - 7;
    if (memory < 1) memory = 1;
    if (deflateInit2(&d->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -bits, memory, Z_DEFAULT_STRATEGY) != Z_OK) abort();
    return d;
}

void deflater_free(struct deflater *d) {
    if (!d) return;
    deflateEnd(&d->z);
    free(d);
}

static void deflater_run(struct deflater *d, struct slice message, struct buf *out) {
    d->z.next_in = (Bytef *)(uintptr_t)message.p;
    d->z.avail_in = (uInt)message.n;
    do {
        d->z.next_out = (Bytef *)buf_reserve(out, PIECE);
        d->z.avail_out = PIECE;
        deflate(&d->z, Z_SYNC_FLUSH);
        out->n += PIECE - d->z.avail_out;
    } while (d->z.avail_out == 0);
    out->n -= TAIL.n;
}

bool deflater_write(struct deflater **deflater, const struct deflate_terms *t, struct slice message, struct buf *out) {
    size_t before = out->n;
    if (!t->agreed || message.n < MESSAGE_LEAST || message.n > INT32_MAX) return false;
    if (!*deflater) *deflater = deflater_new(bits_for(t, message.n));
    deflater_run(*deflater, message, out);
    if (t->server_takeover) return true; /* it is part of the window now, smaller or not */
    deflater_free(*deflater);
    *deflater = NULL;
    if (out->n - before < message.n) return true;
    out->n = before;
    return false;
}
