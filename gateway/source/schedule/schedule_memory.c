#include "gateway/base/memory.h"
#include "gateway/source/schedule/schedule_private.h"

#define PATIENCE_MS 5000
#define LEASE_MS 30000

static void arm(struct schedule_source *s, struct deadline *d, uint64_t after_ms) {
    deadline_arm(s->pipeline->deadlines, d, clock_now_ms(s->pipeline->clock) + after_ms);
}

/* --- talking to the store --- */

/* Once, until it works again. */
static void complain(struct schedule_source *s, const char *why) {
    struct schedule_memory *m = &s->memory;
    if (!m->complained)
        log_event(s->pipeline->log, LOG_WARN, "the schedule's memory cannot be kept, it runs without",
                  LOG_TEXT("schedule", s->config->name), LOG_TEXT("why", why));
    m->complained = true;
}

static struct queue_done call(struct schedule_source *s, void (*on_done)(void *context, struct queue_reply *reply)) {
    s->memory.calls++;
    return (struct queue_done){on_done, s};
}

/* Every answer comes by here; true when the store did what it was asked. */
static bool answered(struct schedule_source *s, const struct queue_reply *reply) {
    s->memory.calls--;
    if (reply->result == QUEUE_OK)
        s->memory.complained = false;
    else
        complain(s, reply->error.message);
    return reply->result == QUEUE_OK;
}

/* A step can be asked for, and is from now on. */
static bool step_begin(struct schedule_source *s) {
    struct schedule_memory *m = &s->memory;
    if (!m->store || m->awaited) return false;
    m->awaited = true;
    arm(s, &m->patience, PATIENCE_MS);
    return true;
}

/* False when nobody waits for the answer any more. */
static bool step_end(struct schedule_source *s) {
    struct schedule_memory *m = &s->memory;
    bool late = m->silent;
    deadline_disarm(s->pipeline->deadlines, &m->patience);
    m->awaited = m->silent = false;
    return !late;
}

/* As if the store had failed; until it answers after all, no step is asked for. */
static void on_patience(struct deadline *d) {
    struct schedule_source *s = container_of(d, struct schedule_source, memory.patience);
    s->memory.silent = true;
    complain(s, "the store does not answer");
    switch (s->stage) {
    case SCHEDULE_RECALLING: source_recalled(s, NULL); return;
    case SCHEDULE_LEASING: source_leased(s, SCHEDULE_LEASED); return;
    case SCHEDULE_CLAIMING: source_claimed(s); return;
    case SCHEDULE_NEW:
    case SCHEDULE_WATCHING: return;
    }
}

static void know(struct schedule_memory *m, struct slice note) {
    buf_free(&m->known);
    if (!slice_is_none(note)) buf_append_slice(&m->known, note);
}

/* --- recalling --- */

static void on_recalled(void *context, struct queue_reply *reply) {
    struct schedule_source *s = context;
    struct schedule_note note;
    struct arena scratch;
    bool done = answered(s, reply), waited_for = step_end(s);
    if (done) know(&s->memory, reply->value);
    if (!waited_for) return;
    arena_init(&scratch, 512);
    if (done && !schedule_note_read(&note, reply->value, &scratch))
        note = (struct schedule_note){.handled_s = INT64_MIN};
    source_recalled(s, done ? &note : NULL);
    arena_free(&scratch);
}

void memory_recall(struct schedule_source *s) {
    struct schedule_memory *m = &s->memory;
    s->stage = SCHEDULE_RECALLING;
    if (step_begin(s))
        m->store->ops->recall(m->store, buf_slice(&m->key), call(s, on_recalled));
    else
        source_recalled(s, NULL);
}

/* --- the lease --- */

static void ask_lease(struct schedule_source *s, uint64_t ttl_ms, struct queue_done done) {
    struct schedule_memory *m = &s->memory;
    const struct queue_lease lease = {
        .key = buf_slice(&m->key), .owner = slice_make(m->owner, sizeof m->owner), .ttl_ms = ttl_ms};
    m->store->ops->lease(m->store, &lease, done);
}

static void on_lease_told(void *context, struct queue_reply *reply) {
    answered(context, reply);
}

static void on_beat(struct deadline *d) {
    struct schedule_source *s = container_of(d, struct schedule_source, memory.beat);
    ask_lease(s, LEASE_MS, call(s, on_lease_told));
    arm(s, d, LEASE_MS / 3);
}

