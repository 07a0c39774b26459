/* proxy_header.h - the header that a proxy sends before a connection's own bytes (PROXY protocol, versions 1 and 2).
 *
 * A proxy that forwards bytes tells with it whom it forwards for. Version 1 is a line of text, version 2 is binary:
 *
 *   1   PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 CRLF      TCP6 likewise, or UNKNOWN and anything; at most 107 bytes
 *   2   a signature of 12 bytes, version and command, family and protocol, length, addresses, TLVs
 *
 * LOCAL (the proxy's own connection, a health check), UNKNOWN and families that carry no stream address name nobody:
 * the connection's own address stays. TLVs are skipped. What is not exactly a header is BAD: the receiver must not
 * guess, because the sender could be anyone (section 2 of the specification).
 *
 * Pure. Parsing starts over with each call; the caller keeps the bytes, of which nothing beyond the header is needed.
 */
#pragma once
#include "gateway/source/listen/peer.h"

#define PROXY_HEADER_MAX (16 + 4096) /* a longer one is refused */

enum proxy_progress { PROXY_HEADER_MORE, PROXY_HEADER_DONE, PROXY_HEADER_BAD };
struct proxy_header {
    size_t size;        /* of the header in bytes, once DONE */
    bool names_client;  /* `client` counts */
    struct peer client; /* address, port, local */
    const char *flaw;   /* what is wrong when BAD; static text */
};
/* `bytes` is what has come so far, from the connection's first byte on. MORE only while `bytes` is all header. */
enum proxy_progress proxy_header_parse(struct slice bytes, struct proxy_header *out);
