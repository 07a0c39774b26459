/* redis_link.h - one connection to Redis that is made again whenever it breaks.
 *
 * hiredis' asynchronous connection on our loop. Commands of one turn of the loop leave in one write; answers come in
 * their order, on the turn. A connection that cannot be made or breaks is tried again after 100 ms, twice that, and so
 * on to 10 s, each time a random part of it, until it was of use (redis_link_settled). One that owes an answer for
 * SILENCE_TICKS seconds is broken: seconds in which the loop ran, so that a gateway that was itself stopped blames
 * nobody.
 *
 *   RESTING -> RESOLVING -> CONNECTING -> OPEN -> RESTING ...
 *
 * A connection may be one that listens to a channel instead: then it sends no commands. It repeats its subscription
 * every few seconds, so one to which nothing comes is broken, too.
 *
 * The owner is told of each change: on_open, where it sends what every connection begins with (user, password and
 * database have been sent already), and on_down, after every command under way was answered with NULL.
 */
#pragma once
#include "gateway/base/list.h"
#include "gateway/base/redis_address.h"
#include "gateway/loop/loop.h"
#include <stdbool.h>

struct redisReply;
/* Part of whoever waits for an answer; NULL = the connection broke, nobody knows what came of it. */
struct redis_wait {
    void (*on_reply)(struct redis_wait *w, const struct redisReply *reply);
};

struct redis_link_owner {
    void *context;
    void (*on_open)(void *context);
    void (*on_down)(void *context, const char *why);
    void (*on_room)(void *context); /* commands may be sent again */
    void (*on_tick)(void *context); /* each second, in any state */
};

struct redis_link;
/* Begins at once; nobody is called back before it returns. The address outlives the link. */
struct redis_link *redis_link_new(struct loop *loop, const struct redis_address *address,
                                  struct redis_link_owner owner);
/* Open, and not too much is waiting to be written. */
bool redis_link_has_room(const struct redis_link *l);
/* One command in Redis' protocol; only while open. */
void redis_link_send(struct redis_link *l, struct slice command, struct redis_wait *w);
/* Only while open, and again after each on_open: `w` is called with each message, {"message", channel, bytes}, and with
 * what else Redis says on such a connection. */
void redis_link_subscribe(struct redis_link *l, struct slice channel, struct redis_wait *w);
/* What keeps others from connecting may be over: does not rest any longer. */
void redis_link_hurry(struct redis_link *l);
/* The connection is of use: the next time it breaks, the first try comes soon. */
void redis_link_settled(struct redis_link *l);
/* Breaks the connection, because of what was answered. */
void redis_link_fail(struct redis_link *l, const char *why);
/* Nothing may be under way. Nobody is called back any more; NULL is fine. */
void redis_link_free(struct redis_link *l);
