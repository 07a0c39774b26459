#include "gateway/base/memory.h"
#include "gateway/source/websocket/websocket_api_private.h"
#include <stdlib.h>

/* --- what the cluster is told --- */

static struct slice session_id(const struct session *session) {
    return slice_make(session->id, sizeof session->id);
}

static void record_put(struct session *session) {
    struct buf record = {0};
    session_record_write(&record, session);
    cluster_put(session->source->cluster, session_id(session), buf_slice(&record));
    buf_free(&record);
}

void session_record(struct session *session) {
    if (!session->source->cluster) return;
    session->recorded = true;
    record_put(session);
}

void session_unrecord(struct session *session) {
    struct cluster *c = session->source->cluster;
    cluster_confirm_cancel(&session->confirm);
    if (c && session->recorded) cluster_drop(c, session_id(session));
}

/* Its $disconnect says which groups it was in. */
void websocket_source_regroup(struct member *m) {
    struct websocket *ws = websocket_of_member(m);
    struct session *session = ws ? websocket_owner(ws) : NULL;
    if (session && session->recorded) session_record(session);
}

static void on_word(struct cluster_confirm *w, enum cluster_word word) {
    struct session *session = container_of(w, struct session, confirm);
    if (word == CLUSTER_CONFIRMED)
        session->confirmed = true;
    else
        session->told = true; /* by those who took this node for dead */
    session_pump_soon(session);
}

/* A node that was taken for dead must not run what a survivor runs, and only Redis knows. */
bool session_may_end(struct session *session) {
    struct cluster *c = session->source->cluster;
    if (!c || !session->recorded || session->confirmed) return true;
    session_retire(session);
    if (session->confirm.node.list) return false;
    session->confirm.on_word = on_word;
    cluster_confirm(c, &session->confirm);
    return false;
}

static void on_group(void *context, struct slice name, enum group_change change) {
    const struct websocket_source *s = context;
    if (!s->cluster) return;
    if (change == GROUP_BEGINS)
        cluster_enter(s->cluster, name);
    else
        cluster_leave(s->cluster, name);
}

static void on_sent(struct cluster_ask *ask, enum cluster_outcome outcome, struct slice answer) {
    (void)outcome;
    (void)answer;
    free(ask);
}

void cluster_send_text(struct websocket_source *s, struct slice id, struct slice text) {
    struct buf payload = {0}, target = {0};
    struct slice tag = slice_make(id.p, CLUSTER_TAG_SIZE);
    if (!s->cluster || id.n != WEBSOCKET_ID_SIZE || !cluster_tag_is_good(tag) ||
        slice_equal(tag, cluster_tag(s->cluster)))
        return;
    struct cluster_ask *ask = xcalloc(1, sizeof *ask);
    ask->on_end = on_sent;
    buf_append_text(&target, "/v1/connections/");
    url_append_form(&target, id);
    relay_write_parts(&payload, SLICE("POST"), buf_slice(&target), SLICE("text/plain"), text);
    buf_free(&target);
    cluster_ask(s->cluster, tag, &payload, ask);
}

/* --- what it tells --- */

/* Orphans are written down elsewhere. */
static void on_resync(void *context) {
    struct websocket_source *s = context;
    list_each (&s->sessions, node) {
        struct session *session = list_entry(node, struct session, node);
        if (session->recorded) record_put(session);
    }
    list_each (&s->leaving, node) {
        struct session *session = list_entry(node, struct session, node);
        if (session->recorded && !session->orphan) record_put(session);
    }
}

static bool id_is_good(struct slice id) {
    for (size_t i = 0; i < id.n; i++)
        if (!(id.p[i] >= '0' && id.p[i] <= '9') && !(id.p[i] >= 'a' && id.p[i] <= 'f')) return false;
    return id.n == WEBSOCKET_ID_SIZE;
}

