#include "gateway/queue/redis_private.h"
#include <stdlib.h>

/* --- parts of a reply; what Redis says is not trusted to have the right form --- */

static const redisReply *element(const redisReply *r, size_t at) {
    static const redisReply nothing = {.type = REDIS_REPLY_NIL};
    return r && r->type == REDIS_REPLY_ARRAY && at < r->elements ? r->element[at] : &nothing;
}

static bool is_negative(const redisReply *r, size_t at) {
    const redisReply *e = element(r, at);
    return e->type == REDIS_REPLY_INTEGER && e->integer < 0;
}

static size_t count_from(const redisReply *r, size_t first) {
    return r->type == REDIS_REPLY_ARRAY && r->elements > first ? r->elements - first : 0;
}

/* The reply's first element: how soon there may be more in the call's queues. */
static void soon_tell(struct redis_call *c, const redisReply *r) {
    if (is_negative(r, 0)) return;
    for (size_t i = 0; i < c->queue_count; i++) redis_ready_in(c->store, c->queues[i], redis_number(r, 0));
}

/* --- errors --- */

static const struct explanation {
    const char *code;
    enum queue_result result;
    const char *advice;
} explanations[] = {
    {"LOADING", QUEUE_TRY_AGAIN, "it is still reading its data from the disk"},
    {"READONLY", QUEUE_TRY_AGAIN, "it is a replica and takes no changes: give the primary's address"},
    {"MASTERDOWN", QUEUE_TRY_AGAIN, "it is a replica without its primary: give the primary's address"},
    {"OOM", QUEUE_TRY_AGAIN, "its memory is full (maxmemory): empty some queues or allow it more"},
    {"MISCONF", QUEUE_TRY_AGAIN, "it cannot write to its disk and takes no changes; its own log says why"},
    {"BUSY", QUEUE_TRY_AGAIN, "it is busy with somebody's long script"},
    {"NOAUTH", QUEUE_TRY_AGAIN, "it wants a password: write redis://USER:PASSWORD@HOST"},
    {"WRONGPASS", QUEUE_TRY_AGAIN, "it does not accept the user and password of the URL"},
    {"NOPERM", QUEUE_TRY_AGAIN, "the user of the URL may not run scripts (EVALSHA, SCRIPT LOAD) or use the keys"},
    {"NOREPLICAS", QUEUE_TRY_AGAIN, "too few of its replicas are there (min-replicas-to-write)"},
    {"WRONGTYPE", QUEUE_BROKEN, "another program keeps something else under a key of the queue"},
    {"CROSSSLOT", QUEUE_BROKEN, "it is a cluster, where the queue's stream and its other keys are on different nodes"},
    {"MOVED", QUEUE_BROKEN, "it is a node of a cluster that does not hold these queues: give one server's address"},
    {"Unknown Redis command", QUEUE_BROKEN, "it is too old: execgate needs Redis 6.2 or Valkey"},
};

/* The row of an error; before Redis 7, a script's errors carry their code in the middle. */
static const struct explanation *explanation_of(const char *text) {
    for (size_t i = 0; i < ARRAY_LEN(explanations); i++)
        if (strstr(text, explanations[i].code)) return &explanations[i];
    return NULL;
}

const char *redis_advice(const char *text) {
    const struct explanation *row = explanation_of(text);
    return row ? row->advice : NULL;
}

void redis_error_explain(const struct redis_store *s, const char *text, struct queue_reply *reply) {
    const struct explanation *row = explanation_of(text);
    reply->result = row ? row->result : QUEUE_TRY_AGAIN;
    if (row)
        error_set(&reply->error, ERROR_SYSTEM, "Redis at %s refuses: %s (%.200s)", s->address.where, row->advice, text);
    else
        error_set(&reply->error, ERROR_SYSTEM, "Redis at %s refuses: %.300s", s->address.where, text);
}

static void answer_is_odd(struct redis_call *c) {
    c->reply.count = 0;
    c->reply.result = QUEUE_TRY_AGAIN;
    error_set(&c->reply.error, ERROR_FORMAT, "Redis at %s gives an answer that is none", c->store->address.where);
}

/* --- sends --- */

static void read_refusal(struct redis_call *c, const redisReply *r) {
    uint64_t index = redis_number(r, 2);
    c->reply.result = QUEUE_REFUSED;
    error_set(&c->reply.error, ERROR_LIMIT, "queue " SLICE_FMT " takes messages of up to %llu bytes, not %zu",
              SLICE_ARG(c->queue_count ? c->queues[0] : SLICE_NONE), (unsigned long long)redis_number(r, 3),
              index < c->asked ? c->send.sizes[index] : 0);
}

