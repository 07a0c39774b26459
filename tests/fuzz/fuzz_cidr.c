/* Any text as a network and as an address: a network that is one contains its own first address, and only its family.
 */
#include "gateway/blueprint/cidr.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_range(const struct cidr *range) {
    struct address first = {.family = range->family}, other = {.family = ADDRESS_LOCAL};
    assert(range->bits <= (range->family == ADDRESS_IPV4 ? 32u : range->family == ADDRESS_IPV6 ? 128u : 0u));
    memcpy(first.bytes, range->bytes, sizeof first.bytes);
    assert(cidr_contains(range, &first));
    assert(cidr_contains(range, &other) == (range->family == ADDRESS_LOCAL));
    if (range->bits == 0) return;
    first.bytes[(range->bits - 1) / 8] ^= (unsigned char)(0x80 >> ((range->bits - 1) % 8));
    assert(!cidr_contains(range, &first));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice text = slice_make((const char *)data, size);
    struct address address;
    struct cidr range;
    struct error e = {0};
    bool is_range = cidr_parse(text, &range, &e) == 0;
    if (is_range)
        check_range(&range);
    else
        assert(e.message[0]);
    /* What is an address is a network of one, unless it is a local socket's. */
    if (!address_parse(text, &address) || address.family == ADDRESS_LOCAL) return 0;
    assert(is_range && cidr_contains(&range, &address));
    return 0;
}
