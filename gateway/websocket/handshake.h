/* handshake.h - the opening handshake from the server's side (RFC 6455 4.2), without its connection.
 *
 * A request that asks for a WebSocket in the right way has an answer: 101 with Sec-WebSocket-Accept, perhaps a
 * subprotocol, perhaps permessage-deflate. One that does not has a failure that says what was wrong. That it asked at
 * all (Connection: Upgrade, Upgrade: websocket) the caller knows, because those fields end at the gateway.
 */
#pragma once
#include "gateway/invocation/failure.h"
#include "gateway/websocket/deflate.h"

#define HANDSHAKE_KEY_SIZE 24
#define HANDSHAKE_ACCEPT_SIZE 28

/* True when Connection and Upgrade ask for a WebSocket. */
bool handshake_is_asked(const struct fields *headers);

struct handshake_request {
    struct slice method, version;
    bool asked;
    const struct fields *headers;
};
struct handshake_verdict {
    enum failure failure; /* NONE = well-formed */
    const char *detail;
};
struct handshake_verdict handshake_check(const struct handshake_request *r);
/* Of a well-formed request. */
void handshake_accept(const struct fields *headers, char accept[HANDSHAKE_ACCEPT_SIZE + 1]);
/* Whether the client offers this subprotocol. */
bool handshake_offers(const struct fields *headers, struct slice protocol);
/* The first of `protocols` that the client offers, or absent. */
struct slice handshake_choose(const struct fields *headers, const struct slice *protocols, size_t count);
/* Whether Origin names the place that the request went to: what no list allows. `scheme` is "http" or "https". */
bool handshake_same_origin(struct slice origin, struct slice scheme, struct slice host);
