/* Bytes from a client, fed whole and in pieces whose size the first byte chooses: both must be read alike, and what is
 * passed on must keep the promises of reader.h. The second byte chooses whether compression was agreed on. */
#include "gateway/base/text.h"
#include "gateway/websocket/close_code.h"
#include "gateway/websocket/reader.h"
#include <stdlib.h>

#define MESSAGE_MAX 4096

static void require(bool condition) {
    if (!condition) abort();
}

static void check_item(enum reader_result result, const struct reader_item *item) {
    switch (result) {
    case READER_TEXT: require(text_utf8_prefix(item->bytes) == item->bytes.n); /* fall through */
    case READER_BINARY: require(item->bytes.n <= MESSAGE_MAX); return;
    case READER_PING:
    case READER_PONG: require(item->bytes.n <= FRAME_CONTROL_MAX); return;
    case READER_CLOSE: require(item->code == CLOSE_NO_STATUS || close_code_may_be_sent(item->code)); return;
    case READER_FAILED: require(close_code_may_be_sent(item->code) && item->bytes.n > 0); return;
    case READER_MORE: return;
    }
}

static void note(struct buf *out, enum reader_result result, const struct reader_item *item) {
    check_item(result, item);
    /* Of several things that are wrong with a compressed message, how much came at once decides which is found first.
     */
    if (result == READER_FAILED) {
        buf_append_text(out, item->code == CLOSE_PROTOCOL ? "protocol" : "data");
        return;
    }
    buf_printf(out, "%d %d %zu ", (int)result, item->code, item->bytes.n);
    buf_append_slice(out, item->bytes);
}

static void read_all(struct slice bytes, size_t step, const struct deflate_terms *terms, struct buf *said) {
    static const struct reader_limits limits = {.max_message = MESSAGE_MAX, .max_frame = MESSAGE_MAX};
    struct reader r;
    reader_init(&r, &limits, terms);
    for (size_t at = 0; at < bytes.n; at += step) {
        struct reader_item item = {.code = 0};
        reader_feed(&r, slice_make(bytes.p + at, bytes.n - at < step ? bytes.n - at : step));
        for (enum reader_result result; (result = reader_next(&r, &item)) != READER_MORE;) {
            note(said, result, &item);
            item = (struct reader_item){.code = 0};
        }
    }
    reader_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf whole = {0}, pieces = {0};
    if (size < 3) return 0;
    struct deflate_terms terms = {.agreed = data[1] & 1, .client_takeover = data[1] & 2, .server_bits = 15};
    struct slice bytes = slice_make((const char *)data + 2, size - 2);
    read_all(bytes, bytes.n, &terms, &whole);
    read_all(bytes, (size_t)data[0] + 1, &terms, &pieces);
    require(slice_equal(buf_slice(&whole), buf_slice(&pieces)));
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
