#include "gateway/command/build/watcher.h"
#include "gateway/base/file.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/compare.h"
#include "gateway/command/build/build_report.h"
#include "gateway/command/build/source_tree.h"
#include "gateway/loop/file_watch.h"
#include <stdlib.h>

#define SETTLE_MS 100         /* nothing has changed for so long: it may be looked at */
#define RESTLESS_MOST_MS 1000 /* something else in the folder may change all the time */
#define REBUILDS_MOST 3       /* in a row, of a build that changes its own sources */

enum target_state { TARGET_QUIET, TARGET_RESTLESS, TARGET_WAITING, TARGET_BUILDING };

struct file_watches {
    struct file_watch **items;
    size_t count;
};

struct target {
    struct list_node node;
    struct watcher *watcher;
    const struct handler_config *handler; /* of the watcher's blueprint */
    enum target_state state;
    struct source_tree *tree;
    struct file_watches watches;
    struct deadline settled;
    uint64_t restless_since_ms;
    unsigned rebuilds;
};

struct watcher {
    struct watcher_config config;
    struct loop *loop;
    struct blueprint *blueprint; /* what the file says */
    struct list targets;
    struct build_job *job;
    struct target *building; /* whose job it is; those that share it are in TARGET_BUILDING too */
    bool changed;            /* something is built or new, and not served yet */
    struct file_watch *folder;
    struct file_stamp stamp; /* of the blueprint's file */
    struct deadline settled;
};

static void arm_settled(struct watcher *w, struct deadline *d) {
    deadline_arm(loop_deadlines(w->loop), d, clock_now_ms(loop_clock(w->loop)) + SETTLE_MS);
}

static void watcher_go_on(struct watcher *w);

/* --- the folders of a target --- */

static void target_stir(struct target *t) {
    uint64_t now = clock_now_ms(loop_clock(t->watcher->loop));
    if (t->state == TARGET_QUIET) {
        t->state = TARGET_RESTLESS;
        t->restless_since_ms = now;
    }
    if (t->state == TARGET_RESTLESS && now - t->restless_since_ms < RESTLESS_MOST_MS)
        arm_settled(t->watcher, &t->settled);
}

static void on_folder_change(void *context, const char *name) {
    (void)name;
    target_stir(context);
}

static void watches_close(struct file_watches *f) {
    for (size_t i = 0; i < f->count; i++) file_watch_close(f->items[i]);
    free(f->items);
    *f = (struct file_watches){0};
}

/* Anew after each look, because folders come and go; libuv keeps what stays the same. What changed between the look and
 * now is found by another look. */
static int target_watch(struct target *t, struct error *e) {
    struct file_watches fresh = {0};
    int status = 0;
    fresh.items = xcalloc(source_tree_folder_count(t->tree) + 1, sizeof *fresh.items);
    for (size_t i = 0; i < source_tree_folder_count(t->tree) && status == 0; i++) {
        struct file_watch *watch = file_watch_open(t->watcher->loop, source_tree_folder(t->tree, i), on_folder_change,
                                                   t, e);
        if (watch)
            fresh.items[fresh.count++] = watch;
        else
            status = -ERROR_SYSTEM;
    }
    watches_close(&t->watches);
    t->watches = fresh;
    target_stir(t);
    return status;
}

static void target_watch_again(struct target *t) {
    struct error e;
    struct log *log = t->watcher->config.log;
    if (target_watch(t, &e) == 0) return;
    log_event(log, LOG_ERROR, "not everything can be watched", LOG_TEXT("handler", t->handler->name),
              LOG_TEXT("why", e.message));
}

/* --- builds --- */

/* Whoever was attached stays so: who started it starts the next one, too. */
static void target_is_new(struct target *t) {
    if (t->handler->attach) return;
    gateway_renew(t->watcher->config.gateway, t->handler->name);
    t->watcher->changed = true;
}

static void on_target_settled(struct deadline *d) {
    struct target *t = container_of(d, struct target, settled);
    if (t->state != TARGET_RESTLESS) return; /* a build has begun meanwhile; its end looks */
    t->state = TARGET_QUIET;
    if (!source_tree_look(t->tree)) return;
    t->rebuilds = 0;
    if (t->handler->build)
        t->state = TARGET_WAITING;
    else
        target_is_new(t);
    target_watch_again(t);
    watcher_go_on(t->watcher);
}

/* What was edited while it was built is built again; but a build that always changes its sources is not let go on. */
static void target_built(struct target *t, bool succeeded) {
    t->state = TARGET_QUIET;
    if (succeeded) target_is_new(t);
    if (!source_tree_look(t->tree)) return;
    target_watch_again(t);
    if (++t->rebuilds < REBUILDS_MOST) {
        t->state = TARGET_WAITING;
        return;
    }
    log_event(t->watcher->config.log, LOG_WARN, "a build changes its own sources; name them in `sources`",
              LOG_TEXT("handler", t->handler->name));
}

static void targets_built(struct watcher *w, bool succeeded) {
    list_each (&w->targets, node) {
        struct target *t = list_entry(node, struct target, node);
        if (t->state == TARGET_BUILDING) target_built(t, succeeded);
    }
}

static void on_build_end(void *context, const struct build_result *r) {
    struct watcher *w = context;
    struct target *t = w->building;
    w->job = NULL;
    w->building = NULL;
    build_report_end(w->config.log, t->handler, r);
    targets_built(w, r->succeeded);
    watcher_go_on(w);
}

/* What is edited from now on is seen at its end. */
static void targets_join(struct watcher *w, const struct handler_config *h) {
    list_each (&w->targets, node) {
        struct target *t = list_entry(node, struct target, node);
        if (t->state != TARGET_WAITING || !build_equal(t->handler, h)) continue;
        t->state = TARGET_BUILDING;
        source_tree_look(t->tree);
    }
}

