#include "plugins/compress/compress.h"
#include "gateway/base/http_text.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/model.h"
#include "plugins/compress/compress_policy.h"
#include "plugins/compress/compress_stream.h"
#include <assert.h>
#include <stdlib.h>

#define WHOLE_MAX (64 * 1024) /* a complete body up to here is encoded in one go: a millisecond or two */

struct compress {
    const struct compress_settings *settings;
    struct compress_streams streams;
};

static const struct compress_policy *policy_of(const struct compress_settings *s, const struct route *route) {
    if (!route || !route->trigger) return s->application;
    assert(route->trigger->number < s->trigger_count);
    return s->triggers[route->trigger->number];
}

/* --- what may be encoded --- */

/* They say something about the bytes as they are (RFC 9530, RFC 1864). */
static bool names_its_bytes(const struct fields *f) {
    static const struct slice names[] = {
        {"Content-Encoding", 16}, {"Content-Range", 13}, {"Content-Digest", 14},
        {"Repr-Digest", 11},      {"Digest", 6},         {"Content-MD5", 11},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (!slice_is_none(fields_get(f, names[i]))) return true;
    return false;
}

static bool forbids_transformation(const struct fields *f) {
    for (size_t i = 0; i < f->count; i++) {
        bool cache_control = slice_equal_nocase(f->items[i].name, SLICE("Cache-Control"));
        if (cache_control && http_list_has(f->items[i].value, SLICE("no-transform"))) return true;
    }
    return false;
}

static bool status_is_encodable(int status) {
    return status >= 200 && status != 204 && status != 205 && status != 206 && status != 304;
}

static bool is_encodable(const struct compress_policy *p, const struct outcome *o) {
    if (!o->body || body_state_of(o->body) == BODY_FAILED || !status_is_encodable(o->status)) return false;
    if (!compress_policy_has_type(p, fields_get(&o->headers, SLICE("Content-Type")))) return false;
    return !names_its_bytes(&o->headers) && !forbids_transformation(&o->headers);
}

static bool is_worth_it(const struct compress_policy *p, const struct body *b) {
    int64_t length = body_length(b);
    return length != 0 && (length == BODY_LENGTH_UNKNOWN || (uint64_t)length >= p->min_size);
}

/* --- encoding --- */

static bool encode_whole(struct outcome *o, struct encoder *encoder, struct coding_choice choice) {
    struct buf out = {0};
    struct slice plain = body_whole(o->body);
    int status = encoder_push(encoder, plain, ENCODER_FINISH, &out);
    if (status < 0 || (out.n >= plain.n && !choice.identity_refused)) {
        buf_free(&out);
        return false;
    }
    size_t n;
    char *bytes = buf_take(&out, &n);
    outcome_release(o);
    o->body = body_of_chunk(chunk_take(bytes, n));
    return true;
}

/* False: the body is as it was. */
static bool encode(struct compress *c, const struct compress_policy *p, struct outcome *o,
                   struct coding_choice choice) {
    bool whole = body_state_of(o->body) == BODY_COMPLETE && body_length(o->body) <= WHOLE_MAX;
    int64_t length = body_length(o->body);
    struct encoder *encoder = encoder_new(choice.coding, p->level, length > 0 ? (size_t)length : 0);
    if (!encoder) return false;
    if (!whole) {
        o->body = compress_stream_new(&c->streams, outcome_take_body(o), encoder);
        return true;
    }
    bool encoded = encode_whole(o, encoder, choice);
    encoder_free(encoder);
    return encoded;
}

static void weaken_etag(struct invocation *inv) {
    struct fields *f = &inv->outcome.headers;
    for (size_t i = 0; i < f->count; i++) {
        struct slice tag = f->items[i].value;
        if (!slice_equal_nocase(f->items[i].name, SLICE("ETag")) || slice_starts_with(tag, SLICE("W/"))) continue;
        f->items[i].value = arena_printf(&inv->arena, "W/" SLICE_FMT, SLICE_ARG(tag));
    }
}

static void mark_encoded(struct invocation *inv, enum coding coding) {
    struct fields *f = &inv->outcome.headers;
    fields_remove(f, SLICE("Content-Length"));
    fields_remove(f, SLICE("Accept-Ranges"));
    fields_add(f, &inv->arena, SLICE("Content-Encoding"), coding_name(coding));
    weaken_etag(inv);
}

static void answer_encode(struct compress *c, const struct compress_policy *p, struct invocation *inv) {
    struct coding_choice choice = encoding_choose(&inv->request.headers, &p->offer);
    http_vary_add(&inv->outcome.headers, &inv->arena, SLICE("Accept-Encoding"));
    if (choice.coding == CODING_IDENTITY) return;
    if (!is_worth_it(p, inv->outcome.body) && !choice.identity_refused) return;
    if (encode(c, p, &inv->outcome, choice)) mark_encoded(inv, choice.coding);
}

/* It confirms what a 200 would have been: perhaps an encoded one, and a weak tag is never wrong. */
static void confirm_weakly(const struct compress_policy *p, struct invocation *inv) {
    if (slice_is_none(fields_get(&inv->outcome.headers, SLICE("ETag")))) return;
    http_vary_add(&inv->outcome.headers, &inv->arena, SLICE("Accept-Encoding"));
    if (encoding_choose(&inv->request.headers, &p->offer).coding != CODING_IDENTITY) weaken_etag(inv);
}

static void compress_post_handle(void *state, struct invocation *inv) {
    struct compress *c = state;
    const struct compress_policy *p = policy_of(c->settings, inv->route);
    if (!p) return;
    if (inv->outcome.status == 304)
        confirm_weakly(p, inv);
    else if (!inv->answers_events && is_encodable(p, &inv->outcome))
        answer_encode(c, p, inv);
}

static int compress_open(const struct plugin_host *host, const void *settings, void **state, struct error *e) {
    (void)e;
    static const struct compress_settings nothing = {.trigger_count = 0};
    struct compress *c = xcalloc(1, sizeof *c);
    c->settings = settings ? settings : &nothing;
    compress_streams_init(&c->streams, host->turn);
    *state = c;
    return 0;
}

static void compress_close(void *state) {
    struct compress *c = state;
    compress_streams_close(&c->streams);
    free(c);
}

static bool compress_is_idle(void *state) {
    const struct compress *c = state;
    return list_empty(&c->streams.all);
}

const struct plugin compress_plugin = {
    .name = "compress",
    .section = &compress_section,
    .open = compress_open,
    .post_handle = compress_post_handle,
    .close = compress_close,
    .is_idle = compress_is_idle,
};
