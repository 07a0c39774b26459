/* One field per line, as "name:value". Whatever stands there, the verdict has a detail exactly when it refuses, what
 * passes can be accepted, and what is agreed on was offered. */
#include "gateway/base/arena.h"
#include "gateway/base/http_text.h"
#include "gateway/websocket/handshake.h"
#include <stdlib.h>

static void require(bool condition) {
    if (!condition) abort();
}

static void read_fields(struct fields *f, struct arena *a, struct slice text) {
    struct slice line, name;
    while (slice_next(&text, '\n', &line)) {
        if (!slice_next(&line, ':', &name) || slice_is_none(line)) continue;
        fields_add(f, a, name, slice_trim(line));
    }
}

static void check_extension(const struct fields *f) {
    struct buf said = {0};
    for (int mode = DEFLATE_OFF; mode <= DEFLATE_CONNECTION; mode++) {
        struct deflate_terms t = deflate_negotiate(f, (enum deflate_mode)mode);
        require(!t.agreed || (mode != DEFLATE_OFF && t.server_bits >= 9 && t.server_bits <= 15));
        if (!t.agreed) continue;
        deflate_write_terms(&said, &t);
        require(http_is_field_value(buf_slice(&said)));
        said.n = 0;
    }
    buf_free(&said);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct slice wanted[] = {{"chat", 4}, {"soap", 4}};
    struct arena a;
    struct fields f = {0};
    char accept[HANDSHAKE_ACCEPT_SIZE + 1];
    arena_init(&a, 1024);
    read_fields(&f, &a, slice_make((const char *)data, size));
    const struct handshake_request r = {SLICE("GET"), SLICE("HTTP/1.1"), handshake_is_asked(&f), &f};
    struct handshake_verdict v = handshake_check(&r);
    require((v.failure == FAILURE_NONE) == (v.detail == NULL));
    if (v.failure == FAILURE_NONE) {
        handshake_accept(&f, accept);
        require(accept[HANDSHAKE_ACCEPT_SIZE - 1] == '=' && accept[HANDSHAKE_ACCEPT_SIZE] == '\0');
    }
    struct slice chosen = handshake_choose(&f, wanted, 2);
    require(slice_is_none(chosen) || handshake_offers(&f, chosen));
    check_extension(&f);
    arena_free(&a);
    return 0;
}
