#include "gateway/websocket/reader.h"
#include "gateway/websocket/close_code.h"
#include <stdlib.h>

#define NOTHING_YET READER_MORE /* of one piece: go on with the next */
#define AT_ONCE 16384           /* memory that a head alone may claim */

void reader_init(struct reader *r, const struct reader_limits *limits, const struct deflate_terms *terms) {
    *r = (struct reader){.limits = *limits, .terms = *terms};
}

void reader_free(struct reader *r) {
    frame_reader_free(&r->frames);
    inflater_free(r->inflater);
    r->inflater = NULL;
    buf_free(&r->message);
    buf_free(&r->control);
}

void reader_feed(struct reader *r, struct slice bytes) {
    if (!r->over) frame_reader_feed(&r->frames, bytes);
}

bool reader_is_amid_message(const struct reader *r) {
    return r->opcode != FRAME_CONTINUATION;
}

static enum reader_result fail(struct reader *r, struct reader_item *item, int code, const char *why) {
    r->over = true;
    *item = (struct reader_item){slice_of(why), code};
    return READER_FAILED;
}

static bool is_control(const struct frame_piece *p) {
    return p->opcode >= FRAME_CLOSE;
}

/* --- the head of a frame --- */

static const char *control_objection(const struct frame_piece *p) {
    if (p->opcode > FRAME_PONG) return "an unknown opcode";
    if (p->rsv) return "a control frame with a reserved bit";
    if (!p->fin) return "a fragmented control frame";
    return p->size > FRAME_CONTROL_MAX ? "a control frame that is too long" : NULL;
}

static const char *data_objection(const struct reader *r, const struct frame_piece *p) {
    bool amid = reader_is_amid_message(r);
    if (p->opcode > FRAME_BINARY) return "an unknown opcode";
    if (p->opcode == FRAME_CONTINUATION && !amid) return "a continuation of nothing";
    if (p->opcode != FRAME_CONTINUATION && amid) return "a new message before the last fragment of the one before";
    if (p->rsv == FRAME_RSV1 && r->terms.agreed && p->opcode != FRAME_CONTINUATION) return NULL;
    return p->rsv ? "a reserved bit that no extension uses" : NULL;
}

static const char *objection(const struct reader *r, const struct frame_piece *p) {
    if (!p->masked) return "a frame that is not masked"; /* RFC 6455 5.1 */
    return is_control(p) ? control_objection(p) : data_objection(r, p);
}

static void message_begin(struct reader *r, const struct frame_piece *p) {
    r->opcode = p->opcode;
    r->compressed = p->rsv == FRAME_RSV1;
    r->text = (struct utf8_check){0};
    r->message.n = 0;
    if (r->compressed && !r->inflater) r->inflater = inflater_new();
}

/* --- messages --- */

static bool is_too_big(const struct reader *r, const struct frame_piece *p) {
    if (p->size > r->limits.max_frame) return true;
    return !r->compressed && p->size > r->limits.max_message - r->message.n;
}

/* What the piece adds to the message; INFLATE_OK for those that are not compressed. */
static enum inflate_result message_add(struct reader *r, const struct frame_piece *p) {
    uint64_t limit = r->limits.max_message;
    if (!r->compressed) {
        if (p->bytes.n > limit || r->message.n > limit - p->bytes.n) return INFLATE_TOO_BIG;
        if (p->first && p->fin && p->size <= AT_ONCE) buf_reserve(&r->message, (size_t)p->size);
        buf_append_slice(&r->message, p->bytes);
        return INFLATE_OK;
    }
    enum inflate_result result = p->bytes.n ? inflater_feed(r->inflater, p->bytes, &r->message, limit) : INFLATE_OK;
    if (result == INFLATE_OK && p->last && p->fin) result = inflater_end(r->inflater, &r->message, limit);
    return result;
}

static enum reader_result message_end(struct reader *r, struct reader_item *item) {
    bool text = r->opcode == FRAME_TEXT;
    if (text && !utf8_check_whole(&r->text))
        return fail(r, item, CLOSE_BAD_DATA, "text that is cut off in a character");
    if (r->compressed && !r->terms.client_takeover) {
        inflater_free(r->inflater);
        r->inflater = NULL;
    }
    r->opcode = FRAME_CONTINUATION;
    *item = (struct reader_item){.bytes = buf_slice(&r->message)};
    return text ? READER_TEXT : READER_BINARY;
}

