/* JSON both ways: reading never leaves the text, and what is written always reads back. */
#include "gateway/base/json_read.h"
#include "gateway/base/json_write.h"
#include "gateway/base/text.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds) {
    if (!holds) abort();
}

/* Walks the members of an object or an array, one level; true when all of it was well. */
static bool walk(struct slice text, struct arena *a) {
    struct json_read r;
    struct json_value value;
    struct slice name;
    int64_t number;
    json_read_init(&r, text);
    if (json_read_open(&r, '{')) {
        while (json_read_name(&r, a, &name)) {
            must(text_utf8_prefix(name) == name.n);
            if (!json_read_value(&r, &value)) break;
            must(value.raw.n && json_is_valid(value.raw));
        }
    } else if (json_read_open(&r, '[')) {
        while (json_read_element(&r)) {
            if (!json_read_value(&r, &value)) break;
            json_int_of(value, &number);
            if (value.kind == JSON_STRING) must(json_text_of(a, value).n + 2 <= value.raw.n);
        }
    } else
        json_read_value(&r, &value);
    bool well = json_read_end(&r);
    must(well == !r.error && r.at <= text.n);
    return well;
}

static void check_writing(struct slice text, struct arena *a) {
    struct buf out = {0};
    struct json_write w = json_write_to(&out);
    json_open(&w, '{');
    json_member(&w, text, text);
    json_name(&w, SLICE("n"));
    json_base64(&w, text);
    json_close(&w, '}');
    must(json_is_valid(buf_slice(&out)));
    out.n = 0;
    w = json_write_to(&out);
    json_text(&w, text);
    struct slice back = json_text_of(a, (struct json_value){JSON_STRING, buf_slice(&out)});
    must(text_utf8_prefix(back) == back.n);
    if (text_utf8_prefix(text) == text.n) must(slice_equal(back, text));
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice text = {(const char *)data, size};
    struct arena a;
    arena_init(&a, 256);
    must(walk(text, &a) == json_is_valid(text));
    check_writing(text, &a);
    arena_free(&a);
    return 0;
}
