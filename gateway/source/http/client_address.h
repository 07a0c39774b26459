/* client_address.h - who the client is, when proxies stand between it and us.
 *
 * A connection shows its peer. A peer in `trustedProxies` is believed what it says of the hop before it, and if that
 * hop is a trusted proxy too, what it says of the one before, and so on: the walk goes through the list from the
 * right, where the nearest proxy wrote, and the first address that is not trusted is the client. What stands further
 * left may have been made up by the client, and is never read. The walk also ends at an element that is malformed,
 * which says nothing, and at one that hides its client (`unknown`, `_name`): then the last known hop stands for the
 * client, so that the address is always a number.
 *
 * The lists are X-Forwarded-For (`192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`) and Forwarded (RFC
 * 7239, strictly). When both are there, X-Forwarded-For counts and Forwarded is not read: most proxies write the first
 * and pass the second on as the client sent it. A proxy that writes Forwarded must remove X-Forwarded-* therefore.
 *
 * Scheme and host come from the elements that were believed, the leftmost that tells them: `proto` and `host` of
 * Forwarded; with X-Forwarded-For the lists X-Forwarded-Proto and X-Forwarded-Host, whose elements belong to its own,
 * counted from the right.
 *
 * Pure. Of a peer that is not trusted, client_fields_drop takes all such fields out of the request, so that no handler
 * takes them for the truth.
 */
#pragma once
#include "gateway/base/fields.h"
#include "gateway/blueprint/cidr.h"

struct client_proxies {
    const struct cidr *trusted;
    size_t count;
};
struct client_view {
    char address[48];    /* numeric; "unix:" for a local socket */
    uint16_t port;       /* 0 = nobody said */
    struct slice scheme; /* "http" or "https"; absent = that of the connection */
    struct slice host;   /* absent = that of the request; lives as long as the fields and the arena */
};

/* False when the peer is not trusted: `out` then says nothing. */
bool client_view_find(struct client_view *out, const struct client_proxies *proxies, const struct client_view *peer,
                      const struct fields *f, struct arena *a);
/* Removes Forwarded, X-Forwarded-* and X-Real-IP. */
void client_fields_drop(struct fields *f);
