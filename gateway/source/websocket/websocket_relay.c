/* Calls that other nodes of the cluster must be asked about. A node is asked with the call itself, as it came: its
 * method, path and body; what it answers is the answer. So there is one table of calls, whoever carries them out. */
#include "gateway/base/json_read.h"
#include "gateway/base/memory.h"
#include "gateway/source/websocket/websocket_api_private.h"
#include <stdlib.h>

/* --- what goes over the wire --- */

void relay_write_parts(struct buf *out, struct slice method, struct slice target, struct slice content_type,
                       struct slice body) {
    cluster_field_write(out, method);
    cluster_field_write(out, target);
    cluster_field_write(out, content_type);
    cluster_field_write(out, body);
}

void relay_write(struct buf *out, const struct websocket_request *r, struct slice body) {
    struct buf target = {0};
    buf_append_slice(&target, r->url->path);
    if (!slice_is_none(r->url->query)) buf_append_char(&target, '?');
    buf_append_slice(&target, r->url->query);
    relay_write_parts(out, r->method, buf_slice(&target), r->content_type, body);
    buf_free(&target);
}

bool relay_read(struct slice bytes, struct arena *a, struct websocket_answer *answer) {
    uint64_t status;
    struct slice detail, json;
    bool whole = cluster_field_read_number(&bytes, &status) && cluster_field_read(&bytes, &detail) &&
                 cluster_field_read(&bytes, &json);
    if (!whole || status < 200 || status > 599) return false;
    answer->status = (int)status;
    answer->detail = detail.n ? arena_text(a, detail) : NULL;
    buf_append_slice(&answer->json, json);
    return true;
}

uint64_t relay_count_of(struct slice text, struct slice wanted) {
    struct json_read json;
    struct json_value value;
    struct slice name;
    struct arena scratch;
    int64_t number = 0;
    if (!json_is_valid(text)) return 0;
    arena_init(&scratch, 256);
    json_read_init(&json, text);
    if (json_read_open(&json, '{'))
        while (json_read_name(&json, &scratch, &name) && json_read_value(&json, &value))
            if (slice_equal(name, wanted) && value.kind == JSON_NUMBER && !json_int_of(value, &number)) number = 0;
    arena_free(&scratch);
    return number > 0 ? (uint64_t)number : 0;
}

const char *relay_why(const struct websocket_source *s, struct arena *a, struct slice tag,
                      enum cluster_outcome outcome) {
    const char *trouble = cluster_trouble(s->cluster), *where = cluster_redis(s->cluster);
    if (outcome == CLUSTER_GONE) return "no connection of that id is open";
    if (outcome == CLUSTER_UNREACHED && trouble)
        return arena_printf(a, "Redis at %s cannot be reached (%s), and so cannot node " SLICE_FMT "; nothing was sent",
                            where, trouble, SLICE_ARG(tag))
            .p;
    if (outcome == CLUSTER_UNREACHED)
        return arena_printf(a, "node " SLICE_FMT " does not listen; nothing was sent", SLICE_ARG(tag)).p;
    if (trouble)
        return arena_printf(a,
                            "node " SLICE_FMT " did not answer: Redis at %s cannot be reached (%s); it may have been "
                            "sent or not",
                            SLICE_ARG(tag), where, trouble)
            .p;
    return arena_printf(a, "node " SLICE_FMT " does not answer; it may have been sent or not", SLICE_ARG(tag)).p;
}

const char *relay_no_nodes(const struct websocket_source *s, struct arena *a) {
    const char *trouble = cluster_trouble(s->cluster);
    return arena_printf(a, "Redis at %s cannot be reached (%s), and so cannot the other nodes",
                        cluster_redis(s->cluster), trouble ? trouble : "it does not answer")
        .p;
}

void call_answered(struct websocket_call *c) {
    c->work = NULL;
    c->on_done(c);
}

/* What Redis says of the nodes may be some seconds old, but one that was never seen is a mistake. */
static bool is_node(const struct cluster *c, struct slice tag) {
    const char *known;
    for (size_t i = 0; (known = cluster_node(c, i)); i++)
        if (slice_equal(slice_of(known), tag)) return true;
    return false;
}

/* --- one other node --- */

struct relay {
    struct cluster_ask ask;
    struct websocket_source *source;
    struct websocket_call *call; /* NULL = nobody waits */
    char tag[CLUSTER_TAG_SIZE];
};

static struct slice relay_tag(const struct relay *r) {
    return slice_make(r->tag, sizeof r->tag);
}

