#include "gateway/base/buf.h"
#include "gateway/source/websocket/websocket_private.h"

/* The same claims, in the memory of the event. */
static struct identity *identity_for(const struct session *session, struct arena *a) {
    if (!session->identity) return NULL;
    struct identity *own = arena_alloc(a, sizeof *own);
    *own = *session->identity;
    own->details = NULL;
    own->arena = a;
    return own;
}

/* POST /websocket, the path as the client asked for it, and the route. */
static void event_address(struct invocation *inv, const struct session *session, struct slice route) {
    struct buf path = {0};
    buf_append_text(&path, "/websocket");
    buf_append_slice(&path, session->raw_path);
    if (path.p[path.n - 1] != '/') buf_append_char(&path, '/');
    if (route.p[0] == '$')
        buf_append_slice(&path, route);
    else
        url_append_form(&path, route);
    buf_append_char(&path, '\0');
    invocation_request_post(inv, path.p);
    buf_free(&path);
}

static void event_request(struct invocation *inv, const struct session *session) {
    struct request *r = &inv->request;
    struct arena *a = &inv->arena;
    r->host = arena_copy(a, session->host);
    r->scheme = arena_copy(a, session->scheme);
    r->client_address = arena_copy(a, session->client_address);
    r->client_port = session->client_port;
    for (size_t i = 0; i < session->parameter_count; i++) inv->parameters[i] = arena_copy(a, session->parameters[i]);
}

static void write_group(void *context, struct slice name) {
    struct buf *list = context;
    if (list->n) buf_append_char(list, ',');
    url_append_form(list, name);
}

struct slice session_groups(const struct session *session, struct arena *a) {
    struct buf list = {0};
    if (!session->ws) return session->groups;
    member_each_group(websocket_member(session->ws), write_group, &list);
    struct slice kept = list.n ? arena_copy(a, buf_slice(&list)) : SLICE_NONE;
    buf_free(&list);
    return kept;
}

static struct websocket_event *event_fill(struct invocation *inv, const struct session *session,
                                          const struct event_order *order) {
    struct websocket_event *e = arena_alloc(&inv->arena, sizeof *e);
    *e = order->event;
    e->route_key = order->route->name;
    e->connection_id = arena_copy(&inv->arena, slice_make(session->id, sizeof session->id));
    e->request_id = invocation_id(inv);
    e->connected_ms = session->connected_ms;
    e->event_ms = inv->received_wall_ms;
    e->host = inv->request.host;
    e->client_address = inv->request.client_address;
    e->user_agent = arena_copy(&inv->arena, session->user_agent);
    e->identity = inv->identity;
    e->groups = session_groups(session, &inv->arena);
    return e;
}

bool outcome_is_good(const struct outcome *o) {
    return o->failure == FAILURE_NONE && o->status >= 200 && o->status <= 299;
}

struct invocation *session_event(struct session *session, const struct event_order *order) {
    struct invocation *inv = invocation_new(order->site->pipeline, order->ops, order->context);
    inv->trigger = TRIGGER_WEBSOCKET;
    inv->route = &order->route->route;
    event_address(inv, session, order->route->name);
    event_request(inv, session);
    inv->identity = identity_for(session, &inv->arena);
    inv->websocket = event_fill(inv, session, order);
    return inv;
}

struct invocation *session_connect_event(struct session *session, const struct event_order *order,
                                         const struct request *handshake) {
    struct invocation *inv = session_event(session, order);
    struct arena *a = &inv->arena;
    struct websocket_event *e = arena_alloc(a, sizeof *e);
    struct fields *headers = &inv->request.headers;
    for (size_t i = 0; i < handshake->headers.count; i++)
        fields_add(headers, a, arena_copy(a, handshake->headers.items[i].name),
                   arena_copy(a, handshake->headers.items[i].value));
    *e = *inv->websocket;
    e->headers = headers;
    e->query = inv->request.url.query = arena_copy(a, handshake->url.query);
    inv->websocket = e;
    return inv;
}
