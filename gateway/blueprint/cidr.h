/* cidr.h - network addresses and ranges of them, as numbers.
 *
 * An address is IPv4, IPv6, or that of a local socket, which has no bytes. An IPv4 address that is written as
 * IPv6 (::ffff:10.0.0.1, as dual-stack sockets report it) is the IPv4 address, so that one range covers both
 * spellings. A range is the first bits that all its addresses share; `unix` stands for all local sockets.
 *
 * Pure: names are never resolved.
 */
#pragma once
#include "gateway/base/error.h"
#include "gateway/base/slice.h"

enum address_family { ADDRESS_IPV4, ADDRESS_IPV6, ADDRESS_LOCAL };
struct address {
    enum address_family family;
    unsigned char bytes[16]; /* network order; 4 for IPv4 */
};
struct cidr {
    enum address_family family;
    unsigned char bytes[16]; /* those beyond `bits` are 0 */
    unsigned bits;           /* 0 to 32 or 128 */
};

/* "192.0.2.1", "2001:db8::1", "unix:" with anything behind it; no port, no brackets, no zone. False when it is none. */
bool address_parse(struct slice text, struct address *out);
/* "10.0.0.0/8", "2001:db8::/32", one address, or "unix". Bits beyond the prefix must be 0. */
int cidr_parse(struct slice text, struct cidr *out, struct error *e) MUST_CHECK;
bool cidr_contains(const struct cidr *range, const struct address *address);
/* In any of them. */
bool cidr_list_contains(const struct cidr *ranges, size_t count, const struct address *address);
