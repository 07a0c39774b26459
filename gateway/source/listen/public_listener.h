/* public_listener.h - the listeners of the public side, and how they change while clients are connected.
 *
 * A public listener is a socket, the stages that its connections pass (stage.h), and the group of those that have
 * become HTTP. public_listeners_change compares what is there with what should be: a socket at the same place stays,
 * whatever else is new about it, so that no connection and nobody in its backlog is lost. One that is gone closes its
 * socket and is kept, draining, until the last of its connections has ended.
 */
#pragma once
#include "gateway/source/http/http_server.h"
#include "gateway/source/listen/stage.h"

struct public_listeners;
struct public_listener {
    struct public_listeners *all;
    struct listener *socket; /* NULL = no longer accepts */
    struct http_group group; /* its connections; the group's context is the listener */
    struct stage_plan plan;
    struct listener_config config; /* what it points to is lent */
};

struct public_listeners_config {
    struct loop *loop;
    struct log *log;
    struct stages *stages;
    void (*on_accepted)(void *context); /* a client was accepted and is in the stages */
    void *context;
};
struct public_listeners *public_listeners_new(const struct public_listeners_config *c);
int public_listeners_add(struct public_listeners *ls, const struct listener_config *c, struct error *e) MUST_CHECK;
/* Changes nothing when it fails. */
int public_listeners_change(struct public_listeners *ls, const struct listener_config *configs, size_t count,
                            struct error *e) MUST_CHECK;
/* Peers that may send a PROXY header; NULL = all may. Lent. */
void public_listeners_trust(struct public_listeners *ls, const struct cidr *trusted, size_t count);
size_t public_listeners_count(const struct public_listeners *ls);
struct public_listener *public_listeners_at(const struct public_listeners *ls, size_t index);
/* Where clients find us over TLS: the first such listener's port, the usual one when there is none. */
uint16_t public_listeners_https_port(const struct public_listeners *ls);
void public_listeners_pause(struct public_listeners *ls);
void public_listeners_resume(struct public_listeners *ls);
/* A connection has ended: forgets listeners that are gone and have no more of them. */
void public_listeners_sweep(struct public_listeners *ls);
void public_listeners_close(struct public_listeners *ls); /* the sockets; idempotent; NULL is fine */
void public_listeners_abort(struct public_listeners *ls); /* breaks every connection off that has become HTTP */
void public_listeners_free(struct public_listeners *ls);  /* no connection may be left; NULL is fine */
