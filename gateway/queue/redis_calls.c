/* The calls of the interface, as arguments of scripts. */
#include "gateway/base/memory.h"
#include "gateway/queue/redis_private.h"
#include <assert.h>
#include <stdio.h>

/* Seconds of waiting for a connection before a call fails. A settlement is worth more: without it, work that is done is
 * done again. */
#define PATIENCE 5
#define PATIENCE_SETTLE 30
/* Small calls in one script cost a fraction of as many scripts. */
#define BATCH_MAX 64

static struct redis_store *store_of(struct queue_store *s) {
    return container_of(s, struct redis_store, store);
}

/* Refused (status < 0, the error is in the reply) or on its way. */
static void submit(struct redis_call *c, int status) {
    if (status < 0) {
        c->reply.result = QUEUE_REFUSED;
        redis_call_refuse(c);
        return;
    }
    redis_call_submit(c);
}

static void touch_queue(struct redis_call *c, struct slice name) {
    if (c->queue_count && slice_equal(c->queues[c->queue_count - 1], name)) return;
    c->queues[c->queue_count++] = arena_copy(&c->arena, name);
}

/* --- declare --- */

static const struct redis_kind kind_declare = {REDIS_SCRIPT_UPKEEP, NULL, REDIS_ONCE, PATIENCE, 1};

static void put_unless_zero(struct redis_call *c, uint64_t number) {
    if (number)
        redis_put_number(c, number);
    else
        redis_put(c, SLICE_NONE);
}

struct redis_call *redis_declare_call(struct redis_store *s, const struct redis_declaration *d) {
    struct redis_call *c = redis_call_new(s, &kind_declare, 512, (struct queue_done){0});
    redis_put(c, SLICE("declare"));
    redis_put(c, d->settings.name);
    redis_put(c, d->settings.dead_letter);
    put_unless_zero(c, d->settings.retention_ms);
    put_unless_zero(c, d->settings.dedup_window_ms);
    put_unless_zero(c, d->settings.message_size_bytes);
    redis_put(c, d->stream);
    redis_put(c, d->group);
    return c;
}

static struct redis_declaration *declaration_of(struct redis_store *s, struct slice name) {
    struct redis_declaration *d = map_get(s->declared, name);
    if (d) return d;
    d = arena_zalloc(&s->memory, sizeof *d);
    map_put(s->declared, name, d);
    return d;
}

void redis_store_bind(struct queue_store *store, struct slice queue, struct slice stream, struct slice group) {
    struct redis_store *s = store_of(store);
    struct redis_declaration *d = declaration_of(s, queue);
    d->stream = arena_copy(&s->memory, stream);
    d->group = arena_copy(&s->memory, group);
}

/* Without a connection it is only kept: every new connection begins with what was declared. */
static void store_declare(struct queue_store *store, const struct queue_settings *settings) {
    struct redis_store *s = store_of(store);
    struct redis_declaration *d = declaration_of(s, settings->name);
    assert(!slice_equal(settings->name, settings->dead_letter)); /* the blueprint's checks see to it */
    d->settings = *settings;
    d->settings.name = arena_copy(&s->memory, settings->name);
    d->settings.dead_letter = arena_copy(&s->memory, settings->dead_letter);
    d->complete = true;
    if (s->up) redis_call_submit(redis_declare_call(s, d));
}

/* --- send --- */

static const struct redis_kind kind_send = {REDIS_SCRIPT_SEND, redis_read_sent, REDIS_ONCE, PATIENCE, BATCH_MAX};

/* MessagePack: a list of byte strings, each with its length in four bytes. */
static void pack_list(struct buf *out, size_t count) {
    assert(count <= UINT8_MAX);
    if (count < 16) {
        buf_append_char(out, (char)(0x90 | count));
        return;
    }
    const char head[] = {(char)0xdc, 0, (char)count};
    buf_append(out, head, sizeof head);
}

static void pack_text(struct buf *out, struct slice text) {
    buf_append_char(out, (char)0xdb);
    for (int shift = 24; shift >= 0; shift -= 8) buf_append_char(out, (char)(text.n >> shift & 255));
    buf_append_slice(out, text);
}

struct optional_field {
    struct slice name, value;
};

/* The names and values of what is not absent; nothing at all for most messages. */
static void put_fields(struct redis_call *c, const struct optional_field *fields, size_t count) {
    struct buf packed = {0};
    size_t present = 0;
    for (size_t i = 0; i < count; i++) present += fields[i].value.n != 0;
    if (present) pack_list(&packed, 2 * present);
    for (size_t i = 0; i < count; i++) {
        if (fields[i].value.n == 0) continue;
        pack_text(&packed, fields[i].name);
        pack_text(&packed, fields[i].value);
    }
    redis_put(c, buf_slice(&packed));
    buf_free(&packed);
}