/* Whether what came behind the first `before` bytes may stand there. */
static bool text_goes_on(struct reader *r, size_t before) {
    if (r->message.n == before) return true;
    return utf8_check_feed(&r->text, slice_make(r->message.p + before, r->message.n - before));
}

static enum reader_result message_piece(struct reader *r, const struct frame_piece *p, struct reader_item *item) {
    if (p->first && p->opcode != FRAME_CONTINUATION) message_begin(r, p);
    if (p->first && is_too_big(r, p)) return fail(r, item, CLOSE_TOO_BIG, "a message that is too large");
    size_t before = r->message.n;
    switch (message_add(r, p)) {
    case INFLATE_OK: break;
    case INFLATE_BAD: return fail(r, item, CLOSE_BAD_DATA, "a message that cannot be decompressed");
    case INFLATE_TOO_BIG: return fail(r, item, CLOSE_TOO_BIG, "a message that is too large");
    }
    if (r->opcode == FRAME_TEXT && !text_goes_on(r, before))
        return fail(r, item, CLOSE_BAD_DATA, "text that is not UTF-8");
    return p->last && p->fin ? message_end(r, item) : NOTHING_YET;
}

/* --- control frames --- */

/* RFC 6455 5.5.1: nothing, or a code and perhaps a reason. */
static enum reader_result close_read(struct reader *r, struct reader_item *item) {
    struct slice payload = buf_slice(&r->control);
    struct utf8_check text = {0};
    r->over = true;
    if (payload.n == 0) {
        *item = (struct reader_item){SLICE(""), CLOSE_NO_STATUS};
        return READER_CLOSE;
    }
    if (payload.n == 1) return fail(r, item, CLOSE_PROTOCOL, "a Close of one byte");
    int code = (uint8_t)payload.p[0] << 8 | (uint8_t)payload.p[1];
    struct slice reason = slice_make(payload.p + 2, payload.n - 2);
    if (!close_code_may_be_sent(code)) return fail(r, item, CLOSE_PROTOCOL, "a Close with a code that is reserved");
    if (!utf8_check_feed(&text, reason) || !utf8_check_whole(&text))
        return fail(r, item, CLOSE_BAD_DATA, "a Close whose reason is not UTF-8");
    *item = (struct reader_item){reason, code};
    return READER_CLOSE;
}

static enum reader_result control_piece(struct reader *r, const struct frame_piece *p, struct reader_item *item) {
    if (p->first) r->control.n = 0;
    if (p->bytes.n) buf_append_slice(&r->control, p->bytes);
    if (!p->last) return NOTHING_YET;
    if (p->opcode == FRAME_CLOSE) return close_read(r, item);
    *item = (struct reader_item){.bytes = r->control.n ? buf_slice(&r->control) : SLICE("")};
    return p->opcode == FRAME_PING ? READER_PING : READER_PONG;
}

/* --- all of it --- */

/* Between messages nothing is kept. */
static enum reader_result reader_rest(struct reader *r) {
    buf_free(&r->control);
    if (!reader_is_amid_message(r)) buf_free(&r->message);
    return READER_MORE;
}

enum reader_result reader_next(struct reader *r, struct reader_item *item) {
    struct frame_piece p;
    for (;;) {
        if (r->over) return READER_MORE;
        enum frame_result result = frame_reader_next(&r->frames, &p);
        if (result == FRAME_MORE) return r->frames.inside ? READER_MORE : reader_rest(r);
        if (result == FRAME_INVALID) return fail(r, item, CLOSE_PROTOCOL, "a frame that is not well-formed");
        const char *why = p.first ? objection(r, &p) : NULL;
        if (why) return fail(r, item, CLOSE_PROTOCOL, why);
        enum reader_result said = is_control(&p) ? control_piece(r, &p, item) : message_piece(r, &p, item);
        if (said != NOTHING_YET) return said;
    }
}

struct chunk *reader_take_message(struct reader *r) {
    size_t n;
    char *bytes = buf_take(&r->message, &n);
    if (bytes) return chunk_take(bytes, n);
    return chunk_new(0);
}