static void build_start(struct watcher *w, struct target *t) {
    struct error e;
    build_report_begin(w->config.log, t->handler);
    targets_join(w, t->handler);
    w->job = build_job_start(w->loop, t->handler, on_build_end, w, &e);
    w->building = w->job ? t : NULL;
    if (w->job) return;
    build_report_unstarted(w->config.log, t->handler, &e);
    targets_built(w, false);
}

static struct target *target_waiting(struct watcher *w) {
    list_each (&w->targets, node) {
        struct target *t = list_entry(node, struct target, node);
        if (t->state == TARGET_WAITING) return t;
    }
    return NULL;
}

static void watcher_go_on(struct watcher *w) {
    for (struct target *t; !w->job && (t = target_waiting(w));) build_start(w, t);
    if (w->job || !w->changed) return;
    w->changed = false;
    gateway_reload(w->config.gateway);
}

/* --- targets --- */

static struct target *target_new(struct watcher *w, const struct handler_config *h) {
    struct target *t = xcalloc(1, sizeof *t);
    *t = (struct target){.watcher = w, .handler = h, .tree = source_tree_new(h)};
    t->settled.on_due = on_target_settled;
    if (source_tree_is_cut(t->tree))
        log_event(w->config.log, LOG_WARN, "too many files to watch them all; name fewer in `sources`",
                  LOG_TEXT("handler", h->name));
    return t;
}

/* Those that shared it wait for another one. */
static void build_break_off(struct watcher *w) {
    build_job_cancel(w->job);
    w->job = NULL;
    w->building = NULL;
    list_each (&w->targets, node) {
        struct target *t = list_entry(node, struct target, node);
        if (t->state == TARGET_BUILDING) t->state = TARGET_WAITING;
    }
}

static void target_free(struct target *t) {
    struct watcher *w = t->watcher;
    if (w->building == t) build_break_off(w);
    deadline_disarm(loop_deadlines(w->loop), &t->settled);
    list_remove(&t->node);
    watches_close(&t->watches);
    source_tree_free(t->tree);
    free(t);
}

static void targets_free(struct list *targets) {
    for (struct list_node *node; (node = list_first(targets));) target_free(list_entry(node, struct target, node));
}

/* A target whose handler looks at the same, and makes it in the same way. */
static struct target *target_take(struct list *old, const struct handler_config *h) {
    list_each (old, node) {
        struct target *t = list_entry(node, struct target, node);
        if (!handler_sources_equal(t->handler, h)) continue;
        list_remove(node);
        t->handler = h;
        source_tree_follow(t->tree, h);
        return t;
    }
    return NULL;
}

static void target_add(struct watcher *w, struct target *t) {
    list_push(&w->targets, &t->node);
}

/* Goes over to what the file says now: a handler that is made in a new way is made at once. */
static void watcher_follow(struct watcher *w, struct blueprint *take_b) {
    struct list old;
    list_init(&old);
    for (struct list_node *node; (node = list_first(&w->targets));) {
        list_remove(node);
        list_push(&old, node);
    }
    for (size_t i = 0; i < take_b->handler_count; i++) {
        const struct handler_config *h = &take_b->handlers[i];
        struct target *t = target_take(&old, h);
        if (!t) {
            t = target_new(w, h);
            t->state = h->build ? TARGET_WAITING : TARGET_QUIET;
            target_watch_again(t);
        }
        target_add(w, t);
    }
    targets_free(&old);
    blueprint_release(w->blueprint);
    w->blueprint = take_b;
}

/* --- the blueprint's file --- */

static void on_blueprint_settled(struct deadline *d) {
    struct watcher *w = container_of(d, struct watcher, settled);
    struct file_stamp now = file_stamp_of(w->config.file);
    if (file_stamp_equal(&now, &w->stamp)) return;
    w->stamp = now;
    struct blueprint *b = w->config.load(w->config.context);
    if (!b) {
        log_event(w->config.log, LOG_ERROR, "reload refused, what was served goes on",
                  LOG_TEXT("why", "the blueprint has problems"));
        return;
    }
    watcher_follow(w, b);
    w->changed = true;
    watcher_go_on(w);
}

static void on_blueprint_folder(void *context, const char *name) {
    struct watcher *w = context;
    const char *slash = strrchr(w->config.file, '/');
    if (name && strcmp(name, slash ? slash + 1 : w->config.file) != 0) return;
    arm_settled(w, &w->settled);
}

/* --- life --- */

static int watcher_open(struct watcher *w, struct error *e) {
    w->stamp = file_stamp_of(w->config.file);
    w->folder = file_watch_open(w->loop, w->blueprint->directory, on_blueprint_folder, w, e);
    if (!w->folder) return -ERROR_SYSTEM;
    for (size_t i = 0; i < w->blueprint->handler_count; i++) {
        struct target *t = target_new(w, &w->blueprint->handlers[i]);
        target_add(w, t);
        int status = target_watch(t, e);
        if (status < 0) return status;
    }
    return 0;
}

struct watcher *watcher_new(const struct watcher_config *c, struct blueprint *b, struct error *e) {
    struct watcher *w = xcalloc(1, sizeof *w);
    *w = (struct watcher){.config = *c, .loop = gateway_loop(c->gateway), .blueprint = blueprint_hold(b)};
    w->settled.on_due = on_blueprint_settled;
    list_init(&w->targets);
    if (watcher_open(w, e) == 0) return w;
    watcher_free(w);
    return NULL;
}

void watcher_free(struct watcher *w) {
    if (!w) return;
    targets_free(&w->targets);
    deadline_disarm(loop_deadlines(w->loop), &w->settled);
    file_watch_close(w->folder);
    blueprint_release(w->blueprint);
    free(w);
}