/* In the order of add.lua. */
static void put_optional_fields(struct redis_call *c, const struct queue_send *send) {
    static const struct queue_death alive;
    const struct queue_death *death = send->death ? send->death : &alive;
    struct buf attributes = {0};
    char attempts[24] = "", died[24] = "";
    queue_attributes_pack(send->attributes, send->attribute_count, &attributes);
    if (send->death) {
        snprintf(attempts, sizeof attempts, "%llu", (unsigned long long)death->attempts);
        snprintf(died, sizeof died, "%llu", (unsigned long long)death->died_ms);
    }
    const struct optional_field fields[] = {
        {SLICE("type"), send->content_type}, {SLICE("attributes"), buf_slice(&attributes)},
        {SLICE("dedup"), send->dedup_id},    {SLICE("group"), send->group_id},
        {SLICE("died_in"), death->queue},    {SLICE("reason"), death->reason},
        {SLICE("error"), death->error},      {SLICE("attempts"), slice_of(attempts)},
        {SLICE("died"), slice_of(died)}};
    put_fields(c, fields, send->death ? ARRAY_LEN(fields) : 4);
    buf_free(&attributes);
}

static void put_delay(struct redis_call *c, const struct queue_send *send) {
    char text[48];
    if (slice_is_none(send->id)) {
        redis_put_number(c, send->delay_ms);
        return;
    }
    int n = snprintf(text, sizeof text, "%llu %llu", (unsigned long long)send->delay_ms,
                     (unsigned long long)send->once_ms);
    redis_put(c, slice_make(text, (size_t)n));
}

static void id_choose(struct redis_store *s, struct slice wanted, struct queue_sent *sent) {
    sent->duplicate = false;
    if (slice_is_none(wanted)) {
        queue_id_make(s->clock, sent->id);
        return;
    }
    memcpy(sent->id, wanted.p, wanted.n);
    sent->id[wanted.n] = '\0';
}

static void put_send(struct redis_call *c, const struct queue_send *send, size_t at) {
    char about[UUID_TEXT_SIZE + 32];
    uint64_t sent_ms = send->sent_ms ? send->sent_ms : clock_wall_ms(c->store->clock);
    id_choose(c->store, send->id, &c->send.ids[at]);
    int n = snprintf(about, sizeof about, "%s %llu", c->send.ids[at].id, (unsigned long long)sent_ms);
    c->send.sizes[at] = queue_send_size(send);
    touch_queue(c, send->queue);
    redis_put(c, send->queue);
    redis_put_number(c, c->send.sizes[at]);
    put_delay(c, send);
    redis_put(c, slice_make(about, (size_t)n));
    redis_put(c, send->body);
    put_optional_fields(c, send);
}

/* How large a queue's messages may be stands in Redis; the script looks. */
static int sends_check(const struct queue_send *sends, size_t count, struct error *e) {
    int status = queue_page_check(count, e);
    for (size_t i = 0; status == 0 && i < count; i++) status = queue_send_check(&sends[i], QUEUE_MESSAGE_SIZE_MAX, e);
    return status;
}

static size_t sends_size(const struct queue_send *sends, size_t count) {
    size_t size = count * 192;
    for (size_t i = 0; i < count; i++) size += queue_send_size(&sends[i]);
    return size;
}

static void store_send(struct queue_store *store, const struct queue_send *sends, size_t count,
                       struct queue_done done) {
    struct error e;
    int status = sends_check(sends, count, &e);
    if (status < 0) count = 0;
    struct redis_call *c = redis_call_new(store_of(store), &kind_send, sends_size(sends, count), done);
    c->asked = count;
    c->send.ids = arena_alloc(&c->arena, count * sizeof *c->send.ids);
    c->send.sizes = arena_alloc(&c->arena, count * sizeof *c->send.sizes);
    c->queues = arena_alloc(&c->arena, count * sizeof *c->queues);
    for (size_t i = 0; i < count; i++) put_send(c, &sends[i], i);
    if (status < 0) c->reply.error = e;
    submit(c, status);
}

/* --- receive --- */

static const struct redis_kind kind_receive = {REDIS_SCRIPT_RECEIVE, redis_read_messages, REDIS_ONCE, PATIENCE, 1};

static void store_receive(struct queue_store *store, const struct queue_receive *receive, struct queue_done done) {
    struct redis_store *s = store_of(store);
    struct redis_call *c = redis_call_new(s, &kind_receive, 128, done);
    c->asked = receive->max;
    c->queues = arena_alloc(&c->arena, sizeof *c->queues);
    touch_queue(c, receive->queue);
    redis_put(c, receive->queue);
    redis_put_number(c, receive->max);
    redis_put_number(c, receive->visibility_ms);
    redis_put(c, slice_of(s->consumer));
    int status = queue_name_check(receive->queue, &c->reply.error);
    if (status == 0) status = queue_page_check(receive->max, &c->reply.error);
    if (status == 0) status = queue_delay_check(receive->visibility_ms, &c->reply.error);
    submit(c, status);
}

