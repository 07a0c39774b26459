/* The loop's side: calls are gathered, handed to the other thread as a batch, and answered. */
#include "gateway/base/memory.h"
#include "gateway/queue/sqlite_private.h"
#include "gateway/queue/watches.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* What one transaction takes: it bounds how long an answer waits for its neighbours, and the WAL's growth. */
#define BATCH_CALLS_MAX 2048
/* Of more than this, half is taken: the loop answers the calls of one half while those of the other are carried out. */
#define BATCH_CALLS_HALVED 256
#define BATCH_SIZE_MAX (8u << 20)
/* How soon a watcher learns what another process has sent. */
#define LOOK_INTERVAL_MS 500

enum store_phase {
    STORE_IDLE,
    STORE_BUSY,    /* the other thread has the db and the batch */
    STORE_CLOSING, /* it closes the file */
};
struct sqlite_store {
    struct queue_store store;
    struct loop *loop;
    struct clock *clock;
    char *path;
    struct sqlite_db db;
    enum store_phase phase;
    struct list waiting;    /* of struct sqlite_call */
    struct list undeclared; /* declarations that failed: the next call takes them along */
    struct sqlite_call *batch[BATCH_CALLS_MAX];
    size_t batch_count;
    struct turn_task start;
    struct turn_task finish;
    uint64_t base_ms; /* store time less monotonic time */
    struct queue_watches watches;
    bool look_wanted;
    void (*on_closed)(void *context); /* set once closing was asked for */
    void *closed_context;
};

static struct sqlite_store *store_of(struct queue_store *s) {
    return container_of(s, struct sqlite_store, store);
}

static uint64_t store_now_ms(struct sqlite_store *s) {
    return s->base_ms + clock_now_ms(s->clock);
}

/* --- batches --- */

static void batch_fill(struct sqlite_store *s) {
    size_t size = 0, wanted = s->waiting.length;
    if (wanted > BATCH_CALLS_HALVED) wanted = wanted / 2 > BATCH_CALLS_HALVED ? wanted / 2 : BATCH_CALLS_HALVED;
    if (wanted > BATCH_CALLS_MAX) wanted = BATCH_CALLS_MAX;
    s->batch_count = 0;
    while (s->batch_count < wanted && size < BATCH_SIZE_MAX) {
        struct sqlite_call *c = list_entry(list_first(&s->waiting), struct sqlite_call, node);
        list_remove(&c->node);
        size += c->size_bytes;
        s->batch[s->batch_count++] = c;
    }
}

/* On the other thread, as is db_close. */
static void batch_run(void *context) {
    struct sqlite_store *s = context;
    if (s->batch_count)
        sqlite_db_run(&s->db, s->batch, s->batch_count);
    else
        sqlite_db_look(&s->db);
}

static void db_close(void *context) {
    struct sqlite_store *s = context;
    sqlite_db_close(&s->db);
}

static void on_worked(void *context) {
    struct sqlite_store *s = context;
    turn_add(loop_turn(s->loop), &s->finish);
}

static void store_start(struct sqlite_store *s) {
    bool closing = s->on_closed && list_empty(&s->waiting);
    if (s->phase != STORE_IDLE || (!closing && !s->look_wanted && list_empty(&s->waiting))) return;
    s->phase = closing ? STORE_CLOSING : STORE_BUSY;
    s->look_wanted = false;
    s->db.now_ms = store_now_ms(s);
    s->db.wall_ms = clock_wall_ms(s->clock);
    batch_fill(s);
    loop_work(s->loop, closing ? db_close : batch_run, on_worked, s);
}

static void on_start(struct turn_task *task) {
    store_start(container_of(task, struct sqlite_store, start));
}

/* --- watches --- */

static void watch_wake(struct sqlite_store *s, struct queue_watch *w, uint64_t at_ms) {
    uint64_t now = store_now_ms(s);
    queue_watch_ready_in(w, at_ms > now ? at_ms - now : 0);
}

static void watches_wake(struct sqlite_store *s) {
    list_each (&s->watches.list, node) {
        struct queue_watch *w = list_entry(node, struct queue_watch, node);
        struct sqlite_wake *wake = map_get(s->db.wakes, w->queue);
        if (s->db.changed_elsewhere)
            watch_wake(s, w, 0);
        else if (wake && wake->at_ms != READY_NEVER)
            watch_wake(s, w, wake->at_ms);
    }
    s->db.changed_elsewhere = false;
    size_t cursor = 0;
    struct slice name;
    void *value;
    while (map_next(s->db.wakes, &cursor, &name, &value)) ((struct sqlite_wake *)value)->at_ms = READY_NEVER;
}