static void relay_drop(struct websocket_call *c) {
    ((struct relay *)c->work)->call = NULL;
}

static void relay_fail(const struct relay *r, struct websocket_call *c, enum cluster_outcome outcome) {
    c->answer.status = outcome == CLUSTER_GONE ? 410 : 503;
    c->answer.detail = relay_why(r->source, c->request.arena, relay_tag(r), outcome);
}

static void on_relayed(struct cluster_ask *ask, enum cluster_outcome outcome, struct slice bytes) {
    struct relay *r = container_of(ask, struct relay, ask);
    struct websocket_call *c = r->call;
    bool well = c && outcome == CLUSTER_ANSWERED && relay_read(bytes, c->request.arena, &c->answer);
    if (c && !well) relay_fail(r, c, outcome == CLUSTER_ANSWERED ? CLUSTER_SILENT : outcome);
    free(r);
    if (c) call_answered(c);
}

static bool relay_to(struct asking *q, struct slice tag) {
    struct buf payload = {0};
    relay_write(&payload, q->request, q->request->body);
    if (payload.n > CLUSTER_PAYLOAD_MAX) {
        buf_free(&payload);
        asking_refuse(q, 413, "between nodes, at most 8 MiB are sent at once");
        return true;
    }
    struct relay *r = xcalloc(1, sizeof *r);
    r->ask.on_end = on_relayed;
    r->source = q->source;
    r->call = q->call;
    memcpy(r->tag, tag.p, sizeof r->tag);
    q->call->work = r;
    q->call->drop = relay_drop;
    cluster_ask(q->source->cluster, tag, &payload, &r->ask);
    return true;
}

/* --- nobody knows which other node --- */

struct quest {
    struct websocket_source *source;
    struct websocket_call *call; /* NULL = nobody waits */
    size_t asked;
    struct websocket_answer answer; /* of whoever has the connection, or else why it is not known */
};
struct quest_part {
    struct relay relay;
    struct quest *quest;
};

static void quest_drop(struct websocket_call *c) {
    ((struct quest *)c->work)->call = NULL;
}

static void quest_finish(struct quest *t) {
    struct websocket_call *c = t->call;
    if (c)
        c->answer = t->answer;
    else
        buf_free(&t->answer.json);
    free(t);
    if (c) call_answered(c);
}

/* Anything but 410 is the word of its node. */
static void quest_take(struct quest_part *part, enum cluster_outcome outcome, struct slice bytes) {
    struct quest *t = part->quest;
    struct websocket_answer answer = {0};
    struct arena *a = t->call->request.arena;
    if (outcome == CLUSTER_GONE) return;
    if (outcome != CLUSTER_ANSWERED || !relay_read(bytes, a, &answer))
        answer = (struct websocket_answer){.status = 503,
                                           .detail = relay_why(t->source, a, relay_tag(&part->relay), outcome)};
    if (answer.status == 410 || (t->answer.status != 410 && t->answer.status != 503)) {
        buf_free(&answer.json);
        return;
    }
    buf_free(&t->answer.json);
    t->answer = answer;
}

static void on_quested(struct cluster_ask *ask, enum cluster_outcome outcome, struct slice bytes) {
    struct relay *relay = container_of(ask, struct relay, ask);
    struct quest_part *part = container_of(relay, struct quest_part, relay);
    struct quest *t = part->quest;
    if (t->call) quest_take(part, outcome, bytes);
    free(part);
    if (--t->asked == 0) quest_finish(t);
}

static void quest_ask(struct quest *t, struct asking *q, struct slice tag) {
    struct quest_part *part = xcalloc(1, sizeof *part);
    struct buf payload = {0};
    part->relay.ask.on_end = on_quested;
    part->quest = t;
    memcpy(part->relay.tag, tag.p, sizeof part->relay.tag);
    relay_write(&payload, q->request, q->request->body);
    t->asked++;
    cluster_ask(q->source->cluster, tag, &payload, &part->relay.ask);
}

/* Redis has not told us of the node that the id names. It may have come this moment, and is asked; and as an event
 * stream keeps its id when its node takes a new tag, so is each of the others. */