/* --- settle --- */

static const struct redis_kind kind_settle = {REDIS_SCRIPT_SETTLE, redis_read_settled, REDIS_REPEATS, PATIENCE_SETTLE,
                                              BATCH_MAX};

static bool is_number(struct slice text) {
    uint64_t number;
    return slice_to_u64(text, &number);
}

/* "MS-SEQ.COUNT", as a receive wrote it; *id is empty when it is something else, which no message has. */
static void receipt_read(struct slice receipt, struct slice *id, struct slice *count) {
    struct slice rest = receipt, whole = SLICE_NONE, ms = SLICE_NONE;
    bool good = slice_next(&rest, '.', &whole) && is_number(rest);
    struct slice seq = whole;
    good = good && slice_next(&seq, '-', &ms) && is_number(ms) && is_number(seq);
    *id = good ? whole : SLICE("");
    *count = good ? rest : SLICE("0");
}

/* What the other actions need; an acknowledgement needs nothing. */
static void put_details(struct redis_call *c, const struct queue_settlement *item) {
    char delay[24], attempts[24];
    struct buf packed = {0};
    snprintf(delay, sizeof delay, "%llu", (unsigned long long)item->delay_ms);
    snprintf(attempts, sizeof attempts, "%llu", (unsigned long long)item->attempts);
    if (item->action != QUEUE_ACK) {
        pack_list(&packed, 4);
        pack_text(&packed, slice_of(delay));
        pack_text(&packed, item->reason);
        pack_text(&packed, item->error);
        pack_text(&packed, slice_of(attempts));
    }
    redis_put(c, buf_slice(&packed));
    buf_free(&packed);
}

static void put_settlement(struct redis_call *c, const struct queue_settlement *item) {
    struct slice id, count;
    receipt_read(item->receipt, &id, &count);
    touch_queue(c, item->queue);
    redis_put(c, item->queue);
    redis_put(c, id);
    redis_put(c, count);
    redis_put_number(c, (uint64_t)item->action);
    put_details(c, item);
}

static int settle_check(const struct queue_settlement *items, size_t count, struct error *e) {
    int status = queue_page_check(count, e);
    for (size_t i = 0; status == 0 && i < count; i++) status = queue_delay_check(items[i].delay_ms, e);
    return status;
}

static void store_settle(struct queue_store *store, const struct queue_settlement *items, size_t count,
                         struct queue_done done) {
    struct error e;
    int status = settle_check(items, count, &e);
    if (status < 0) count = 0;
    struct redis_call *c = redis_call_new(store_of(store), &kind_settle, count * 128, done);
    c->asked = count;
    c->queues = arena_alloc(&c->arena, count * sizeof *c->queues);
    for (size_t i = 0; i < count; i++) put_settlement(c, &items[i]);
    if (status < 0) c->reply.error = e;
    submit(c, status);
}

/* --- looking after queues --- */

static const struct redis_kind kind_stats = {REDIS_SCRIPT_UPKEEP, redis_read_stats, REDIS_ONCE, PATIENCE, 1};
static const struct redis_kind kind_browse = {REDIS_SCRIPT_UPKEEP, redis_read_messages, REDIS_ONCE, PATIENCE, 1};
static const struct redis_kind kind_count = {REDIS_SCRIPT_UPKEEP, redis_read_count, REDIS_ONCE, PATIENCE, 1};

static void store_stats(struct queue_store *store, struct slice queue, struct queue_done done) {
    struct redis_call *c = redis_call_new(store_of(store), &kind_stats, 64 + queue.n, done);
    redis_put(c, SLICE("stats"));
    redis_put(c, queue);
    submit(c, 0);
}

/* "MS-SEQ" in the stream, "pMS-SEQ" in the parked one. */
static bool is_position(struct slice text) {
    struct slice ms;
    if (text.n && text.p[0] == 'p') text = slice_make(text.p + 1, text.n - 1);
    return slice_next(&text, '-', &ms) && is_number(ms) && is_number(text);
}

static int browse_check(const struct queue_browse *browse, struct error *e) {
    int status = queue_page_check(browse->max, e);
    if (status < 0 || slice_is_none(browse->after) || is_position(browse->after)) return status;
    return error_set(e, ERROR_FORMAT, "the position to go on from is not one of this store");
}

static void store_browse(struct queue_store *store, const struct queue_browse *browse, struct queue_done done) {
    struct redis_call *c = redis_call_new(store_of(store), &kind_browse, 256, done);
    c->asked = browse->max;
    redis_put(c, SLICE("browse"));
    redis_put(c, browse->queue);
    redis_put(c, browse->after);
    redis_put_number(c, browse->max);
    submit(c, browse_check(browse, &c->reply.error));
}

