#include "gateway/source/listen/peer.h"
#include "gateway/base/memory.h"
#include <arpa/inet.h>
#include <stdlib.h>

void peer_set_ipv4(struct peer *p, const void *bytes, uint16_t port) {
    inet_ntop(AF_INET, bytes, p->address, sizeof p->address);
    p->port = port;
    p->local = false;
}

void peer_set_ipv6(struct peer *p, const void *bytes, uint16_t port) {
    struct in6_addr address;
    memcpy(&address, bytes, sizeof address);
    if (IN6_IS_ADDR_V4MAPPED(&address)) {
        peer_set_ipv4(p, &address.s6_addr[12], port);
        return;
    }
    inet_ntop(AF_INET6, &address, p->address, sizeof p->address);
    p->port = port;
    p->local = false;
}

void peer_set_local(struct peer *p) {
    memcpy(p->address, "unix:", sizeof "unix:");
    p->port = 0;
    p->local = true;
}

struct peer_tls *peer_tls_new(int wire) {
    struct peer_tls *t = xcalloc(1, sizeof *t);
    t->references = 1;
    t->wire = wire;
    return t;
}

struct peer_tls *peer_tls_hold(struct peer_tls *t) {
    t->references++;
    return t;
}

void peer_ear_tell(const struct peer_ear *ear) {
    if (ear->on_told) ear->on_told(ear->context);
}

void peer_tls_release(struct peer_tls *t) {
    if (!t || --t->references > 0) return;
    free(t->subject);
    free(t);
}
