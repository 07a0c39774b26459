/* One line of input per part of a head: method, target, version, then fields as "name:value". The verdict must be
 * FAILURE_NONE exactly when there is no detail, and what passes must have the properties that the router and the
 * handlers rely on. */
#include "gateway/base/http_text.h"
#include "gateway/source/http/http_check.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
    if (!condition) abort();
}

static void require_sound(const struct http_head *head) {
    require(http_is_token(head->method) && head->target.n > 0);
    require(fields_count(head->fields, SLICE("Host")) <= 1);
    require(fields_count(head->fields, SLICE("Content-Length")) +
                fields_count(head->fields, SLICE("Transfer-Encoding")) <=
            1);
    for (size_t i = 0; i < head->fields->count; i++) {
        require(http_is_token(head->fields->items[i].name));
        require(memchr(head->fields->items[i].value.p, '\0', head->fields->items[i].value.n) == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    arena_init(&a, 4096);
    struct slice rest = slice_make((const char *)data, size), line, name;
    struct fields fields = {0};
    struct http_head head = {SLICE(""), SLICE(""), SLICE(""), &fields};
    struct slice *parts[] = {&head.method, &head.target, &head.version};
    for (size_t i = 0; i < 3 && slice_next(&rest, '\n', &line); i++) *parts[i] = line;
    while (slice_next(&rest, '\n', &line)) {
        slice_next(&line, ':', &name);
        fields_add(&fields, &a, name, slice_is_none(line) ? SLICE("") : line);
    }
    struct http_verdict v = http_check(&head);
    require((v.failure == FAILURE_NONE) == (v.detail == NULL));
    if (v.failure == FAILURE_NONE) require_sound(&head);
    arena_free(&a);
    return 0;
}