static bool relay_to_all(struct asking *q, struct slice unknown) {
    const struct cluster *c = q->source->cluster;
    const char *tag;
    if (q->request->body.n > CLUSTER_PAYLOAD_MAX / 2) return relay_to(q, unknown);
    struct quest *t = xcalloc(1, sizeof *t);
    t->source = q->source;
    t->call = q->call;
    t->answer = (struct websocket_answer){.status = 410, .detail = "no connection of that id is open"};
    quest_ask(t, q, unknown);
    for (size_t i = 0; (tag = cluster_node(c, i)); i++)
        if (!slice_equal(slice_of(tag), cluster_tag(c))) quest_ask(t, q, slice_of(tag));
    q->call->work = t;
    q->call->drop = quest_drop;
    return true;
}

struct slice relay_node_of(const struct asking *q, struct slice id) {
    const struct cluster *c = q->source->cluster;
    if (!c || q->request->asker == WEBSOCKET_ASKED_BY_NODE || id.n != WEBSOCKET_ID_SIZE) return SLICE_NONE;
    struct slice tag = slice_make(id.p, CLUSTER_TAG_SIZE);
    return cluster_tag_is_good(tag) && !slice_equal(tag, cluster_tag(c)) ? tag : SLICE_NONE;
}

bool relay_to_owner(struct asking *q) {
    if (members_find(websocket_source_members(q->source), q->first)) return false;
    struct slice tag = relay_node_of(q, q->first);
    if (slice_is_none(tag)) return false;
    return is_node(q->source->cluster, tag) ? relay_to(q, tag) : relay_to_all(q, tag);
}

bool relay_list(struct asking *q) {
    const struct cluster *c = q->source->cluster;
    struct slice tag = asking_parameter(q, SLICE("node")), group = asking_parameter(q, SLICE("group"));
    if (q->request->asker == WEBSOCKET_ASKED_BY_NODE) return false;
    if (slice_is_none(tag) && !slice_is_none(group)) return relay_group_list(q, group);
    if (slice_is_none(tag) || slice_equal(tag, cluster_tag(c))) return false;
    if (is_node(c, tag)) return relay_to(q, tag);
    asking_refuse(q, 404, "node: there is none of that name in the cluster; GET /v1/nodes lists them");
    return true;
}

/* --- joining: answered once other nodes would find the connection --- */

struct joining {
    struct cluster_confirm confirm;
    struct deadline limit;
    struct websocket_source *source;
    struct websocket_call *call;
};

static void joining_free(struct joining *j) {
    cluster_confirm_cancel(&j->confirm);
    deadline_disarm(loop_deadlines(j->source->loop), &j->limit);
    free(j);
}

static void joining_drop(struct websocket_call *c) {
    joining_free(c->work);
}

static void joining_answer(struct joining *j, int status, const char *detail) {
    struct websocket_call *c = j->call;
    c->answer.status = status;
    c->answer.detail = detail;
    joining_free(j);
    call_answered(c);
}

static void on_confirmed(struct cluster_confirm *w, enum cluster_word word) {
    struct joining *j = container_of(w, struct joining, confirm);
    if (word == CLUSTER_CONFIRMED)
        joining_answer(j, 204, NULL);
    else
        joining_answer(j, 410, "the connection was closed: its node had been taken for dead");
}

static void on_limit(struct deadline *d) {
    struct joining *j = container_of(d, struct joining, limit);
    struct cluster *c = j->source->cluster;
    const char *trouble = cluster_trouble(c);
    joining_answer(j, 503,
                   arena_printf(j->call->request.arena,
                                "Redis at %s cannot be reached (%s): it has joined, but other nodes learn of it later",
                                cluster_redis(c), trouble ? trouble : "it does not answer")
                       .p);
}

static void joining_wait(struct asking *q) {
    struct joining *j = xcalloc(1, sizeof *j);
    struct loop *l = q->source->loop;
    j->confirm.on_word = on_confirmed;
    j->limit.on_due = on_limit;
    j->source = q->source;
    j->call = q->call;
    q->call->work = j;
    q->call->drop = joining_drop;
    deadline_arm(loop_deadlines(l), &j->limit, cluster_patience(q->source->cluster));
    cluster_confirm(q->source->cluster, &j->confirm);
}

bool relay_join(struct asking *q) {
    if (relay_to_owner(q)) return true;
    answer_join(q);
    if (q->answer->status == 204) joining_wait(q);
    return true;
}

/* --- groups: every node that has members is asked, and what they say is added up --- */

