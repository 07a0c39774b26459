/* members.h - open connections that take messages, of whatever kind, and the groups that they are in.
 *
 * A WebSocket is one kind, an event stream that the gateway holds (event_stream/event_streams.h) is the other. Whoever
 * sends, lists, closes or groups connections need not know which: a member is embedded in its connection, and a table
 * of functions says what its kind does. It is entered when it is open and parts when it is not any more; from then on
 * nobody finds it by its id, and it is in no group.
 *
 * A group is a room: it is made by the first who joins and gone with the last who leaves. What is sent to a group is
 * made once for each kind and held by all (struct parcel, websockets.h).
 */
#pragma once
#include "gateway/base/clock.h"
#include "gateway/base/list.h"
#include "gateway/base/slice.h"

#define WEBSOCKET_ID_SIZE 32
#define WEBSOCKET_GROUP_MAX 128 /* bytes of a group's name */

struct identity;
struct member;
struct members;
struct parcel;

/* What is known of an open connection. Slices live as long as it does. */
struct member_facts {
    struct slice path, client_address;
    struct slice user_agent, protocol; /* absent = none */
    struct identity *identity;         /* NULL = nobody asked */
    uint64_t connected_ms;             /* Unix time */
    uint64_t active_ms;                /* Unix time of the last message either way */
    uint64_t outbound;                 /* bytes that wait for it */
};

struct member_ops {
    const char *kind;
    /* False when it is not open any more, or was closed because it is too slow. */
    bool (*send)(struct member *m, struct parcel *p);
    void (*close)(struct member *m, int code, struct slice reason);
    struct member_facts (*facts)(struct member *m);
};

struct member {
    struct list_node node; /* of those that are open, in the order in which they came */
    struct members *all;   /* NULL while it is not open */
    const struct member_ops *ops;
    char id[WEBSOCKET_ID_SIZE];
    struct list memberships;
    uint64_t max_groups;
};

struct members *members_new(void);
void members_free(struct members *all); /* none may be open; NULL is fine */
/* Its ops, id and max_groups are set. */
void members_enter(struct members *all, struct member *m);
void members_part(struct member *m);                                     /* idempotent */
struct member *members_find(const struct members *all, struct slice id); /* an open one, or NULL */
/* `after` NULL = the first. NULL at the end. */
struct member *members_next(const struct members *all, const struct member *after);
size_t members_open(const struct members *all);
/* What ids begin with from now on, instead of that many random digits: a node's tag (cluster.h), at most 8. */
void members_tag(struct members *all, struct slice tag);
/* Instead of the first digits of somebody else's id. */
void members_mark_id(const struct members *all, char *id);
void members_make_id(const struct members *all, struct clock *clock, char id[WEBSOCKET_ID_SIZE]);
struct slice member_id(const struct member *m);

/* --- groups --- */
/* Called when the first has come into a group and when the last has left it. One such watcher. */
enum group_change { GROUP_BEGINS, GROUP_ENDS };
void members_watch_groups(struct members *all,
                          void (*on_change)(void *context, struct slice name, enum group_change change), void *context);
enum group_result { GROUP_OK, GROUP_ALREADY, GROUP_BAD_NAME, GROUP_TOO_MANY };
bool group_name_is_good(struct slice name);
enum group_result member_join(struct member *m, struct slice group);
bool member_leave(struct member *m, struct slice group); /* false when it was not in it */
size_t members_group_size(const struct members *all, struct slice group);
size_t members_group_count(const struct members *all); /* that have somebody in them */
/* To everybody in it but `except` (NULL = nobody). How many took it. */
size_t members_broadcast(struct members *all, struct slice group, struct parcel *p, const struct member *except);
bool member_is_in(const struct member *m, struct slice group);
/* Those in it, in the order in which they joined; `after`, which is in it, NULL = the first. NULL at the end. */
struct member *members_next_in(const struct members *all, struct slice group, const struct member *after);
/* Calls with each group that it is in. */
void member_each_group(const struct member *m, void (*on_group)(void *context, struct slice name), void *context);