void redis_read_sent(struct redis_call *c, const redisReply *r) {
    if (slice_equal(redis_text(r, 1), SLICE("refused"))) {
        read_refusal(c, r);
        return;
    }
    if (count_from(r, 1) != c->asked) {
        answer_is_odd(c);
        return;
    }
    for (size_t i = 0; i < c->asked; i++) {
        struct slice first = redis_text(r, i + 1);
        if (slice_is_none(first) || first.n > UUID_TEXT_SIZE) continue;
        c->send.ids[i].duplicate = true;
        memcpy(c->send.ids[i].id, first.p, first.n);
        c->send.ids[i].id[first.n] = '\0';
    }
    c->reply.sent = c->send.ids;
    c->reply.count = c->asked;
    soon_tell(c, r);
}

/* --- messages --- */

enum entry_field {
    ENTRY_MESSAGE,
    ENTRY_BODY,
    ENTRY_TYPE,
    ENTRY_ATTRIBUTES,
    ENTRY_DEDUP,
    ENTRY_GROUP,
    ENTRY_DIED_IN,
    ENTRY_REASON,
    ENTRY_ERROR,
    ENTRY_ATTEMPTS,
    ENTRY_DIED,
    ENTRY_FIELDS
};
static const struct slice entry_names[ENTRY_FIELDS] = {
    {"message", 7}, {"body", 4},   {"type", 4},  {"attributes", 10}, {"dedup", 5}, {"group", 5},
    {"died_in", 7}, {"reason", 6}, {"error", 5}, {"attempts", 8},    {"died", 4},
};

/* They come in the order of entry_names, some left out. */
static void fields_read(const redisReply *fields, struct slice values[ENTRY_FIELDS], struct arena *a) {
    size_t name = 0;
    memset(values, 0, ENTRY_FIELDS * sizeof *values);
    for (size_t i = 0; i + 1 < count_from(fields, 0); i += 2) {
        struct slice found = redis_text(fields, i);
        while (name < ENTRY_FIELDS && !slice_equal(entry_names[name], found)) name++;
        if (name == ENTRY_FIELDS) return;
        values[name] = arena_copy(a, redis_text(fields, i + 1));
    }
}

static uint64_t value_number(struct slice text) {
    uint64_t number = 0;
    return slice_to_u64(text, &number) ? number : 0;
}

static const struct queue_death *death_read(const struct slice values[ENTRY_FIELDS], struct arena *a) {
    if (slice_is_none(values[ENTRY_DIED_IN])) return NULL;
    struct queue_death *death = arena_alloc(a, sizeof *death);
    *death = (struct queue_death){values[ENTRY_DIED_IN], values[ENTRY_REASON], values[ENTRY_ERROR],
                                  value_number(values[ENTRY_ATTEMPTS]), value_number(values[ENTRY_DIED])};
    return death;
}

/* "ID SENT DUE"; an id may have blanks itself. */
static void about_read(struct slice about, struct queue_message *m) {
    struct slice parts[2] = {SLICE_NONE, SLICE_NONE};
    for (int i = 0; i < 2; i++) {
        size_t at = about.n;
        while (at > 0 && about.p[at - 1] != ' ') at--;
        parts[i] = slice_make(about.p + at, about.n - at);
        about.n = at > 0 ? at - 1 : 0;
    }
    m->sent_ms = value_number(parts[1]);
    if (about.n > UUID_TEXT_SIZE) about.n = UUID_TEXT_SIZE;
    if (about.n) memcpy(m->id, about.p, about.n);
}

static int entry_read(const redisReply *fields, struct queue_message *m, struct arena *a, struct error *e) {
    struct slice values[ENTRY_FIELDS];
    fields_read(fields, values, a);
    *m = (struct queue_message){
        .body = slice_is_none(values[ENTRY_BODY]) ? SLICE("") : values[ENTRY_BODY],
        .content_type = values[ENTRY_TYPE],
        .dedup_id = values[ENTRY_DEDUP],
        .group_id = values[ENTRY_GROUP],
        .death = death_read(values, a),
    };
    about_read(values[ENTRY_MESSAGE], m);
    return queue_attributes_unpack(values[ENTRY_ATTRIBUTES], m, a, e);
}

