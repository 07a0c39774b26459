/* Whatever comes as a PROXY header. A verdict stands: what is DONE or BAD does not change when more bytes come, and
 * every shorter beginning of a header that is DONE asks for more. */
#include "gateway/source/listen/proxy_header.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
    if (!condition) abort();
}

static void require_sound(const struct proxy_header *h, size_t size) {
    require(h->size > 0 && h->size <= size && h->size <= PROXY_HEADER_MAX);
    require(h->names_client == (h->client.address[0] != '\0'));
    require(strnlen(h->client.address, sizeof h->client.address) < sizeof h->client.address);
    require(h->client.local == (strcmp(h->client.address, "unix:") == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct proxy_header whole, part;
    struct slice bytes = slice_make((const char *)data, size);
    enum proxy_progress progress = proxy_header_parse(bytes, &whole);
    require(progress != PROXY_HEADER_MORE || size < PROXY_HEADER_MAX);
    require((progress == PROXY_HEADER_BAD) == (whole.flaw != NULL));
    if (progress == PROXY_HEADER_DONE) require_sound(&whole, size);
    size_t until = progress == PROXY_HEADER_DONE ? whole.size : size;
    for (size_t n = 0; n < until && n < 512; n++) {
        enum proxy_progress before = proxy_header_parse(slice_make(bytes.p, n), &part);
        require(before == PROXY_HEADER_MORE || (before == PROXY_HEADER_BAD && progress == PROXY_HEADER_BAD));
        if (before == PROXY_HEADER_BAD) break;
    }
    return 0;
}
