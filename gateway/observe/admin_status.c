/* What the gateway does right now, as JSON. */
#include "gateway/base/json_write.h"
#include "gateway/cluster/cluster.h"
#include "gateway/observe/admin_private.h"
#include "gateway/source/websocket/websocket_source.h"

static void json_count(struct json_write *w, struct slice name, uint64_t value) {
    json_name(w, name);
    json_number(w, (int64_t)value);
}

void admin_answer_health(struct admin_request *r) {
    const struct admin_host *host = &r->admin->host;
    bool draining = host->calls.pipeline(host->calls.context)->draining;
    struct buf text = {0};
    struct json_write w = json_write_to(&text);
    json_open(&w, '{');
    json_member(&w, SLICE("status"), draining ? SLICE("draining") : SLICE("serving"));
    json_close(&w, '}');
    admin_reply_json(r, draining ? 503 : 200, NULL, &text);
}

static void write_workers(struct json_write *w, const struct pool *p) {
    json_name(w, SLICE("workers"));
    json_open(w, '[');
    for (int s = 0; s < WORKER_STATES; s++) {
        list_each (pool_worker_list(p, (enum worker_state)s), node) {
            const struct worker *worker = list_entry(node, struct worker, node);
            json_open(w, '{');
            json_count(w, SLICE("number"), worker->number);
            json_count(w, SLICE("pid"), (uint64_t)worker->pid);
            json_member(w, SLICE("state"), slice_of(worker_state_name(worker->state)));
            json_count(w, SLICE("running"), worker->running.length);
            json_count(w, SLICE("served"), worker->served);
            json_close(w, '}');
        }
    }
    json_close(w, ']');
}

static void write_counters(struct json_write *w, const struct pool_counters *c) {
    const struct {
        struct slice name;
        uint64_t value;
    } rows[] = {{SLICE("submitted"), c->submitted},
                {SLICE("completed"), c->completed},
                {SLICE("rejected"), c->rejected},
                {SLICE("spawned"), c->spawned},
                {SLICE("crashes"), c->crashes},
                {SLICE("timeouts"), c->timeouts},
                {SLICE("recycled"), c->recycled},
                {SLICE("kills"), c->kills},
                {SLICE("spawnFailures"), c->spawn_failures},
                {SLICE("exits"), c->exits}};
    json_name(w, SLICE("counters"));
    json_open(w, '{');
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) json_count(w, rows[i].name, rows[i].value);
    json_close(w, '}');
}

static void write_pool(struct json_write *w, const struct pool *p) {
    json_open(w, '{');
    json_member(w, SLICE("handler"), slice_of(pool_handler(p)->name));
    json_count(w, SLICE("queued"), pool_queued(p));
    json_count(w, SLICE("failures"), pool_failures(p));
    write_workers(w, p);
    write_counters(w, pool_counters(p));
    json_close(w, '}');
}

static void write_schedule(struct json_write *w, const struct admin_schedule *s) {
    const struct {
        struct slice name;
        uint64_t value;
    } rows[] = {{SLICE("begun"), s->counts.begun},
                {SLICE("succeeded"), s->counts.succeeded},
                {SLICE("failed"), s->counts.failed},
                {SLICE("leftOut"), s->counts.left_out}};
    json_open(w, '{');
    json_member(w, SLICE("name"), slice_of(s->name));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) json_count(w, rows[i].name, rows[i].value);
    json_close(w, '}');
}

/* What it is in, if it is in one; the address shows neither user nor password. */
static void write_cluster(struct json_write *w, const struct cluster *c) {
    const char *tag, *trouble = cluster_trouble(c);
    json_name(w, SLICE("cluster"));
    json_open(w, '{');
    json_member(w, SLICE("node"), cluster_tag(c));
    json_member(w, SLICE("redis"), slice_of(cluster_redis(c)));
    json_name(w, SLICE("connected"));
    json_bool(w, trouble == NULL);
    if (trouble) json_member(w, SLICE("trouble"), slice_of(trouble));
    json_name(w, SLICE("nodes"));
    json_open(w, '[');
    for (size_t i = 0; (tag = cluster_node(c, i)); i++) json_text(w, slice_of(tag));
    json_close(w, ']');
    json_close(w, '}');
}

static void write_websockets(struct json_write *w, struct websocket_source *s) {
    const struct websockets_counters *c = websocket_source_counters(s);
    const struct websocket_acknowledgements *a = websocket_source_acknowledgements(s);
    const struct {
        struct slice name;
        uint64_t value;
    } rows[] = {{SLICE("open"), websocket_source_open(s)},
                {SLICE("opened"), c->opened},
                {SLICE("received"), c->received},
                {SLICE("sent"), c->sent},
                {SLICE("slow"), c->slow},
                {SLICE("silent"), c->silent},
                {SLICE("acknowledged"), a->acknowledged},
                {SLICE("duplicates"), a->duplicates},
                {SLICE("unacknowledged"), a->unacknowledged},
                {SLICE("resent"), a->resent},
                {SLICE("lost"), a->lost}};
    json_name(w, SLICE("websockets"));
    json_open(w, '{');
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) json_count(w, rows[i].name, rows[i].value);
    json_close(w, '}');
}

void admin_answer_status(struct admin_request *r) {
    const struct admin_host *host = &r->admin->host;
    const struct pipeline *pipeline = host->calls.pipeline(host->calls.context);
    const struct pool *p;
    struct admin_schedule schedule;
    struct buf text = {0};
    struct json_write w = json_write_to(&text);
    json_open(&w, '{');
    json_member(&w, SLICE("version"), SLICE(EXECGATE_VERSION));
    json_count(&w, SLICE("inFlight"), pipeline->in_flight);
    json_count(&w, SLICE("started"), pipeline->counters.started);
    json_count(&w, SLICE("finished"), pipeline->counters.finished);
    json_name(&w, SLICE("handlers"));
    json_open(&w, '[');
    for (size_t i = 0; (p = host->pool(host->calls.context, i)); i++) write_pool(&w, p);
    json_close(&w, ']');
    json_name(&w, SLICE("schedules"));
    json_open(&w, '[');
    for (size_t i = 0; host->schedule(host->calls.context, i, &schedule); i++) write_schedule(&w, &schedule);
    json_close(&w, ']');
    struct websocket_source *sockets = host->calls.websockets;
    if (sockets) write_websockets(&w, sockets);
    if (sockets && websocket_source_cluster(sockets)) write_cluster(&w, websocket_source_cluster(sockets));
    json_close(&w, '}');
    admin_reply_json(r, 200, NULL, &text);
}
