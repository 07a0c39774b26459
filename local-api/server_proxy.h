/* server_proxy.h - `mode: server`: the handler is an HTTP server; requests are proxied to it.
 *
 * It listens on 127.0.0.1:$PORT, or with `socket: inherited` on descriptor 3 (LISTEN_FDS). A worker is ready when its
 * port accepts a connection, an inherited socket at once. libcurl's multi interface (transfers.h) carries requests and
 * answers (proxy_request.h) on the loop, both bodies streamed with back-pressure. The answer reaches the client after
 * the end of its request, unless it is whole before that. Nothing is decoded, followed or invented on the way, and a
 * connection upgrade is not passed on.
 */
#pragma once
#include "gateway/loop/loop.h"
#include "gateway/pool/transport.h"

struct server_proxy; /* shared by all such pools: their transport context */
struct server_proxy *server_proxy_new(struct loop *l, struct log *log, struct error *e);
void server_proxy_free(struct server_proxy *s); /* NULL is fine */
extern const struct transport_ops server_transport;
