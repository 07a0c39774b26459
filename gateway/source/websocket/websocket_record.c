#include "gateway/base/json_read.h"
#include "gateway/source/websocket/websocket_private.h"
#include "plugins/auth/guard.h"

#define VERSION 1

/* What $disconnect shows of a session; of the identity what was claimed, no credential. */
static const size_t text_offsets[] = {
    offsetof(struct session, path),           offsetof(struct session, raw_path),   offsetof(struct session, host),
    offsetof(struct session, scheme),         offsetof(struct session, user_agent), offsetof(struct session, protocol),
    offsetof(struct session, client_address),
};

static struct slice *text_at(const struct session *session, size_t i) {
    return (struct slice *)(void *)((char *)(uintptr_t)session + text_offsets[i]);
}

/* What comes back from Redis may have been written by anybody. It becomes header fields of an event, so nothing in it
 * may end one (RFC 9110 5.5). */
static bool text_is_clean(struct slice text) {
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) return false;
    }
    return true;
}

/* Each with a byte before it, because an absent text is not an empty one. */
static void text_write(struct buf *out, struct slice text) {
    cluster_field_write(out, slice_is_none(text) ? SLICE("-") : SLICE("+"));
    if (!slice_is_none(text)) cluster_field_write(out, text);
}

static bool text_read(struct slice *rest, struct arena *a, struct slice *text) {
    struct slice mark, field;
    *text = SLICE_NONE;
    if (!cluster_field_read(rest, &mark) || mark.n != 1) return false;
    if (mark.p[0] == '-') return true;
    if (mark.p[0] != '+' || !cluster_field_read(rest, &field) || !text_is_clean(field)) return false;
    *text = arena_copy(a, field);
    return true;
}

static void identity_write(struct buf *out, const struct identity *i) {
    cluster_field_write_number(out, i ? 1 : 0);
    if (!i) return;
    cluster_field_write_number(out, (uint64_t)i->shape);
    cluster_field_write(out, i->guard);
    cluster_field_write(out, i->scheme);
    cluster_field_write(out, i->claims_json);
}

static void groups_write(struct buf *out, const struct session *session) {
    struct arena scratch;
    arena_init(&scratch, 256);
    text_write(out, session_groups(session, &scratch));
    arena_free(&scratch);
}

void session_record_write(struct buf *out, const struct session *session) {
    cluster_field_write_number(out, VERSION);
    cluster_field_write_number(out, session->connected_ms);
    cluster_field_write_number(out, session->client_port);
    for (size_t i = 0; i < ARRAY_LEN(text_offsets); i++) text_write(out, *text_at(session, i));
    cluster_field_write_number(out, session->parameter_count);
    for (size_t i = 0; i < session->parameter_count; i++) cluster_field_write(out, session->parameters[i]);
    identity_write(out, session->identity);
    groups_write(out, session);
}

static bool parameters_read(struct slice *rest, struct session *session) {
    uint64_t count;
    if (!cluster_field_read_number(rest, &count) || count > INVOCATION_MAX_PARAMETERS) return false;
    session->parameters = arena_zalloc(&session->memory, ((size_t)count + 1) * sizeof *session->parameters);
    for (; session->parameter_count < count; session->parameter_count++) {
        struct slice field;
        if (!cluster_field_read(rest, &field)) return false;
        session->parameters[session->parameter_count] = arena_copy(&session->memory, field);
    }
    return true;
}

static bool claims_are_good(struct slice claims) {
    return text_is_clean(claims) && json_is_valid(claims) && claims.p[0] == '{';
}

static bool identity_read(struct slice *rest, struct session *session) {
    struct arena *a = &session->memory;
    struct slice guard, scheme, claims;
    uint64_t known, shape;
    if (!cluster_field_read_number(rest, &known)) return false;
    if (!known) return true;
    if (!cluster_field_read_number(rest, &shape) || shape > IDENTITY_LAMBDA) return false;
    if (!cluster_field_read(rest, &guard) || !cluster_field_read(rest, &scheme) || !cluster_field_read(rest, &claims))
        return false;
    if (!text_is_clean(guard) || !text_is_clean(scheme) || !claims_are_good(claims)) return false;
    session->identity = identity_of_claims(a, (enum identity_shape)shape, arena_text(a, scheme), arena_copy(a, claims));
    session->identity->guard = arena_copy(a, guard);
    return true;
}

/* One that an event can have for its own, behind what the handshake has checked (websocket_handshake.c). */
static bool raw_path_is_good(const struct session *session) {
    struct arena scratch;
    struct error e;
    struct url url;
    arena_init(&scratch, 256);
    bool good = session->raw_path.n && session->raw_path.p[0] == '/' &&
                url_parse(&url, &scratch, session->raw_path, &e) == 0 && slice_is_none(url.query) &&
                url.segment_count + 2 <= URL_MAX_SEGMENTS;
    arena_free(&scratch);
    return good;
}

bool session_record_read(struct slice rest, struct session *session) {
    uint64_t version, port;
    if (!cluster_field_read_number(&rest, &version) || version != VERSION) return false;
    if (!cluster_field_read_number(&rest, &session->connected_ms)) return false;
    if (!cluster_field_read_number(&rest, &port) || port > UINT16_MAX) return false;
    session->client_port = (uint16_t)port;
    for (size_t i = 0; i < ARRAY_LEN(text_offsets); i++)
        if (!text_read(&rest, &session->memory, text_at(session, i))) return false;
    return raw_path_is_good(session) && parameters_read(&rest, session) && identity_read(&rest, session) &&
           text_read(&rest, &session->memory, &session->groups);
}