static void on_leased(void *context, struct queue_reply *reply) {
    struct schedule_source *s = context;
    bool done = answered(s, reply), waited_for = step_end(s);
    if (done && reply->granted) {
        s->memory.leased = true;
        arm(s, &s->memory.beat, LEASE_MS / 3);
    }
    if (waited_for)
        source_leased(s, done && !reply->granted ? SCHEDULE_LEASED_ELSEWHERE : SCHEDULE_LEASED);
    else if (list_empty(&s->runs))
        memory_release(s);
}

void memory_lease(struct schedule_source *s) {
    s->stage = SCHEDULE_LEASING;
    if (!s->memory.leased && step_begin(s))
        ask_lease(s, LEASE_MS, call(s, on_leased));
    else
        source_leased(s, SCHEDULE_LEASED);
}

void memory_release(struct schedule_source *s) {
    struct schedule_memory *m = &s->memory;
    if (!m->leased) return;
    m->leased = false;
    deadline_disarm(s->pipeline->deadlines, &m->beat);
    ask_lease(s, 0, call(s, on_lease_told));
}

/* --- the note --- */

static void ask_swap(struct schedule_source *s, const struct schedule_note *note, struct queue_done done) {
    struct schedule_memory *m = &s->memory;
    struct buf text = {0};
    schedule_note_write(&text, note);
    const struct queue_swap swap = {
        .key = buf_slice(&m->key), .expected = buf_slice(&m->known), .value = buf_slice(&text)};
    m->store->ops->swap(m->store, &swap, done);
    buf_free(&text);
}

static struct schedule_note note_of(const struct schedule_source *s, int64_t handled_s) {
    return (struct schedule_note){.schedule = slice_of(s->config->text),
                                  .time_zone = slice_of(s->config->time_zone),
                                  .handled_s = handled_s,
                                  .ran_s = s->note.ran_s,
                                  .outcome = s->note.outcome};
}

static struct schedule_note note_of_plan(const struct schedule_source *s) {
    struct schedule_note note = note_of(s, s->plan.at_s);
    if (s->plan.move == SCHEDULE_RUN) {
        note.ran_s = s->plan.at_s;
        note.outcome = SCHEDULE_BEGUN;
    }
    return note;
}

/* Up to when somebody else has dealt with everything. A moment far ahead was written by a clock that was wrong. */
static int64_t handled_elsewhere(struct schedule_source *s) {
    struct schedule_note note;
    struct arena scratch;
    arena_init(&scratch, 512);
    bool read = schedule_note_read(&note, buf_slice(&s->memory.known), &scratch);
    if (read && note.ran_s > s->note.ran_s) {
        s->note.ran_s = note.ran_s;
        s->note.outcome = note.outcome;
    }
    arena_free(&scratch);
    return read && note.handled_s <= s->watch.looked_s + SCHEDULE_AHEAD_S ? note.handled_s : INT64_MIN;
}

static void on_claimed(void *context, struct queue_reply *reply) {
    struct schedule_source *s = context;
    bool done = answered(s, reply), waited_for = step_end(s);
    if (done) know(&s->memory, reply->value);
    if (!waited_for) return;
    if (!done || reply->granted) {
        source_claimed(s);
        return;
    }
    int64_t handled_s = handled_elsewhere(s);
    if (handled_s >= s->plan.at_s)
        source_forestalled(s, handled_s);
    else
        memory_claim(s); /* now against what the note says */
}

void memory_claim(struct schedule_source *s) {
    const struct schedule_note note = note_of_plan(s);
    s->stage = SCHEDULE_CLAIMING;
    if (step_begin(s))
        ask_swap(s, &note, call(s, on_claimed));
    else
        source_claimed(s);
}

static void on_noted(void *context, struct queue_reply *reply) {
    struct schedule_source *s = context;
    if (answered(s, reply)) know(&s->memory, reply->value);
}

void memory_note(struct schedule_source *s) {
    const struct schedule_note note = note_of(s, s->watch.handled_s);
    s->note_is_behind = false;
    if (s->memory.store && !s->memory.silent) ask_swap(s, &note, call(s, on_noted));
}

/* --- life --- */

void memory_init(struct schedule_source *s, struct queue_store *store) {
    struct schedule_memory *m = &s->memory;
    *m = (struct schedule_memory){.store = store, .patience = {.on_due = on_patience}, .beat = {.on_due = on_beat}};
    schedule_note_key(&m->key, slice_of(s->config->name));
    clock_uuid(s->pipeline->clock, m->owner);
}

void memory_free(struct schedule_source *s) {
    struct schedule_memory *m = &s->memory;
    deadline_disarm(s->pipeline->deadlines, &m->patience);
    deadline_disarm(s->pipeline->deadlines, &m->beat);
    buf_free(&m->key);
    buf_free(&m->known);
}
