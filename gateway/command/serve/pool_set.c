#include "gateway/command/serve/pool_set.h"
#include "gateway/base/file.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/compare.h"
#include "gateway/observe/status.h"
#include <assert.h>
#include <stdlib.h>

struct pool_set {
    struct pool_set_config config;
    struct list held, leaving;
};

struct shared_pool {
    struct list_node node;
    struct pool_set *set;
    unsigned references; /* 0 = it leaves */
    bool forsaken;
    struct blueprint *blueprint;
    struct file_stamp executable; /* when the pool was made */
    struct pool *pool;
};

struct pool_set *pool_set_new(const struct pool_set_config *c) {
    struct pool_set *s = xcalloc(1, sizeof *s);
    s->config = *c;
    list_init(&s->held);
    list_init(&s->leaving);
    return s;
}

static void shared_pool_free(struct shared_pool *p) {
    list_remove(&p->node);
    pool_free(p->pool);
    blueprint_release(p->blueprint);
    free(p);
}

void pool_set_free(struct pool_set *s) {
    if (!s) return;
    pool_set_sweep(s);
    assert(list_empty(&s->held) && list_empty(&s->leaving));
    free(s);
}

static struct pool *pool_make(const struct pool_set_config *c, const struct blueprint *b,
                              const struct handler_config *h) {
    const struct pool_host host = {.clock = loop_clock(c->loop),
                                   .log = c->log,
                                   .deadlines = loop_deadlines(c->loop),
                                   .turn = loop_turn(c->loop),
                                   .launcher = h->attach ? attacher_launcher(c->attacher)
                                                         : supervisor_launcher(c->supervisor),
                                   .application = b->name,
                                   .on_output = c->on_output,
                                   .output_context = c->output_context};
    switch (h->mode) {
    case HANDLER_RUNTIME: return pool_new(&host, h, &runtime_transport, c->runtime_api);
    case HANDLER_ONCE: return pool_new(&host, h, &once_transport, c->once);
    case HANDLER_SERVER: return pool_new(&host, h, &server_transport, c->server_proxy);
    }
    abort();
}

/* All zero for what is not started here. */
static struct file_stamp stamp_of(const struct handler_config *h) {
    return h->attach ? (struct file_stamp){0} : file_stamp_of(h->command[0]);
}

struct shared_pool *pool_set_add(struct pool_set *s, struct blueprint *b, const struct handler_config *handler) {
    struct shared_pool *p = xcalloc(1, sizeof *p);
    *p = (struct shared_pool){.set = s,
                              .references = 1,
                              .blueprint = blueprint_hold(b),
                              .executable = stamp_of(handler),
                              .pool = pool_make(&s->config, b, handler)};
    list_push(&s->held, &p->node);
    return p;
}

bool pool_set_sweep(struct pool_set *s) {
    list_each (&s->leaving, node) {
        struct shared_pool *p = list_entry(node, struct shared_pool, node);
        if (pool_is_empty(p->pool)) shared_pool_free(p);
    }
    return !list_empty(&s->leaving);
}

struct shared_pool *shared_pool_hold(struct shared_pool *p) {
    assert(p->references > 0);
    p->references++;
    return p;
}

/* Not freed here: some of its own code may be on the stack. */
void shared_pool_release(struct shared_pool *p) {
    if (!p || --p->references > 0) return;
    list_remove(&p->node);
    list_push(&p->set->leaving, &p->node);
    pool_drain(p->pool);
}

void shared_pool_forsake(struct shared_pool *p) {
    p->forsaken = true;
}

struct pool *shared_pool_pool(const struct shared_pool *p) {
    return p->pool;
}

bool shared_pool_suits(const struct shared_pool *p, const struct blueprint *b, const struct handler_config *handler) {
    return handler_config_equal(pool_handler(p->pool), handler) && strcmp(p->blueprint->name, b->name) == 0;
}

bool shared_pool_is_current(const struct shared_pool *p) {
    struct file_stamp now = stamp_of(pool_handler(p->pool));
    return file_stamp_equal(&p->executable, &now);
}

/* --- all of them --- */

static void each_pool(const struct list *l, void (*act)(struct pool *p)) {
    list_each (l, node) act(list_entry(node, struct shared_pool, node)->pool);
}

void pool_set_drain(struct pool_set *s) {
    each_pool(&s->held, pool_drain);
    each_pool(&s->leaving, pool_drain);
}

void pool_set_kill(struct pool_set *s) {
    each_pool(&s->held, pool_kill);
    each_pool(&s->leaving, pool_kill);
}

static void log_status(struct pool *p) {
    status_log(&p, 1);
}

void pool_set_hasten(struct pool_set *s) {
    list_each (&s->leaving, node) {
        const struct shared_pool *p = list_entry(node, struct shared_pool, node);
        if (p->forsaken) pool_hasten(p->pool);
    }
}

void pool_set_log(const struct pool_set *s) {
    each_pool(&s->held, log_status);
    each_pool(&s->leaving, log_status);
}

static bool list_is_empty_of_work(const struct list *l) {
    list_each (l, node)
        if (!pool_is_empty(list_entry(node, struct shared_pool, node)->pool)) return false;
    return true;
}

bool pool_set_is_empty(const struct pool_set *s) {
    return list_is_empty_of_work(&s->held) && list_is_empty_of_work(&s->leaving);
}