static void on_look(struct queue_watches *all) {
    struct sqlite_store *s = container_of(all, struct sqlite_store, watches);
    s->look_wanted = true;
    turn_add(loop_turn(s->loop), &s->start);
}

static struct queue_watch *store_watch(struct queue_store *store, struct slice queue, void (*on_ready)(void *context),
                                       void *context) {
    return queue_watch_new(&store_of(store)->watches, queue, on_ready, context);
}

/* --- answers --- */

/* The call itself is in its arena, and goes with it wherever on_done takes that. */
static void call_answer(struct sqlite_call *c) {
    struct arena memory = c->arena;
    c->reply.memory = &memory;
    if (c->done.on_done) c->done.on_done(c->done.context, &c->reply);
    arena_free(&memory);
}

static void store_free(struct sqlite_store *s) {
    list_each (&s->undeclared, node) {
        struct arena memory = list_entry(node, struct sqlite_call, node)->arena;
        arena_free(&memory);
    }
    turn_remove(&s->start);
    free(s->path);
    free(s);
}

static void store_closed(struct sqlite_store *s) {
    void (*on_closed)(void *context) = s->on_closed;
    void *context = s->closed_context;
    store_free(s);
    on_closed(context);
}

/* Store time follows what the file has said. */
static void time_follow(struct sqlite_store *s) {
    uint64_t now = store_now_ms(s);
    if (s->db.now_ms > now) s->base_ms += s->db.now_ms - now;
}

static void calls_answer(struct list *answered) {
    while (!list_empty(answered)) {
        struct sqlite_call *c = list_entry(list_first(answered), struct sqlite_call, node);
        list_remove(&c->node);
        call_answer(c);
    }
}

/* The next batch is under way while the answers of this one are given. */
static void on_finish(struct turn_task *task) {
    struct sqlite_store *s = container_of(task, struct sqlite_store, finish);
    struct list answered;
    if (s->phase == STORE_CLOSING) {
        store_closed(s);
        return;
    }
    list_init(&answered);
    for (size_t i = 0; i < s->batch_count; i++) list_push(&answered, &s->batch[i]->node);
    s->phase = STORE_IDLE;
    time_follow(s);
    watches_wake(s);
    if (!list_empty(&s->waiting)) store_start(s);
    calls_answer(&answered);
    turn_add(loop_turn(s->loop), &s->start);
}

/* --- calls --- */

static int closed_run(struct sqlite_db *db, struct sqlite_call *c) {
    c->reply.result = QUEUE_BROKEN;
    error_set(&c->reply.error, ERROR_STATE, "queue file %s is being closed", db->path);
    return 0;
}
static const struct sqlite_kind closed_kind = {SQLITE_READS, closed_run};

static struct sqlite_call *call_new(const struct sqlite_kind *kind, size_t size_bytes, struct queue_done done) {
    struct arena a;
    arena_init(&a, sizeof(struct sqlite_call) + 64 + size_bytes);
    struct sqlite_call *c = arena_alloc(&a, sizeof *c);
    memset(c, 0, offsetof(struct sqlite_call, reply));
    call_clear(c);
    c->arena = a;
    c->kind = kind;
    c->done = done;
    c->size_bytes = size_bytes;
    return c;
}

static void call_submit(struct sqlite_store *s, struct sqlite_call *c) {
    while (!list_empty(&s->undeclared)) {
        struct list_node *earlier = list_first(&s->undeclared);
        list_remove(earlier);
        list_push(&s->waiting, earlier);
    }
    if (s->on_closed) c->kind = &closed_kind;
    list_push(&s->waiting, &c->node);
    turn_add(loop_turn(s->loop), &s->start);
}

static void on_declared(void *context, struct queue_reply *reply);

static struct sqlite_call *declaration_new(struct sqlite_store *s, const struct queue_settings *settings) {
    struct sqlite_call *c = call_new(&sqlite_declare, 512, (struct queue_done){on_declared, s});
    c->settings = *settings;
    c->settings.name = arena_copy(&c->arena, settings->name);
    c->settings.dead_letter = arena_copy(&c->arena, settings->dead_letter);
    return c;
}

/* Nobody waits for a declaration, so nobody would repeat it. */
static void on_declared(void *context, struct queue_reply *reply) {
    struct sqlite_store *s = context;
    const struct sqlite_call *c = container_of(reply, struct sqlite_call, reply);
    if (reply->result == QUEUE_OK || s->on_closed) return;
    list_push(&s->undeclared, &declaration_new(s, &c->settings)->node);
}

