#include "gateway/blueprint/cidr.h"
#include <arpa/inet.h>

#define ADDRESS_TEXT_MAX 45 /* the longest IPv6 address: an IPv4 one in its last 32 bits */
#define MAPPED_BITS 96

static const unsigned char mapped_prefix[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}; /* RFC 4291 2.5.5.2 */

static unsigned family_bits(enum address_family family) {
    return family == ADDRESS_IPV4 ? 32 : family == ADDRESS_IPV6 ? 128 : 0;
}

static bool is_mapped(const unsigned char bytes[16]) {
    return memcmp(bytes, mapped_prefix, sizeof mapped_prefix) == 0;
}

/* As written: an IPv4 address in IPv6 form stays IPv6. */
static bool address_read(struct slice text, struct address *out) {
    char copy[ADDRESS_TEXT_MAX + 1];
    *out = (struct address){.family = ADDRESS_IPV4};
    if (text.n == 0 || text.n > ADDRESS_TEXT_MAX || memchr(text.p, '\0', text.n)) return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    if (inet_pton(AF_INET, copy, out->bytes) == 1) return true;
    out->family = ADDRESS_IPV6;
    return inet_pton(AF_INET6, copy, out->bytes) == 1;
}

bool address_parse(struct slice text, struct address *out) {
    if (slice_starts_with(text, SLICE("unix:"))) {
        *out = (struct address){.family = ADDRESS_LOCAL};
        return true;
    }
    if (!address_read(text, out)) return false;
    if (out->family == ADDRESS_IPV6 && is_mapped(out->bytes)) {
        struct address mapped = {.family = ADDRESS_IPV4};
        memcpy(mapped.bytes, out->bytes + sizeof mapped_prefix, 4);
        *out = mapped;
    }
    return true;
}

/* Of byte `index` of an address, the bits that belong to the prefix. */
static unsigned char byte_mask(unsigned bits, size_t index) {
    unsigned before = (unsigned)index * 8;
    if (bits <= before) return 0;
    unsigned kept = bits - before < 8 ? bits - before : 8;
    return (unsigned char)(0xffu << (8 - kept));
}

/* True when all bits beyond the prefix were 0 already. */
static bool clear_host_bits(unsigned char bytes[16], unsigned bits) {
    bool clean = true;
    for (size_t i = 0; i < 16; i++) {
        unsigned char kept = bytes[i] & byte_mask(bits, i);
        clean = clean && kept == bytes[i];
        bytes[i] = kept;
    }
    return clean;
}

static int refuse_host_bits(const struct cidr *range, struct slice text, struct error *e) {
    char network[INET6_ADDRSTRLEN] = "";
    inet_ntop(range->family == ADDRESS_IPV4 ? AF_INET : AF_INET6, range->bytes, network, sizeof network);
    return error_set(e, ERROR_FORMAT, "\"" SLICE_FMT "\" names one address of a network; write %s/%u for the network",
                     SLICE_ARG(text), network, range->bits);
}

/* ::ffff:10.0.0.0/104 is 10.0.0.0/8. */
static void unmap(struct cidr *range) {
    if (range->family != ADDRESS_IPV6 || range->bits < MAPPED_BITS || !is_mapped(range->bytes)) return;
    struct cidr mapped = {.family = ADDRESS_IPV4, .bits = range->bits - MAPPED_BITS};
    memcpy(mapped.bytes, range->bytes + sizeof mapped_prefix, 4);
    *range = mapped;
}

static int bits_parse(struct slice text, struct slice whole, enum address_family family, unsigned *bits,
                      struct error *e) {
    uint64_t number = 0;
    *bits = family_bits(family);
    if (slice_is_none(text)) return 0;
    if (text.n > 3 || !slice_to_u64(text, &number) || number > *bits) {
        return error_set(e, ERROR_FORMAT, "\"" SLICE_FMT "\": the prefix length is a number from 0 to %u",
                         SLICE_ARG(whole), *bits);
    }
    *bits = (unsigned)number;
    return 0;
}

int cidr_parse(struct slice text, struct cidr *out, struct error *e) {
    struct slice rest = text, network = SLICE_NONE;
    struct address address;
    *out = (struct cidr){.family = ADDRESS_LOCAL};
    if (slice_equal(text, SLICE("unix"))) return 0;
    slice_next(&rest, '/', &network);
    if (!address_read(network, &address)) {
        return error_set(e, ERROR_FORMAT,
                         "\"" SLICE_FMT "\" is no network; expected one such as 10.0.0.0/8, 2001:db8::/32 or unix",
                         SLICE_ARG(text));
    }
    out->family = address.family;
    memcpy(out->bytes, address.bytes, sizeof out->bytes);
    int status = bits_parse(rest, text, address.family, &out->bits, e);
    if (status < 0) return status;
    if (!clear_host_bits(out->bytes, out->bits)) return refuse_host_bits(out, text, e);
    unmap(out);
    return 0;
}

bool cidr_contains(const struct cidr *range, const struct address *address) {
    if (range->family != address->family) return false;
    for (size_t i = 0; i * 8 < range->bits; i++) {
        if ((address->bytes[i] & byte_mask(range->bits, i)) != range->bytes[i]) return false;
    }
    return true;
}

bool cidr_list_contains(const struct cidr *ranges, size_t count, const struct address *address) {
    for (size_t i = 0; i < count; i++) {
        if (cidr_contains(&ranges[i], address)) return true;
    }
    return false;
}