/* position, place, ready in, receive count, first and last received, fields */
static int message_read(const redisReply *r, struct queue_message *m, struct arena *a, struct error *e) {
    int status = entry_read(element(r, 6), m, a, e);
    m->position = arena_copy(a, redis_text(r, 0));
    m->place = (enum queue_place)(redis_number(r, 1) & 3);
    m->ready_in_ms = redis_number(r, 2);
    m->receive_count = redis_number(r, 3);
    m->first_received_ms = redis_number(r, 4);
    m->last_received_ms = redis_number(r, 5);
    return status;
}

/* A stream's entry, received for the first time. */
static int message_read_new(const redisReply *r, uint64_t wall_ms, struct queue_message *m, struct arena *a,
                            struct error *e) {
    int status = entry_read(element(r, 1), m, a, e);
    m->position = redis_text(r, 0);
    m->receive_count = 1;
    m->first_received_ms = m->last_received_ms = wall_ms;
    return status;
}

/* A receive's messages have receipts, a browse's have places. */
static void receipt_write(struct queue_message *m, struct arena *a) {
    m->receipt = arena_printf(a, SLICE_FMT ".%llu", SLICE_ARG(m->position), (unsigned long long)m->receive_count);
    m->position = SLICE_NONE;
}

void redis_read_messages(struct redis_call *c, const redisReply *r) {
    const redisReply *known = element(r, 2), *fresh = element(r, 3);
    size_t known_count = count_from(known, 0), count = known_count + count_from(fresh, 0);
    uint64_t wall_ms = redis_number(r, 1);
    struct queue_message *messages = arena_alloc(&c->arena, count * sizeof *messages);
    int status = count > c->asked ? -1 : 0;
    for (size_t i = 0; status == 0 && i < count; i++) {
        struct queue_message *m = &messages[i];
        if (i < known_count)
            status = message_read(element(known, i), m, &c->arena, &c->reply.error);
        else
            status = message_read_new(element(fresh, i - known_count), wall_ms, m, &c->arena, &c->reply.error);
        if (c->kind->script == REDIS_SCRIPT_RECEIVE) receipt_write(m, &c->arena);
    }
    c->reply.messages = messages;
    c->reply.count = count;
    if (count > c->asked)
        answer_is_odd(c);
    else if (status < 0)
        c->reply.result = QUEUE_BROKEN;
    else
        soon_tell(c, r);
}

/* --- the others --- */

void redis_read_settled(struct redis_call *c, const redisReply *r) {
    if (count_from(r, 1) != c->asked) {
        answer_is_odd(c);
        return;
    }
    enum queue_settled *settled = arena_alloc(&c->arena, c->asked * sizeof *settled);
    for (size_t i = 0; i < c->asked; i++) settled[i] = (enum queue_settled)(redis_number(r, i + 1) % 3);
    c->reply.settled = settled;
    c->reply.count = c->asked;
    soon_tell(c, r);
}

#define STATS_FIELDS 15

static void stats_read_one(const redisReply *r, size_t at, struct queue_stats *stats, struct arena *a) {
    *stats = (struct queue_stats){
        .queue = arena_copy(a, redis_text(r, at)),
        .ready = redis_number(r, at + 1),
        .in_flight = redis_number(r, at + 2),
        .delayed = redis_number(r, at + 3),
        .oldest_age_ms = redis_number(r, at + 4),
        .blocked = redis_number(r, at + 5),
        .sent = redis_number(r, at + 6),
        .duplicates = redis_number(r, at + 7),
        .received = redis_number(r, at + 8),
        .acknowledged = redis_number(r, at + 9),
        .retried = redis_number(r, at + 10),
        .buried = redis_number(r, at + 11),
        .expired = redis_number(r, at + 12),
        .purged = redis_number(r, at + 13),
        .redriven = redis_number(r, at + 14),
    };
}

void redis_read_stats(struct redis_call *c, const redisReply *r) {
    size_t count = count_from(r, 1) / STATS_FIELDS;
    struct queue_stats *stats = arena_alloc(&c->arena, count * sizeof *stats);
    for (size_t i = 0; i < count; i++) stats_read_one(r, 1 + i * STATS_FIELDS, &stats[i], &c->arena);
    c->reply.stats = stats;
    c->reply.count = count;
}

void redis_read_count(struct redis_call *c, const redisReply *r) {
    c->reply.count = redis_number(r, 1);
    soon_tell(c, r);
}

void redis_read_note(struct redis_call *c, const redisReply *r) {
    c->reply.granted = redis_number(r, 1) == 1;
    c->reply.value = arena_copy(&c->arena, redis_text(r, 2));
}
