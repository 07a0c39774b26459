#include "gateway/websocket/members.h"
#include "gateway/base/map.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include <assert.h>
#include <stdlib.h>

#define TAG_MAX 8

struct members {
    struct list open;
    struct map *ids;
    struct map *groups;                                                           /* name -> struct group */
    void (*on_group)(void *context, struct slice name, enum group_change change); /* NULL = nobody watches */
    void *group_context;
    char tag[TAG_MAX];
    size_t tag_size;
};
struct group {
    char *name;
    size_t name_size;
    struct list members;
};
struct membership {
    struct list_node group_node, own_node;
    struct group *group;
    struct member *member;
};

/* --- the table --- */

struct members *members_new(void) {
    struct members *all = xcalloc(1, sizeof *all);
    list_init(&all->open);
    all->ids = map_new();
    all->groups = map_new();
    return all;
}

void members_free(struct members *all) {
    if (!all) return;
    assert(list_empty(&all->open));
    map_free(all->ids);
    map_free(all->groups);
    free(all);
}

void members_enter(struct members *all, struct member *m) {
    m->all = all;
    list_init(&m->memberships);
    list_push(&all->open, &m->node);
    map_put(all->ids, member_id(m), m);
}

struct member *members_find(const struct members *all, struct slice id) {
    return id.n == WEBSOCKET_ID_SIZE ? map_get(all->ids, id) : NULL;
}

struct member *members_next(const struct members *all, const struct member *after) {
    struct list_node *node = after ? list_next(&all->open, &after->node) : list_first(&all->open);
    return node ? list_entry(node, struct member, node) : NULL;
}

size_t members_open(const struct members *all) {
    return all->open.length;
}

void members_tag(struct members *all, struct slice tag) {
    assert(tag.n <= sizeof all->tag);
    memcpy(all->tag, tag.p, tag.n);
    all->tag_size = tag.n;
}

void members_mark_id(const struct members *all, char *id) {
    memcpy(id, all->tag, all->tag_size);
}

void members_make_id(const struct members *all, struct clock *clock, char id[WEBSOCKET_ID_SIZE]) {
    clock_random_hex(clock, id, WEBSOCKET_ID_SIZE / 2);
    members_mark_id(all, id);
}

struct slice member_id(const struct member *m) {
    return slice_make(m->id, sizeof m->id);
}

/* --- groups --- */

static struct slice group_name(const struct group *g) {
    return slice_make(g->name, g->name_size);
}

static struct group *group_make(struct members *all, struct slice name) {
    struct group *g = map_get(all->groups, name);
    if (g) return g;
    g = xcalloc(1, sizeof *g);
    g->name = slice_dup(name);
    g->name_size = name.n;
    list_init(&g->members);
    map_put(all->groups, group_name(g), g);
    if (all->on_group) all->on_group(all->group_context, name, GROUP_BEGINS);
    return g;
}

static void group_look(struct members *all, struct group *g) {
    if (!list_empty(&g->members)) return;
    map_remove(all->groups, group_name(g));
    if (all->on_group) all->on_group(all->group_context, group_name(g), GROUP_ENDS);
    free(g->name);
    free(g);
}

static struct membership *membership_of(const struct member *m, struct slice name) {
    list_each (&m->memberships, node) {
        struct membership *own = list_entry(node, struct membership, own_node);
        if (slice_equal(group_name(own->group), name)) return own;
    }
    return NULL;
}

static void membership_end(struct membership *own) {
    struct group *g = own->group;
    struct members *all = own->member->all;
    list_remove(&own->group_node);
    list_remove(&own->own_node);
    free(own);
    group_look(all, g);
}

void members_watch_groups(struct members *all,
                          void (*on_change)(void *context, struct slice name, enum group_change change),
                          void *context) {
    all->on_group = on_change;
    all->group_context = context;
}

bool group_name_is_good(struct slice name) {
    if (name.n == 0 || name.n > WEBSOCKET_GROUP_MAX || text_utf8_prefix(name) != name.n) return false;
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < ' ' || name.p[i] == 0x7f) return false;
    return true;
}

enum group_result member_join(struct member *m, struct slice name) {
    if (!group_name_is_good(name)) return GROUP_BAD_NAME;
    if (membership_of(m, name)) return GROUP_ALREADY;
    if (m->memberships.length >= m->max_groups) return GROUP_TOO_MANY;
    struct membership *own = xcalloc(1, sizeof *own);
    own->member = m;
    own->group = group_make(m->all, name);
    list_push(&own->group->members, &own->group_node);
    list_push(&m->memberships, &own->own_node);
    return GROUP_OK;
}

bool member_leave(struct member *m, struct slice name) {
    struct membership *own = membership_of(m, name);
    if (!own) return false;
    membership_end(own);
    return true;
}

void members_part(struct member *m) {
    if (!m->all) return;
    map_remove(m->all->ids, member_id(m));
    for (struct list_node *node; (node = list_first(&m->memberships));)
        membership_end(list_entry(node, struct membership, own_node));
    list_remove(&m->node);
    m->all = NULL;
}

size_t members_group_size(const struct members *all, struct slice name) {
    const struct group *g = map_get(all->groups, name);
    return g ? g->members.length : 0;
}

size_t members_group_count(const struct members *all) {
    return map_count(all->groups);
}

/* One that is too slow leaves the group while it is gone through, and with the last the group itself goes. */
size_t members_broadcast(struct members *all, struct slice name, struct parcel *p, const struct member *except) {
    struct group *g = map_get(all->groups, name);
    size_t sent = 0;
    struct list_node *next;
    for (struct list_node *node = g ? list_first(&g->members) : NULL; node; node = next) {
        struct member *m = list_entry(node, struct membership, group_node)->member;
        next = list_next(&g->members, node);
        if (m != except && m->ops->send(m, p)) sent++;
    }
    return sent;
}

void member_each_group(const struct member *m, void (*on_group)(void *context, struct slice name), void *context) {
    list_each (&m->memberships, node)
        on_group(context, group_name(list_entry(node, struct membership, own_node)->group));
}

bool member_is_in(const struct member *m, struct slice name) {
    return membership_of(m, name) != NULL;
}

struct member *members_next_in(const struct members *all, struct slice name, const struct member *after) {
    const struct group *g = map_get(all->groups, name);
    if (!g) return NULL;
    struct list_node *node = after ? list_next(&g->members, &membership_of(after, name)->group_node)
                                   : list_first(&g->members);
    return node ? list_entry(node, struct membership, group_node)->member : NULL;
}
