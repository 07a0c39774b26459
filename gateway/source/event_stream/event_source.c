#include "gateway/source/event_stream/event_source.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/invocation/event_groups.h"
#include "gateway/invocation/identity.h"
#include "gateway/invocation/router.h"
#include "gateway/source/http/http_server.h"
#include <stdlib.h>

#define OWNER_FIRST_BLOCK 512

struct event_source {
    struct loop *loop;
    struct log *log;
    struct members *members;
    struct event_streams *streams;
    void (*on_ended)(void *context);
    void *context;
};

/* Who a held stream belongs to, as far as anybody wants to know. */
struct owner {
    struct event_source *source;
    struct arena memory;
    char id[WEBSOCKET_ID_SIZE];
    struct slice route, path, client, client_address, user_agent;
    struct identity *identity;
    uint64_t connected_ms;
};

/* From the answer to the stream. */
struct hold {
    struct http_upgrade upgrade;
    struct owner *owner;
    struct body *opening;
    struct slice groups;
    struct event_rules rules;
};

static void owner_free(struct owner *o) {
    struct event_source *s = o->source;
    arena_free(&o->memory);
    free(o);
    s->on_ended(s->context);
}

static void id_of(const struct invocation *inv, char id[WEBSOCKET_ID_SIZE]) {
    size_t n = 0;
    for (size_t i = 0; i < UUID_TEXT_SIZE; i++)
        if (inv->id[i] != '-') id[n++] = inv->id[i];
}

static struct owner *owner_new(struct event_source *s, struct invocation *inv) {
    struct owner *o = xcalloc(1, sizeof *o);
    struct arena *a = &o->memory;
    o->source = s;
    arena_init(a, OWNER_FIRST_BLOCK);
    id_of(inv, o->id);
    o->route = arena_copy(a, inv->route->key);
    o->path = arena_copy(a, inv->request.url.path);
    o->client = arena_copy(a, invocation_client_key(inv));
    o->client_address = arena_copy(a, inv->request.client_address);
    o->user_agent = arena_copy(a, fields_get(&inv->request.headers, SLICE("User-Agent")));
    o->identity = identity_keep(inv->identity, a);
    o->connected_ms = clock_wall_ms(loop_clock(s->loop));
    return o;
}

/* --- what the streams tell --- */

static void on_closed(void *owner, const char *why) {
    struct owner *o = owner;
    log_event(o->source->log, LOG_INFO, "event stream closed", LOG_SLICE("connection", slice_make(o->id, sizeof o->id)),
              LOG_SLICE("path", o->path), LOG_TEXT("reason", why), LOG_SLICE("client", o->client_address));
    owner_free(o);
}

static struct member_facts on_facts(void *owner) {
    const struct owner *o = owner;
    return (struct member_facts){.path = o->path,
                                 .client_address = o->client_address,
                                 .user_agent = o->user_agent,
                                 .identity = o->identity,
                                 .connected_ms = o->connected_ms};
}

static const struct event_stream_ops stream_ops = {.on_closed = on_closed, .facts = on_facts};

/* --- holding --- */

static void hold_free(struct hold *h) {
    buf_free(&h->upgrade.head);
    free(h);
}

static void hold_join(void *context, struct slice group) {
    (void)member_join(context, group);
}

static void on_taken(struct http_upgrade *u, int take_fd, struct slice early) {
    struct hold *h = container_of(u, struct hold, upgrade);
    struct owner *o = h->owner;
    (void)early; /* whoever waits for events has nothing more to ask on this connection */
    const struct event_stream_start start = {.take_fd = take_fd,
                                             .take_head = &h->upgrade.head,
                                             .take_opening = h->opening,
                                             .id = o->id,
                                             .rules = &h->rules,
                                             .route = o->route,
                                             .client = o->client,
                                             .owner = o};
    struct event_stream *s = event_stream_open(o->source->streams, &start);
    if (s)
        event_groups_each(h->groups, &o->memory, hold_join, event_stream_member(s));
    else
        owner_free(o);
    hold_free(h);
}

static void on_lost(struct http_upgrade *u) {
    struct hold *h = container_of(u, struct hold, upgrade);
    if (h->opening) body_release_consumer(h->opening);
    owner_free(h->owner);
    hold_free(h);
}

static struct http_upgrade *hold_new(struct event_source *s, struct invocation *inv) {
    struct hold *h = xcalloc(1, sizeof *h);
    h->upgrade = (struct http_upgrade){.taken = on_taken, .lost = on_lost};
    h->owner = owner_new(s, inv);
    h->opening = outcome_take_body(&inv->outcome);
    h->groups = arena_copy(&h->owner->memory, inv->answer_groups);
    h->rules = *inv->event_rules;
    return &h->upgrade;
}

void event_source_mark(const struct event_source *s, struct invocation *inv) {
    members_mark_id(s->members, inv->id);
}

void event_source_take(struct event_source *s, struct invocation *inv) {
    struct outcome *o = &inv->outcome;
    bool streams = invocation_answers_events(inv) && o->failure == FAILURE_NONE;
    if (!streams || slice_equal(inv->request.method, SLICE("HEAD"))) return;
    if (!slice_is_none(inv->answer_groups))
        inv->upgrade = hold_new(s, inv);
    else if (o->body && body_state_of(o->body) == BODY_OPEN)
        o->body = event_relay_new(s->streams, outcome_take_body(o), inv->event_rules);
}

/* --- life --- */

struct event_source *event_source_new(const struct event_source_config *c) {
    struct event_source *s = xcalloc(1, sizeof *s);
    s->loop = c->loop;
    s->log = c->log;
    s->on_ended = c->on_ended;
    s->context = c->context;
    s->members = c->members;
    s->streams = event_streams_new(c->loop, c->members, &stream_ops);
    return s;
}

void event_source_free(struct event_source *s) {
    if (!s) return;
    event_streams_free(s->streams);
    free(s);
}

struct event_streams *event_source_streams(struct event_source *s) {
    return s->streams;
}