static void store_declare(struct queue_store *store, const struct queue_settings *settings) {
    struct sqlite_store *s = store_of(store);
    call_submit(s, declaration_new(s, settings));
}

static size_t sends_size(const struct queue_send *sends, size_t count) {
    size_t size = count * (sizeof *sends + 2 * sizeof(struct queue_sent) + 64);
    for (size_t i = 0; i < count; i++) {
        size += sends[i].body.n + sends[i].queue.n;
        for (size_t k = 0; k < sends[i].attribute_count; k++)
            size += sizeof(struct queue_attribute) + sends[i].attributes[k].name.n + sends[i].attributes[k].value.n;
    }
    return size;
}

static void id_set(struct clock *clock, struct slice wanted, struct queue_sent *sent) {
    size_t n = wanted.n < UUID_TEXT_SIZE ? wanted.n : UUID_TEXT_SIZE; /* a longer one is refused later */
    sent->duplicate = false;
    if (slice_is_none(wanted)) {
        queue_id_make(clock, sent->id);
        return;
    }
    memcpy(sent->id, wanted.p, n);
    sent->id[n] = '\0';
}

static void store_send(struct queue_store *store, const struct queue_send *sends, size_t count,
                       struct queue_done done) {
    struct sqlite_store *s = store_of(store);
    struct sqlite_call *c = call_new(&sqlite_send, sends_size(sends, count), done);
    c->send.sends = arena_alloc(&c->arena, count * sizeof *sends);
    c->send.ids = arena_alloc(&c->arena, count * sizeof *c->send.ids);
    c->send.count = count;
    for (size_t i = 0; i < count; i++) {
        queue_send_copy(&c->send.sends[i], &sends[i], &c->arena);
        id_set(s->clock, sends[i].id, &c->send.ids[i]);
    }
    call_submit(s, c);
}

static void store_receive(struct queue_store *store, const struct queue_receive *receive, struct queue_done done) {
    struct sqlite_call *c = call_new(&sqlite_receive, 256, done);
    c->receive = *receive;
    c->receive.queue = arena_copy(&c->arena, receive->queue);
    call_submit(store_of(store), c);
}

static void store_settle(struct queue_store *store, const struct queue_settlement *items, size_t count,
                         struct queue_done done) {
    struct sqlite_call *c = call_new(&sqlite_settle, count * (sizeof *items + 128), done);
    c->settle.items = arena_alloc(&c->arena, count * sizeof *items);
    c->settle.count = count;
    for (size_t i = 0; i < count; i++) {
        c->settle.items[i] = items[i];
        c->settle.items[i].queue = arena_copy(&c->arena, items[i].queue);
        c->settle.items[i].receipt = arena_copy(&c->arena, items[i].receipt);
        c->settle.items[i].reason = arena_copy(&c->arena, items[i].reason);
        c->settle.items[i].error = arena_copy(&c->arena, items[i].error);
    }
    call_submit(store_of(store), c);
}

static void name_submit(struct queue_store *store, const struct sqlite_kind *kind, struct slice name,
                        struct queue_done done) {
    struct sqlite_call *c = call_new(kind, name.n, done);
    c->name = arena_copy(&c->arena, name);
    call_submit(store_of(store), c);
}

static void store_stats(struct queue_store *store, struct slice queue, struct queue_done done) {
    name_submit(store, &sqlite_stats, queue, done);
}

static void store_recall(struct queue_store *store, struct slice key, struct queue_done done) {
    name_submit(store, &sqlite_recall, key, done);
}

static void store_browse(struct queue_store *store, const struct queue_browse *browse, struct queue_done done) {
    struct sqlite_call *c = call_new(&sqlite_browse, 256, done);
    c->browse = *browse;
    c->browse.queue = arena_copy(&c->arena, browse->queue);
    c->browse.after = arena_copy(&c->arena, browse->after);
    call_submit(store_of(store), c);
}

static void store_purge(struct queue_store *store, struct slice queue, unsigned max, struct queue_done done) {
    struct sqlite_call *c = call_new(&sqlite_purge, queue.n, done);
    c->purge.queue = arena_copy(&c->arena, queue);
    c->purge.max = max;
    call_submit(store_of(store), c);
}