/* Of what cannot be a connection nobody is told, and nobody else need look at it again. */
static void on_orphan(void *context, struct slice id, struct slice record) {
    struct websocket_source *s = context;
    if (id_is_good(id))
        session_of_record(s, id, record);
    else
        cluster_drop(s->cluster, id);
}

static void session_bury(struct session *session) {
    session->recorded = false;
    session->told |= session->opened;
    session->stale = !session->opened;
    if (session->ws) websocket_close(session->ws, CLOSE_RESTART, WEBSOCKET_TAKEN_FOR_DEAD);
    session_pump_soon(session);
}

static void on_buried(void *context) {
    struct websocket_source *s = context;
    members_tag(s->host.members, cluster_tag(s->cluster));
    list_each (&s->sessions, node) session_bury(list_entry(node, struct session, node));
    list_each (&s->leaving, node) session_bury(list_entry(node, struct session, node));
}

/* --- what other nodes ask --- */

struct node_asking {
    struct websocket_call call;
    struct cluster_served *served;
    struct arena arena;
    struct url url;
    struct buf payload;
};

static void node_answer(struct node_asking *q) {
    struct websocket_answer *a = &q->call.answer;
    struct buf payload = {0};
    cluster_field_write_number(&payload, (uint64_t)a->status);
    cluster_field_write(&payload, slice_of(a->detail));
    cluster_field_write(&payload, buf_slice(&a->json));
    cluster_answer(q->served, buf_slice(&payload));
    buf_free(&payload);
    buf_free(&a->json);
    buf_free(&q->payload);
    arena_free(&q->arena);
    free(q);
}

static void on_answered(struct websocket_call *c) {
    node_answer(container_of(c, struct node_asking, call));
}

static bool node_asking_read(struct node_asking *q) {
    struct slice rest = buf_slice(&q->payload), target;
    struct websocket_request *r = &q->call.request;
    struct error e;
    r->asker = WEBSOCKET_ASKED_BY_NODE;
    r->url = &q->url;
    r->arena = &q->arena;
    return cluster_field_read(&rest, &r->method) && cluster_field_read(&rest, &target) &&
           cluster_field_read(&rest, &r->content_type) && cluster_field_read(&rest, &r->body) &&
           url_parse(&q->url, &q->arena, target, &e) == 0;
}

static void on_request(void *context, struct cluster_served *served, struct slice payload) {
    struct websocket_source *s = context;
    struct node_asking *q = xcalloc(1, sizeof *q);
    q->served = served;
    q->call.on_done = on_answered;
    arena_init(&q->arena, 1024);
    buf_append_slice(&q->payload, payload);
    enum websocket_call_state state = node_asking_read(q) ? websocket_call_begin(&q->call, s) : WEBSOCKET_CALL_UNKNOWN;
    if (state == WEBSOCKET_CALL_UNKNOWN)
        q->call.answer = (struct websocket_answer){.status = 501, .detail = "the node does not know this call"};
    if (state != WEBSOCKET_CALL_WAITING) node_answer(q);
}

/* --- life --- */

int websocket_source_join(struct websocket_source *s, const struct websocket_cluster_config *config, struct error *e) {
    const struct cluster_options options = {.url = config->url,
                                            .name = config->name,
                                            .lease_ms = config->lease_ms,
                                            .log = s->log,
                                            .host = {.context = s,
                                                     .on_request = on_request,
                                                     .on_resync = on_resync,
                                                     .on_orphan = on_orphan,
                                                     .on_buried = on_buried}};
    s->cluster = cluster_new(s->loop, &options, e);
    if (!s->cluster) return -ERROR_FORMAT;
    members_tag(s->host.members, cluster_tag(s->cluster));
    members_watch_groups(s->host.members, on_group, s);
    return 0;
}

void websocket_source_leave(struct websocket_source *s) {
    if (s->cluster) cluster_quit(s->cluster);
}

bool websocket_source_has_left(const struct websocket_source *s) {
    return !s->cluster || cluster_is_over(s->cluster);
}

struct cluster *websocket_source_cluster(const struct websocket_source *s) {
    return s->cluster;
}
