#include "gateway/command/serve/schedule_notes.h"
#include "gateway/base/memory.h"
#include "gateway/queue/sqlite_store.h"

#define WAIT_MS 30000

/* A store that has to be made first remembers nothing; of one elsewhere nobody knows before asking it. */
static bool may_remember(const struct blueprint *b) {
    for (size_t i = 0; i < b->queue_count; i++)
        if (b->queues[i].url) return true;
    return sqlite_store_exists(b->data_directory, slice_of(b->name));
}

int schedule_notes_open(struct schedule_notes *n, struct error *e) {
    const struct blueprint *b = n->blueprint;
    if (!may_remember(b)) return 0;
    n->loop = loop_new(n->clock, e);
    if (!n->loop) return -ERROR_SYSTEM;
    n->stores = queue_stores_new(n->loop, NULL);
    n->store = queue_stores_open(n->stores, b, e);
    return n->store ? 0 : -ERROR_SYSTEM;
}

struct reading {
    struct schedule_notes *notes;
    struct schedule_note *note;
    struct error *e;
    bool done;
    int status;
};

static void on_recalled(void *context, struct queue_reply *reply) {
    struct reading *r = context;
    struct schedule_note note;
    struct arena *a = r->notes->arena;
    r->done = true;
    if (reply->result != QUEUE_OK)
        r->status = error_set(r->e, ERROR_SYSTEM, "%s", reply->error.message);
    else if (schedule_note_read(&note, arena_copy(a, reply->value), a))
        *r->note = note;
}

static bool is_done(void *context) {
    return ((const struct reading *)context)->done;
}

int schedule_notes_read(struct schedule_notes *n, const char *name, struct schedule_note *note, struct error *e) {
    struct reading *r = arena_alloc(n->arena, sizeof *r); /* an answer may come as late as with the close */
    struct buf key = {0};
    *r = (struct reading){.notes = n, .note = note, .e = e};
    if (!n->store) return 0;
    schedule_note_key(&key, slice_of(name));
    n->store->ops->recall(n->store, buf_slice(&key), (struct queue_done){on_recalled, r});
    buf_free(&key);
    loop_run_until(n->loop, is_done, r, WAIT_MS);
    return r->done ? r->status : error_set(e, ERROR_SYSTEM, "the store does not answer");
}

static bool is_closed(void *context) {
    return queue_stores_are_closed(context);
}

void schedule_notes_close(struct schedule_notes *n) {
    if (n->stores) {
        queue_stores_close(n->stores);
        loop_run_until(n->loop, is_closed, n->stores, WAIT_MS);
        queue_stores_free(n->stores);
    }
    loop_free(n->loop);
}
