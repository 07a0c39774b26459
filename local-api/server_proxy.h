/* server_proxy.h - `mode: server`: the handler is an HTTP server; requests are proxied to it.
 *
 * It listens on 127.0.0.1:$PORT, or with `socket: inherited` on descriptor 3 (LISTEN_FDS). A worker is ready when its
 * port accepts a connection. libcurl's multi interface carries requests and answers on the loop, both bodies streamed
 * with back-pressure.
 */
#pragma once
#include "gateway/loop/loop.h"
#include "gateway/pool/transport.h"

struct server_proxy; /* one curl multi handle for all such pools; a pool's transport context */
struct server_proxy *server_proxy_new(struct loop *l, struct log *log, struct error *e);
void server_proxy_free(struct server_proxy *s); /* NULL is fine */
extern const struct transport_ops server_transport;
