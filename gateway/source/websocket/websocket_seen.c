#include "gateway/source/websocket/websocket_seen.h"
#include "gateway/base/list.h"
#include "gateway/base/map.h"
#include <assert.h>
#include <stdlib.h>

struct seen {
    struct clock *clock;
    struct deadlines *deadlines;
    struct map *senders;
    struct list handled; /* of all senders, the oldest first */
    struct deadline sweep;
};
struct seen_sender {
    struct seen *seen;
    enum seen_scope scope;
    size_t holders, running;
    struct map *ids;
    struct list handled; /* the oldest first */
    size_t key_size;
    char key[];
};
struct seen_message {
    struct seen_sender *sender;
    struct list_node node, own_node; /* in both lists once it was handled */
    uint64_t until_ms;
    size_t id_size;
    char id[];
};

static uint64_t now_ms(const struct seen *s) {
    return clock_now_ms(s->clock);
}

/* --- forgetting --- */

static void sender_free_unused(struct seen_sender *sender) {
    if (sender->holders || sender->running || sender->handled.length) return;
    map_remove(sender->seen->senders, slice_make(sender->key, sender->key_size));
    map_free(sender->ids);
    free(sender);
}

static void message_remove(struct seen_message *m) {
    map_remove(m->sender->ids, slice_make(m->id, m->id_size));
    list_remove(&m->node);
    list_remove(&m->own_node);
    free(m);
}

static void forget(struct seen_message *m) {
    struct seen_sender *sender = m->sender;
    message_remove(m);
    sender_free_unused(sender);
}

static struct seen_message *oldest(const struct seen *s) {
    struct list_node *node = list_first(&s->handled);
    return node ? list_entry(node, struct seen_message, node) : NULL;
}

/* Windows differ from path to path: one that has passed may stand behind one that has not, and goes when it is asked
 * for, or later. */
static void sweep(struct seen *s) {
    struct seen_message *m;
    while ((m = oldest(s)) && (m->until_ms <= now_ms(s) || s->handled.length > SEEN_MOST)) forget(m);
    if (m)
        deadline_arm(s->deadlines, &s->sweep, m->until_ms);
    else
        deadline_disarm(s->deadlines, &s->sweep);
}

static void on_sweep(struct deadline *d) {
    sweep(container_of(d, struct seen, sweep));
}

/* --- life --- */

struct seen *seen_new(struct clock *clock, struct deadlines *deadlines) {
    struct seen *s = xcalloc(1, sizeof *s);
    s->clock = clock;
    s->deadlines = deadlines;
    s->senders = map_new();
    list_init(&s->handled);
    s->sweep.on_due = on_sweep;
    return s;
}

void seen_free(struct seen *s) {
    if (!s) return;
    for (struct seen_message *m; (m = oldest(s));) forget(m);
    assert(map_count(s->senders) == 0);
    deadline_disarm(s->deadlines, &s->sweep);
    map_free(s->senders);
    free(s);
}

size_t seen_count(const struct seen *s) {
    return s->handled.length;
}

struct seen_sender *seen_sender_hold(struct seen *s, struct slice key, enum seen_scope scope) {
    struct seen_sender *sender = map_get(s->senders, key);
    if (!sender) {
        sender = xcalloc(1, sizeof *sender + key.n);
        sender->seen = s;
        sender->ids = map_new();
        list_init(&sender->handled);
        sender->key_size = key.n;
        memcpy(sender->key, key.p, key.n);
        map_put(s->senders, key, sender);
    }
    sender->scope = scope;
    sender->holders++;
    return sender;
}

static void sender_forget_all(struct seen_sender *sender) {
    list_each (&sender->handled, node) message_remove(list_entry(node, struct seen_message, own_node));
}

void seen_sender_release(struct seen_sender *sender) {
    if (!sender || --sender->holders) return;
    if (sender->scope == SEEN_WHILE_HELD) sender_forget_all(sender);
    sender_free_unused(sender);
}

/* --- messages --- */

static bool is_running(const struct seen_message *m) {
    return m->own_node.list == NULL;
}

static struct seen_message *message_new(struct seen_sender *sender, struct slice id) {
    struct seen_message *m = xcalloc(1, sizeof *m + id.n);
    m->sender = sender;
    m->id_size = id.n;
    memcpy(m->id, id.p, id.n);
    map_put(sender->ids, id, m);
    sender->running++;
    return m;
}

enum seen_verdict seen_begin(struct seen_sender *sender, struct slice id, struct seen_message **message) {
    struct seen_message *m = map_get(sender->ids, id);
    if (m && is_running(m)) return SEEN_RUNNING;
    if (m && m->until_ms > now_ms(sender->seen)) return SEEN_HANDLED;
    if (m) message_remove(m);
    *message = message_new(sender, id);
    return SEEN_NEVER;
}

void seen_settle(struct seen_message *m, uint64_t window_ms) {
    struct seen_sender *sender = m->sender;
    struct seen *s = sender->seen;
    bool keep = window_ms && (sender->holders || sender->scope == SEEN_LASTS);
    sender->running--;
    if (!keep) {
        forget(m);
        return;
    }
    m->until_ms = now_ms(s) + window_ms;
    list_push(&s->handled, &m->node);
    list_push(&sender->handled, &m->own_node);
    if (sender->handled.length > SEEN_PER_SENDER)
        message_remove(list_entry(list_first(&sender->handled), struct seen_message, own_node));
    sweep(s);
}
