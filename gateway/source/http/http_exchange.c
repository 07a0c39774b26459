#include "gateway/source/http/http_private.h"

void exchange_suspend(struct http_exchange *x) {
    MHD_suspend_connection(x->mhd);
    x->suspended = true;
    exchange_calm(x);
    exchange_place(x, PLACE_PARKED);
}

void exchange_resume(struct http_exchange *x) {
    x->suspended = false;
    exchange_stir(x);
    watch_close(x->watch);
    x->watch = NULL;
    exchange_place(x, x->stage == STAGE_END ? PLACE_SENDING : PLACE_BODY);
    MHD_resume_connection(x->mhd);
    lane_wake(x->lane);
}

static struct http_exchange *exchange_of(struct MHD_Connection *c) {
    return MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* libmicrohttpd would make a record of its memory for every argument, which nobody looks at, and run out of it. The
 * text is its own read buffer; what follows the question mark is cut off there, once we have copied it. */
static void hide_query(const char *target) {
    char *query = strchr((char *)(uintptr_t)target, '?');
    if (query) query[1] = '\0';
}

/* The request line is here, still raw: afterwards libmicrohttpd cuts the query off in place, so it is copied. */
void *exchange_on_target(void *server, const char *target, struct MHD_Connection *c) {
    (void)server;
    struct http_exchange *x = exchange_of(c);
    size_t n = strlen(target);
    char *room = x->target_inline;
    if (n > TARGET_INLINE) {
        x->target_long.n = 0;
        room = buf_reserve(&x->target_long, n);
    }
    memcpy(room, target, n);
    x->target = slice_make(room, n);
    x->raw_target = target;
    hide_query(target);
    exchange_place(x, PLACE_HEADER);
    return x;
}

static struct slice lookup(const struct http_exchange *x, enum MHD_ValueKind kind, struct slice name) {
    const char *value = NULL;
    size_t n = 0;
    if (MHD_lookup_connection_value_n(x->mhd, kind, name.p, name.n, &value, &n) != MHD_YES || !value) return SLICE_NONE;
    return slice_trim(slice_make(value, n));
}

/* As libmicrohttpd reads it: Transfer-Encoding before the first Content-Length. */
static int64_t length_of_body(const struct http_exchange *x) {
    if (!slice_is_none(lookup(x, MHD_HEADER_KIND, SLICE("Transfer-Encoding")))) return BODY_LENGTH_UNKNOWN;
    uint64_t length;
    struct slice text = lookup(x, MHD_HEADER_KIND, SLICE("Content-Length"));
    if (slice_is_none(text)) return 0;
    /* One that cannot be counted is a body too, for the owner to refuse: libmicrohttpd goes on to read it. */
    return slice_to_u64(text, &length) && length <= INT64_MAX ? (int64_t)length : INT64_MAX;
}

static void exchange_open(struct http_exchange *x) {
    x->open = true;
    x->server->exchanges++;
    x->server->counters.exchanges++;
    x->server->config.ops->on_head(x);
}

/* At the end of a call: what libmicrohttpd is to do next. */
static enum MHD_Result settle(struct http_exchange *x) {
    if (x->broken) return MHD_NO;
    if (x->stage == STAGE_END) {
        if (x->by_hand && !x->stream) return MHD_NO;
        if (x->by_hand) {
            exchange_suspend(x);
            return MHD_YES;
        }
        if (x->leaves)
            exchange_leave(x);
        else if (x->response)
            reply_queue(x);
        else
            exchange_suspend(x);
        return MHD_YES;
    }
    if (!x->reading && !x->replied) {
        exchange_suspend(x);
        return MHD_YES;
    }
    /* Reading on would put a `100 Continue` into the middle of the answer. */
    if (x->by_hand && x->stream && !slice_is_none(lookup(x, MHD_HEADER_KIND, SLICE("Expect")))) {
        exchange_suspend(x);
        return MHD_YES;
    }
    x->stage = STAGE_BODY;
    if (!x->by_hand) exchange_place(x, PLACE_BODY);
    return MHD_YES;
}

/* The first call, on the head alone. Without a body a second one follows at once, and only there an answer leaves the
 * connection open. */
static enum MHD_Result call_on_head(struct http_exchange *x, const char *method, const char *version) {
    x->stage = STAGE_HEAD;
    x->method = slice_of(method);
    x->version = slice_of(version);
    x->content_length = length_of_body(x);
    if (x->content_length == 0) return MHD_YES;
    exchange_open(x);
    return settle(x);
}

static enum MHD_Result call_on_data(struct http_exchange *x, struct slice bytes, size_t *left) {
    *left = 0;
    if (!x->by_hand) exchange_place(x, PLACE_BODY);
    if (x->replied) return MHD_YES;
    x->reading = false;
    size_t taken = x->server->config.ops->on_data(x, bytes);
    if (x->broken) return MHD_NO;
    if (taken == bytes.n || x->replied) {
        x->reading = true;
        return MHD_YES;
    }
    *left = bytes.n - taken;
    exchange_suspend(x);
    /* The owner asked for more before it said that it could not take all of this. */
    if (x->reading) exchange_resume(x);
    return MHD_YES;
}

static enum MHD_Result call_at_end(struct http_exchange *x) {
    x->stage = STAGE_END;
    if (!x->open) exchange_open(x);
    if (x->reading && !x->ended && !x->replied) {
        x->ended = true;
        x->server->config.ops->on_end(x);
    }
    return settle(x);
}

/* Which call this is follows from the stage: libmicrohttpd repeats the call on the head after a resume, with the same
 * size of 0 that marks the end of the body. */
static enum MHD_Result exchange_call(struct http_exchange *x, const char *method, const char *version,
                                     struct slice bytes, size_t *left) {
    if (x->broken) return MHD_NO;
    if (bytes.n > 0 && !x->open) return MHD_NO;
    if (x->stage == STAGE_NONE) return call_on_head(x, method, version);
    if (x->stage == STAGE_HEAD && x->content_length != 0) return settle(x);
    if (bytes.n > 0) return call_on_data(x, bytes, left);
    return call_at_end(x);
}

enum MHD_Result exchange_on_call(void *server, struct MHD_Connection *c, const char *url, const char *method,
                                 const char *version, const char *upload_data, size_t *upload_size, void **context) {
    (void)server;
    (void)c;
    (void)url;
    struct http_exchange *x = *context;
    x->in_call = true;
    enum MHD_Result result = exchange_call(x, method, version, slice_make(upload_data, *upload_size), upload_size);
    x->in_call = false;
    return result;
}

/* Ready for the next request on the connection. */
static void exchange_reset(struct http_exchange *x) {
    x->stage = STAGE_NONE;
    x->reading = x->ended = x->replied = x->queued = x->by_hand = x->leaves = false;
    x->target = SLICE_NONE;
    x->user = NULL;
    exchange_place(x, PLACE_IDLE);
    /* An answer that began before the drain did not say that it would be the last. */
    if (exchange_is_last(x)) exchange_break(x);
}

void exchange_on_completed(void *server, struct MHD_Connection *c, void **context,
                           enum MHD_RequestTerminationCode code) {
    (void)server;
    (void)c;
    struct http_exchange *x = *context;
    bool whole = code == MHD_REQUEST_TERMINATED_COMPLETED_OK && x->queued && !x->broken;
    watch_close(x->watch);
    x->watch = NULL;
    x->suspended = false;
    exchange_stir(x);
    reply_forget(x);
    if (x->open) {
        x->open = false;
        x->server->exchanges--;
        x->server->config.ops->on_done(x, whole || x->by_hand);
    }
    exchange_reset(x);
    /* A connection that ended is cleaned up by the next run. Behind TLS the pump finds the end of one that was
     * answered, and tells. */
    if (x->peer.tls && whole)
        pair_note_end(x);
    else
        lane_wake(x->lane);
}

void http_exchange_read(struct http_exchange *x) {
    if (!x->open || x->replied || x->broken) return;
    x->reading = true;
    if (x->suspended && !x->in_call) exchange_resume(x);
}

void http_exchange_abort(struct http_exchange *x) {
    exchange_break(x);
}

struct slice http_exchange_method(const struct http_exchange *x) {
    return x->method;
}

struct slice http_exchange_target(const struct http_exchange *x) {
    return x->target;
}

struct slice http_exchange_version(const struct http_exchange *x) {
    return x->version;
}

size_t http_exchange_head_size(const struct http_exchange *x) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(x->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info ? info->header_size : 0;
}

struct slice http_exchange_header(const struct http_exchange *x, struct slice name) {
    return lookup(x, MHD_HEADER_KIND, name);
}

struct slice http_exchange_trailer(const struct http_exchange *x, struct slice name) {
    return lookup(x, MHD_FOOTER_KIND, name);
}

struct collection {
    struct arena *arena;
    struct fields *fields;
    size_t size;
};

static enum MHD_Result collect_field(void *context, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                     const char *value, size_t value_size) {
    (void)kind;
    struct collection *c = context;
    /* An absent value is an empty one here: absent slices mean "no such field". */
    struct slice text = slice_trim(slice_make(value ? value : "", value ? value_size : 0));
    fields_add(c->fields, c->arena, slice_make(name, name_size), text);
    c->size += name_size + text.n;
    return MHD_YES;
}

static struct slice move_to(char **room, struct slice s) {
    memcpy(*room, s.p, s.n);
    struct slice moved = slice_make(*room, s.n);
    *room += s.n;
    return moved;
}

void http_exchange_fields(const struct http_exchange *x, struct arena *a, enum http_copy copy, struct fields *out) {
    struct collection c = {a, out, 0};
    size_t first = out->count;
    MHD_get_connection_values_n(x->mhd, MHD_HEADER_KIND, collect_field, &c);
    if (copy == HTTP_BORROW) return;
    char *room = arena_alloc(a, c.size + 1);
    for (size_t i = first; i < out->count; i++) {
        struct field *f = &out->items[i];
        f->name = move_to(&room, f->name);
        f->value = move_to(&room, f->value);
    }
}

/* libmicrohttpd's slices point into its read buffer, where each CRLF has become two NULs: so the distances between them
 * tell what was there. One byte is a bare LF, more than two is a NUL within the line, elsewhere is a folded line. */
struct layout {
    const char *end; /* of the line before */
    bool exact;
};

static enum MHD_Result lay_out_field(void *context, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                     const char *value, size_t value_size) {
    (void)kind;
    struct layout *l = context;
    if (name != l->end + 2 || !value || value < name + name_size + 1) l->exact = false;
    if (!l->exact) return MHD_NO;
    l->end = value + value_size;
    return MHD_YES;
}

bool http_exchange_head_is_exact(const struct http_exchange *x) {
    if (x->version.p != x->raw_target + x->target.n + 1) return false;
    if (x->raw_target != x->method.p + x->method.n + 1) return false;
    struct layout l = {x->version.p + x->version.n, true};
    MHD_get_connection_values_n(x->mhd, MHD_HEADER_KIND, lay_out_field, &l);
    return l.exact && l.end + 4 == x->method.p + http_exchange_head_size(x);
}

const struct peer *http_exchange_peer(const struct http_exchange *x) {
    return &x->peer;
}

int http_exchange_fd(const struct http_exchange *x) {
    return x->fd;
}

struct http_group *http_exchange_group(const struct http_exchange *x) {
    return x->group;
}

struct http_server *http_exchange_server(const struct http_exchange *x) {
    return x->server;
}

void http_exchange_set_user(struct http_exchange *x, void *user) {
    x->user = user;
}

void *http_exchange_user(const struct http_exchange *x) {
    return x->user;
}

int64_t http_exchange_content_length(const struct http_exchange *x) {
    return x->content_length;
}

bool http_exchange_replied(const struct http_exchange *x) {
    return x->replied;
}
