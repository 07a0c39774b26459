/* Messages of clients that have ids of their own: each is handled once, and its client is told that it was. */
#include "gateway/base/json_read.h"
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/source/websocket/websocket_delivery.h"
#include "gateway/source/websocket/websocket_private.h"

#define SCRATCH_SIZE 512
#define BAD_ID "messageId: a text of 1 to 128 bytes without control characters is expected"

const struct websocket_config *session_config(const struct session *session) {
    const struct websocket_source_host *host = &session->source->host;
    const struct websocket_site *site = host->site(host->context, session->path);
    return site ? site->config : NULL;
}

/* What the gateway itself reads in a message: members of its outermost object. */
struct confirmation {
    struct json_value ack, message_id;
};

static struct confirmation confirmation_read(struct slice text, struct arena *a) {
    struct confirmation c = {.ack = {.kind = JSON_INVALID}, .message_id = {.kind = JSON_INVALID}};
    struct json_value value;
    struct json_read json;
    struct slice name;
    if (!json_is_valid(text)) return c;
    json_read_init(&json, text);
    if (!json_read_open(&json, '{')) return c;
    while (json_read_name(&json, a, &name) && json_read_value(&json, &value)) {
        if (slice_equal(name, SLICE("ack"))) c.ack = value;
        if (slice_equal(name, SLICE("messageId"))) c.message_id = value;
    }
    return c;
}

static void take_id(struct message *m, struct json_value value, struct arena *a) {
    struct slice id = value.kind == JSON_STRING ? json_text_of(a, value) : SLICE("");
    m->given_id = chunk_copy(delivery_id_is_good(id) ? id : SLICE(""));
}

bool acknowledge_take(struct message *m) {
    struct session *session = m->session;
    const struct websocket_config *config = session_config(session);
    struct arena scratch;
    if (!config || !config->acknowledge.on || m->kind != WEBSOCKET_TEXT) return false;
    arena_init(&scratch, SCRATCH_SIZE);
    struct confirmation c = confirmation_read(m->bytes->bytes, &scratch);
    bool is_ack = c.ack.kind == JSON_STRING;
    if (is_ack)
        deliveries_acknowledge(session, json_text_of(&scratch, c.ack));
    else if (c.message_id.kind != JSON_INVALID)
        take_id(m, c.message_id, &scratch);
    arena_free(&scratch);
    return is_ack;
}

/* --- once --- */

/* Clients that a guard knows are the same ones after they have come back. */
static struct seen_sender *sender_of(struct session *session) {
    if (session->sender) return session->sender;
    struct slice subject = session->identity ? identity_subject(session->identity) : SLICE_NONE;
    bool known = subject.n > 0;
    struct buf key = {0};
    buf_append_slice(&key, session->path);
    buf_append_char(&key, ' ');
    buf_append_slice(&key, known ? session->identity->guard : SLICE(""));
    buf_append_char(&key, ' ');
    buf_append_slice(&key, known ? subject : slice_make(session->id, sizeof session->id));
    session->sender = seen_sender_hold(session->source->seen, buf_slice(&key), known ? SEEN_LASTS : SEEN_WHILE_HELD);
    buf_free(&key);
    return session->sender;
}

static void say_acknowledged(struct message *m) {
    struct buf text = {0};
    struct json_write w = json_write_to(&text);
    json_open(&w, '{');
    json_member(&w, SLICE("ack"), m->given_id->bytes);
    json_close(&w, '}');
    m->session->source->counters.acknowledged++;
    session_say(m->session, WEBSOCKET_TEXT, buf_slice(&text));
    buf_free(&text);
}

enum acknowledge_verdict acknowledge_begin(struct message *m) {
    if (!m->given_id) return ACKNOWLEDGE_HANDLE;
    if (m->given_id->bytes.n == 0) {
        session_say_failure(m->session, BAD_ID, slice_make(m->id, sizeof m->id));
        return ACKNOWLEDGE_DROP;
    }
    enum seen_verdict verdict = seen_begin(sender_of(m->session), m->given_id->bytes, &m->seen);
    if (verdict == SEEN_NEVER) return ACKNOWLEDGE_HANDLE;
    m->session->source->counters.duplicates++;
    if (verdict == SEEN_HANDLED) say_acknowledged(m);
    return ACKNOWLEDGE_DROP;
}

void acknowledge_end(struct message *m) {
    if (!m->seen) return;
    seen_settle(m->seen, m->well ? m->site->config->acknowledge.window_ms : 0);
    m->seen = NULL;
    if (m->well) say_acknowledged(m);
}
