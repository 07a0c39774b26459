/* listener.h - sockets that accept, for the public side and for handlers' endpoints alike.
 *
 * Accepting is ours, not libmicrohttpd's: an accepted socket is non-blocking, close-on-exec,
 * TCP_NODELAY, and is handed to on_accept, which owns it from then on. At most 64 are accepted per loop turn. When
 * descriptors run out (EMFILE) accepting pauses for 100 ms instead of spinning. A full house pauses a listener, so
 * newcomers wait in the backlog.
 */
#pragma once
#include "gateway/blueprint/model.h"
#include "gateway/loop/loop.h"
#include "gateway/source/listen/peer.h"
#include <sys/socket.h>

struct listener;
/* Binds and listens. A stale Unix socket file (nobody accepts on it) is replaced; a live one is an error. */
struct listener *listener_open(struct loop *l, const struct listener_config *c,
                               void (*on_accept)(void *context, int take_fd, const struct peer *peer), void *context,
                               struct error *e);
/* "127.0.0.1:41234" or "unix:/run/x.sock": what was really bound. */
const char *listener_address(const struct listener *l);
uint16_t listener_port(const struct listener *l);
void listener_pause(struct listener *l);
void listener_resume(struct listener *l);
void listener_close(struct listener *l); /* unlinks a Unix socket file that it made; NULL is fine */
