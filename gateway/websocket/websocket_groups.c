#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/websocket/websocket_private.h"
#include <stdlib.h>

/* A room: it is made by the first who joins and gone with the last who leaves. */
struct group {
    char *name;
    size_t name_size;
    struct list members;
};
struct membership {
    struct list_node group_node, own_node;
    struct group *group;
    struct websocket *websocket;
};

static struct slice group_name(const struct group *g) {
    return slice_make(g->name, g->name_size);
}

static struct group *group_make(struct websockets *all, struct slice name) {
    struct group *g = map_get(all->groups, name);
    if (g) return g;
    g = xcalloc(1, sizeof *g);
    g->name = slice_dup(name);
    g->name_size = name.n;
    list_init(&g->members);
    map_put(all->groups, group_name(g), g);
    if (all->on_group) all->on_group(all->group_context, group_name(g), GROUP_BEGINS);
    return g;
}

static void group_look(struct websockets *all, struct group *g) {
    if (!list_empty(&g->members)) return;
    map_remove(all->groups, group_name(g));
    if (all->on_group) all->on_group(all->group_context, group_name(g), GROUP_ENDS);
    free(g->name);
    free(g);
}

static struct membership *membership_of(const struct websocket *ws, struct slice name) {
    list_each (&ws->memberships, node) {
        struct membership *m = list_entry(node, struct membership, own_node);
        if (slice_equal(group_name(m->group), name)) return m;
    }
    return NULL;
}

static void membership_end(struct membership *m) {
    struct group *g = m->group;
    struct websockets *all = m->websocket->all;
    list_remove(&m->group_node);
    list_remove(&m->own_node);
    free(m);
    group_look(all, g);
}

void websockets_watch_groups(struct websockets *all,
                             void (*on_change)(void *context, struct slice name, enum group_change change),
                             void *context) {
    all->on_group = on_change;
    all->group_context = context;
}

static bool name_is_good(struct slice name) {
    if (name.n == 0 || name.n > WEBSOCKET_GROUP_MAX || text_utf8_prefix(name) != name.n) return false;
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < ' ' || name.p[i] == 0x7f) return false;
    return true;
}

enum group_result websocket_join(struct websocket *ws, struct slice name) {
    if (!name_is_good(name)) return GROUP_BAD_NAME;
    if (membership_of(ws, name)) return GROUP_ALREADY;
    if (ws->memberships.length >= ws->rules.max_groups) return GROUP_TOO_MANY;
    struct membership *m = xcalloc(1, sizeof *m);
    m->websocket = ws;
    m->group = group_make(ws->all, name);
    list_push(&m->group->members, &m->group_node);
    list_push(&ws->memberships, &m->own_node);
    return GROUP_OK;
}

bool websocket_leave(struct websocket *ws, struct slice name) {
    struct membership *m = membership_of(ws, name);
    if (!m) return false;
    membership_end(m);
    return true;
}

void websocket_leave_all(struct websocket *ws) {
    for (struct list_node *node; (node = list_first(&ws->memberships));)
        membership_end(list_entry(node, struct membership, own_node));
}

size_t websockets_group_size(const struct websockets *all, struct slice name) {
    const struct group *g = map_get(all->groups, name);
    return g ? g->members.length : 0;
}

/* One that is too slow leaves the group while it is gone through, and with the last the group itself goes. */
size_t websockets_broadcast(struct websockets *all, struct slice name, struct parcel *p,
                            const struct websocket *except) {
    struct group *g = map_get(all->groups, name);
    size_t sent = 0;
    struct list_node *next;
    for (struct list_node *node = g ? list_first(&g->members) : NULL; node; node = next) {
        struct membership *m = list_entry(node, struct membership, group_node);
        next = list_next(&g->members, node);
        if (m->websocket != except && websocket_send(m->websocket, p)) sent++;
    }
    return sent;
}

void websocket_each_group(const struct websocket *ws, void (*on_group)(void *context, struct slice name),
                          void *context) {
    list_each (&ws->memberships, node)
        on_group(context, group_name(list_entry(node, struct membership, own_node)->group));
}