static void store_purge(struct queue_store *store, struct slice queue, unsigned max, struct queue_done done) {
    struct redis_call *c = redis_call_new(store_of(store), &kind_count, 64 + queue.n, done);
    c->queues = arena_alloc(&c->arena, sizeof *c->queues);
    touch_queue(c, queue);
    redis_put(c, SLICE("purge"));
    redis_put(c, queue);
    redis_put_number(c, max);
    submit(c, queue_page_check(max, &c->reply.error));
}

static int redrive_check(const struct queue_redrive *redrive, struct error *e) {
    int status = queue_name_check(redrive->from, e);
    if (status == 0 && !slice_is_none(redrive->to)) status = queue_name_check(redrive->to, e);
    if (status == 0 && slice_equal(redrive->from, redrive->to))
        status = error_set(e, ERROR_FORMAT, "queue " SLICE_FMT " cannot be redriven to itself", SLICE_ARG(redrive->to));
    if (status < 0) return status;
    return queue_page_check(redrive->position_count ? redrive->position_count : redrive->max, e);
}

static void store_redrive(struct queue_store *store, const struct queue_redrive *redrive, struct queue_done done) {
    struct error e;
    int status = redrive_check(redrive, &e);
    size_t count = status < 0 ? 0 : redrive->position_count;
    struct redis_call *c = redis_call_new(store_of(store), &kind_count, 256 + count * 48, done);
    c->queues = arena_alloc(&c->arena, sizeof *c->queues);
    if (redrive->to.n) touch_queue(c, redrive->to);
    redis_put(c, SLICE("redrive"));
    redis_put(c, redrive->from);
    redis_put(c, redrive->to);
    redis_put_number(c, redrive->max);
    for (size_t i = 0; i < count; i++)
        redis_put(c, is_position(redrive->positions[i]) ? redrive->positions[i] : SLICE("0-0"));
    if (status < 0) c->reply.error = e;
    submit(c, status);
}

/* --- notes --- */

static const struct redis_kind kind_note = {REDIS_SCRIPT_NOTES, redis_read_note, REDIS_ONCE, PATIENCE, 1};

static void store_recall(struct queue_store *store, struct slice key, struct queue_done done) {
    struct redis_call *c = redis_call_new(store_of(store), &kind_note, 64 + key.n, done);
    redis_put(c, SLICE("recall"));
    redis_put(c, key);
    submit(c, queue_key_check(key, "a note's key", &c->reply.error));
}

static void put_optional(struct redis_call *c, struct slice value) {
    redis_put_number(c, !slice_is_none(value));
    redis_put(c, value);
}

static void store_swap(struct queue_store *store, const struct queue_swap *swap, struct queue_done done) {
    size_t size = 128 + swap->key.n + swap->expected.n + swap->value.n;
    struct redis_call *c = redis_call_new(store_of(store), &kind_note, size, done);
    redis_put(c, SLICE("swap"));
    redis_put(c, swap->key);
    put_optional(c, swap->expected);
    put_optional(c, swap->value);
    int status = queue_key_check(swap->key, "a note's key", &c->reply.error);
    if (status == 0 && swap->value.n > QUEUE_NOTE_SIZE_MAX)
        status = error_set(&c->reply.error, ERROR_LIMIT, "a note may have %d bytes, not %zu", QUEUE_NOTE_SIZE_MAX,
                           swap->value.n);
    submit(c, status);
}

static void store_lease(struct queue_store *store, const struct queue_lease *lease, struct queue_done done) {
    struct redis_call *c = redis_call_new(store_of(store), &kind_note, 128 + lease->key.n + lease->owner.n, done);
    redis_put(c, SLICE("lease"));
    redis_put(c, lease->key);
    redis_put(c, lease->owner);
    redis_put_number(c, lease->ttl_ms);
    int status = queue_key_check(lease->key, "a lease's key", &c->reply.error);
    if (status == 0) status = queue_key_check(lease->owner, "a lease's owner", &c->reply.error);
    if (status == 0) status = queue_delay_check(lease->ttl_ms, &c->reply.error);
    submit(c, status);
}

static void store_close(struct queue_store *store, void (*on_closed)(void *context), void *context) {
    struct redis_store *s = store_of(store);
    assert(!s->on_closed && list_empty(&s->watches.list));
    s->on_closed = on_closed;
    s->closed_context = context;
    turn_add(loop_turn(s->loop), &s->start);
}

const struct queue_store_ops redis_ops = {
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
    .watch = redis_watch,
    .unwatch = queue_watch_free,
    .close = store_close,
};