static void store_redrive(struct queue_store *store, const struct queue_redrive *redrive, struct queue_done done) {
    struct sqlite_call *c = call_new(&sqlite_redrive, 256 + redrive->position_count * 64, done);
    struct slice *positions = arena_alloc(&c->arena, redrive->position_count * sizeof *positions);
    for (size_t i = 0; i < redrive->position_count; i++) positions[i] = arena_copy(&c->arena, redrive->positions[i]);
    c->redrive = *redrive;
    c->redrive.positions = positions;
    c->redrive.from = arena_copy(&c->arena, redrive->from);
    c->redrive.to = arena_copy(&c->arena, redrive->to);
    call_submit(store_of(store), c);
}

static void store_swap(struct queue_store *store, const struct queue_swap *swap, struct queue_done done) {
    struct sqlite_call *c = call_new(&sqlite_swap, swap->key.n + swap->expected.n + swap->value.n, done);
    c->swap.key = arena_copy(&c->arena, swap->key);
    c->swap.expected = arena_copy(&c->arena, swap->expected);
    c->swap.value = arena_copy(&c->arena, swap->value);
    call_submit(store_of(store), c);
}

static void store_lease(struct queue_store *store, const struct queue_lease *lease, struct queue_done done) {
    struct sqlite_call *c = call_new(&sqlite_lease, lease->key.n + lease->owner.n, done);
    c->lease = *lease;
    c->lease.key = arena_copy(&c->arena, lease->key);
    c->lease.owner = arena_copy(&c->arena, lease->owner);
    call_submit(store_of(store), c);
}

/* --- life --- */

static void store_close(struct queue_store *store, void (*on_closed)(void *context), void *context) {
    struct sqlite_store *s = store_of(store);
    assert(!s->on_closed && list_empty(&s->watches.list));
    s->on_closed = on_closed;
    s->closed_context = context;
    turn_add(loop_turn(s->loop), &s->start);
}

static const struct queue_store_ops sqlite_ops = {
    .declare = store_declare,
    .send = store_send,
    .receive = store_receive,
    .settle = store_settle,
    .stats = store_stats,
    .browse = store_browse,
    .purge = store_purge,
    .redrive = store_redrive,
    .recall = store_recall,
    .swap = store_swap,
    .lease = store_lease,
    .watch = store_watch,
    .unwatch = queue_watch_free,
    .close = store_close,
};

struct queue_store *sqlite_store_open(struct loop *loop, const char *path, struct error *e) {
    struct sqlite_store *s = xcalloc(1, sizeof *s);
    s->path = xstrdup(path);
    if (sqlite_db_open(&s->db, s->path, e) < 0) {
        free(s->path);
        free(s);
        return NULL;
    }
    s->store.ops = &sqlite_ops;
    s->loop = loop;
    s->clock = loop_clock(loop);
    s->base_ms = clock_wall_ms(s->clock) - clock_now_ms(s->clock); /* until the file says that it is later */
    list_init(&s->waiting);
    list_init(&s->undeclared);
    queue_watches_init(&s->watches, loop, LOOK_INTERVAL_MS, on_look);
    s->start = (struct turn_task){.phase = TURN_LAST, .run = on_start};
    s->finish = (struct turn_task){.phase = TURN_LOCAL, .run = on_finish};
    return &s->store;
}

/* --- the folder --- */

/* A new folder is there after a power failure only once its parent was written. */
static int folder_sync(const char *path, struct error *e) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0) close(fd);
    return failed ? error_set_errno(e, failed, "cannot write the folder %s to the disk", path) : 0;
}

static int folder_make(const char *parent, const char *path, struct error *e) {
    if (mkdir(path, 0700) == 0) return folder_sync(parent, e);
    if (errno == EEXIST) return 0;
    return error_set_errno(e, errno, "cannot make the folder %s for queues", path);
}

static char *folder_inner(const char *folder, struct slice name) {
    return xasprintf("%s/.execgate/" SLICE_FMT, folder, SLICE_ARG(name));
}

static char *folder_file(const char *inner) {
    return xasprintf("%s/queues.db", inner);
}

char *sqlite_store_path(const char *folder, struct slice name, struct error *e) {
    char *outer = xasprintf("%s/.execgate", folder);
    char *inner = folder_inner(folder, name);
    int status = folder_make(folder, outer, e);
    if (status == 0) status = folder_make(outer, inner, e);
    char *path = status == 0 ? folder_file(inner) : NULL;
    free(inner);
    free(outer);
    return path;
}

bool sqlite_store_exists(const char *folder, struct slice name) {
    char *inner = folder_inner(folder, name), *path = folder_file(inner);
    bool exists = access(path, F_OK) == 0;
    free(path);
    free(inner);
    return exists;
}
