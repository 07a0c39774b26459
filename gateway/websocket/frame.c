#include "gateway/websocket/frame.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/websocket/close_code.h"
#include <stdlib.h>
#include <wslay/wslay.h>

#define MASK_SIZE 4
#define HEAD_MAX 10
#define REASON_MAX (FRAME_CONTROL_MAX - 2)

static ssize_t on_receive(uint8_t *room, size_t size, int flags, void *context) {
    struct frame_reader *r = context;
    size_t n = r->input.n < size ? r->input.n : size;
    (void)flags;
    if (n == 0) return -1;
    memcpy(room, r->input.p, n);
    r->input = slice_make(r->input.p + n, r->input.n - n);
    r->pulled += n;
    return (ssize_t)n;
}

static void context_make(struct frame_reader *r) {
    static const struct wslay_frame_callbacks callbacks = {.recv_callback = on_receive};
    if (r->context) return;
    if (wslay_frame_context_init(&r->context, &callbacks, r) != 0) abort();
}

void frame_reader_free(struct frame_reader *r) {
    if (r->context) wslay_frame_context_free(r->context);
    r->context = NULL;
}

void frame_reader_feed(struct frame_reader *r, struct slice bytes) {
    r->input = bytes;
}

static size_t head_size(uint64_t payload, bool masked) {
    size_t length = payload < 126 ? 0 : payload <= UINT16_MAX ? 2 : 8;
    return 2 + length + (masked ? MASK_SIZE : 0);
}

static void frame_begin(struct frame_reader *r, const struct wslay_frame_iocb *io) {
    r->passed += head_size(io->payload_length, io->mask);
    r->left = io->payload_length;
    r->inside = true;
}

/* Nothing of a frame is left in libwslay. */
static bool is_between_frames(const struct frame_reader *r) {
    return !r->inside && r->pulled == r->passed;
}

static enum frame_result reader_rest(struct frame_reader *r) {
    if (!is_between_frames(r)) return FRAME_MORE;
    frame_reader_free(r);
    r->pulled = r->passed = 0;
    return FRAME_MORE;
}

enum frame_result frame_reader_next(struct frame_reader *r, struct frame_piece *piece) {
    struct wslay_frame_iocb io = {0};
    if (r->input.n == 0 && is_between_frames(r)) return reader_rest(r);
    context_make(r);
    ssize_t n = wslay_frame_recv(r->context, &io);
    if (n == WSLAY_ERR_WANT_READ) return reader_rest(r);
    if (n < 0) return FRAME_INVALID;
    bool first = !r->inside;
    if (first) frame_begin(r, &io);
    r->left -= io.data_length;
    r->passed += io.data_length;
    r->inside = r->left > 0;
    *piece = (struct frame_piece){.opcode = io.opcode,
                                  .rsv = io.rsv,
                                  .fin = io.fin,
                                  .masked = io.mask,
                                  .first = first,
                                  .last = !r->inside,
                                  .size = io.payload_length,
                                  .bytes = slice_make((const char *)io.data, io.data_length)};
    return FRAME_PIECE;
}

/* --- from the server --- */

static void put_be(uint8_t *at, uint64_t value, size_t size) {
    for (size_t i = size; i-- > 0; value >>= 8) at[i] = (uint8_t)value;
}

static size_t head_write(uint8_t *head, enum frame_opcode opcode, unsigned rsv, uint64_t size) {
    head[0] = (uint8_t)(0x80u | rsv << 4 | (unsigned)opcode);
    head[1] = (uint8_t)(size < 126 ? size : size <= UINT16_MAX ? 126 : 127);
    size_t n = head_size(size, false);
    put_be(head + 2, size, n - 2);
    return n;
}

struct chunk *frame_make(enum frame_opcode opcode, unsigned rsv, struct slice payload) {
    uint8_t head[HEAD_MAX];
    size_t n = head_write(head, opcode, rsv, payload.n);
    struct chunk *c = chunk_new(n + payload.n);
    char *at = c->memory;
    memcpy(at, head, n);
    if (payload.n) memcpy(at + n, payload.p, payload.n);
    c->bytes.n = n + payload.n;
    return c;
}

struct chunk *frame_make_close(int code, struct slice reason) {
    uint8_t payload[FRAME_CONTROL_MAX];
    if (code == CLOSE_NO_STATUS) return frame_make(FRAME_CLOSE, 0, SLICE(""));
    put_be(payload, (uint64_t)code, 2);
    if (reason.n > REASON_MAX) reason.n = REASON_MAX;
    reason.n = text_utf8_prefix(reason);
    if (reason.n) memcpy(payload + 2, reason.p, reason.n);
    return frame_make(FRAME_CLOSE, 0, slice_make((const char *)payload, 2 + reason.n));
}
