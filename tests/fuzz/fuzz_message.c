/* Heads of answers and CGI documents: cut anywhere they only become incomplete, and what is accepted is exact. */
#include "gateway/base/http_text.h"
#include "local-api/http_message.h"
#include <assert.h>

static void check_complete(const struct response_head *head, struct slice text) {
    assert(head->size > 0 && head->size <= text.n && text.p[head->size - 1] == '\n');
    assert(head->fields.count <= HTTP_MESSAGE_MAX_FIELDS);
    for (size_t i = 0; i < head->fields.count; i++) {
        const struct field *f = &head->fields.items[i];
        assert(http_is_token(f->name) && http_is_field_value(f->value));
        assert(f->name.p >= text.p && f->value.p + f->value.n <= text.p + head->size);
    }
}

typedef enum head_result parse(struct response_head *, struct arena *, struct slice, struct error *);

static void check(parse *parse_head, struct arena *a, struct slice text) {
    struct response_head whole, cut;
    struct error e;
    if (parse_head(&whole, a, text, &e) != HEAD_COMPLETE) return;
    check_complete(&whole, text);
    /* Neither less nor more text changes it. */
    assert(parse_head(&cut, a, slice_make(text.p, whole.size), &e) == HEAD_COMPLETE && cut.size == whole.size);
    assert(parse_head(&cut, a, slice_make(text.p, whole.size - 1), &e) == HEAD_INCOMPLETE);
    assert(parse_head(&cut, a, slice_make(text.p, whole.size / 2), &e) == HEAD_INCOMPLETE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct slice text = slice_make((const char *)data, size);
    arena_init(&a, 4096);
    check(response_head_parse, &a, text);
    check(cgi_head_parse, &a, text);
    arena_free(&a);
    return 0;
}