struct tally {
    struct cluster_lookup lookup;
    struct websocket_source *source;
    struct websocket_call *call; /* NULL = nobody waits */
    struct arena memory;
    struct slice name; /* of the number */
    const char *what;  /* was done with so many */
    struct buf payload;
    uint64_t sum;
    size_t asked;
    const char *trouble;
};
struct tally_part {
    struct cluster_ask ask;
    struct tally *tally;
    char tag[CLUSTER_TAG_SIZE];
};

static void tally_drop(struct websocket_call *c) {
    ((struct tally *)c->work)->call = NULL;
}

static void tally_answer(const struct tally *t, struct websocket_call *c) {
    struct json_write w = json_write_to(&c->answer.json);
    c->answer.status = t->trouble ? 503 : 200;
    if (t->trouble) {
        c->answer.detail = arena_printf(c->request.arena, "%llu connections %s, but not all: %s",
                                        (unsigned long long)t->sum, t->what, t->trouble)
                               .p;
        return;
    }
    json_open(&w, '{');
    asking_write_number(&w, t->name, t->sum);
    json_close(&w, '}');
}

static void tally_finish(struct tally *t) {
    struct websocket_call *c = t->call;
    if (c) tally_answer(t, c);
    buf_free(&t->payload);
    arena_free(&t->memory);
    free(t);
    if (c) call_answered(c);
}

/* A node that is gone has no members any more. */
static void on_tallied(struct cluster_ask *ask, enum cluster_outcome outcome, struct slice bytes) {
    struct tally_part *part = container_of(ask, struct tally_part, ask);
    struct tally *t = part->tally;
    struct websocket_answer answer = {0};
    bool well = outcome == CLUSTER_ANSWERED && relay_read(bytes, &t->memory, &answer) && answer.status == 200;
    if (well)
        t->sum += relay_count_of(buf_slice(&answer.json), t->name);
    else if (outcome != CLUSTER_GONE)
        t->trouble = relay_why(t->source, &t->memory, slice_make(part->tag, sizeof part->tag),
                               outcome == CLUSTER_ANSWERED ? CLUSTER_SILENT : outcome);
    buf_free(&answer.json);
    free(part);
    if (--t->asked == 0) tally_finish(t);
}

static void tally_ask(struct tally *t, struct slice tag) {
    struct tally_part *part = xcalloc(1, sizeof *part);
    struct buf payload = {0};
    part->ask.on_end = on_tallied;
    part->tally = t;
    memcpy(part->tag, tag.p, sizeof part->tag);
    buf_append_slice(&payload, buf_slice(&t->payload));
    t->asked++;
    cluster_ask(t->source->cluster, tag, &payload, &part->ask);
}

static void on_nodes(struct cluster_lookup *l, struct slice tags) {
    struct tally *t = container_of(l, struct tally, lookup);
    if (slice_is_none(tags)) t->trouble = relay_no_nodes(t->source, &t->memory);
    for (size_t i = 0; i + CLUSTER_TAG_SIZE <= tags.n; i += CLUSTER_TAG_SIZE)
        tally_ask(t, slice_make(tags.p + i, CLUSTER_TAG_SIZE));
    if (t->asked == 0) tally_finish(t);
}

/* This gateway's own have been counted, and got their message, already. */
static void tally_begin(struct asking *q, struct slice name, const char *what) {
    struct tally *t = xcalloc(1, sizeof *t);
    t->source = q->source;
    t->call = q->call;
    t->name = name;
    t->what = what;
    t->sum = relay_count_of(buf_slice(&q->answer->json), name);
    t->lookup.on_nodes = on_nodes;
    arena_init(&t->memory, 512);
    buf_free(&q->answer->json);
    relay_write(&t->payload, q->request, q->request->body);
    q->call->work = t;
    q->call->drop = tally_drop;
    cluster_lookup(q->source->cluster, arena_copy(&t->memory, q->first), &t->lookup);
}

static bool is_everybodys(const struct asking *q) {
    return q->request->asker == WEBSOCKET_ASKED_HERE;
}

bool relay_group(struct asking *q) {
    if (!is_everybodys(q)) return false;
    answer_group(q);
    tally_begin(q, SLICE("connections"), "are in the group");
    return true;
}

bool relay_broadcast(struct asking *q) {
    if (!is_everybodys(q)) return false;
    if (q->request->body.n > CLUSTER_PAYLOAD_MAX / 2) {
        asking_refuse(q, 413, "between nodes, at most 4 MiB are sent to a group at once");
        return true;
    }
    answer_broadcast(q);
    if (q->answer->status != 200) return true;
    tally_begin(q, SLICE("sent"), "were sent it");
    return true;
}
