#include "gateway/command/token/dev_issuer.h"
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/command/token/dev_keys.h"
#include "gateway/source/http/http_server.h"
#include <stdlib.h>

#define KEYS_PATH "/jwks.json"
#define TIMEOUT_MS 5000
#define CONNECTIONS_MAX 64

struct dev_issuer {
    struct http_server *server;
    struct listener *listener;
    struct http_group group;
    char *url;
    char *keys_url;
    struct buf keys;
    struct buf metadata;
};

static const struct buf *document_at(const struct dev_issuer *d, struct slice path) {
    static const struct slice metadata_paths[] = {{"/.well-known/openid-configuration", 33},
                                                  {"/.well-known/oauth-authorization-server", 39}};
    if (slice_equal(path, SLICE(KEYS_PATH))) return &d->keys;
    for (size_t i = 0; i < ARRAY_LEN(metadata_paths); i++)
        if (slice_equal(path, metadata_paths[i])) return &d->metadata;
    return NULL;
}

static void on_head(struct http_exchange *x) {
    const struct dev_issuer *d = http_server_context(http_exchange_server(x));
    struct slice method = http_exchange_method(x);
    const struct buf *document = document_at(d, http_exchange_target(x));
    bool known = slice_equal(method, SLICE("GET")) || slice_equal(method, SLICE("HEAD"));
    struct field field = {SLICE("Content-Type"), SLICE("application/json")};
    const struct fields headers = {.items = &field, .count = 1, .capacity = 1};
    if (!known)
        http_exchange_reply_bytes(x, 405, NULL, NULL, 0);
    else if (!document)
        http_exchange_reply_bytes(x, 404, NULL, NULL, 0);
    else
        http_exchange_reply_bytes(x, 200, &headers, slice_dup(buf_slice(document)), document->n);
}

/* Nothing is asked of a body, so nothing reads one. */
static size_t on_data(struct http_exchange *x, struct slice bytes) {
    (void)x;
    return bytes.n;
}
static void on_end(struct http_exchange *x) {
    (void)x;
}
static void on_done(struct http_exchange *x, bool replied) {
    (void)x;
    (void)replied;
}

static const struct http_server_ops issuer_ops = {
    .on_head = on_head, .on_data = on_data, .on_end = on_end, .on_done = on_done};

static void on_accept(void *context, int take_fd, const struct peer *peer) {
    struct dev_issuer *d = context;
    http_server_add(d->server, &d->group, take_fd, peer);
}

static void write_metadata(struct dev_issuer *d) {
    struct json_write w = json_write_to(&d->metadata);
    json_open(&w, '{');
    json_member(&w, SLICE("issuer"), slice_of(d->url));
    json_member(&w, SLICE("jwks_uri"), slice_of(d->keys_url));
    json_name(&w, SLICE("id_token_signing_alg_values_supported"));
    json_raw(&w, SLICE("[\"ES256\",\"RS256\"]"));
    json_name(&w, SLICE("subject_types_supported"));
    json_raw(&w, SLICE("[\"public\"]"));
    json_name(&w, SLICE("response_types_supported"));
    json_raw(&w, SLICE("[]"));
    json_close(&w, '}');
}

static int write_documents(struct dev_issuer *d, struct error *e) {
    struct dev_keys keys;
    int status = dev_keys_open(&keys, e);
    if (status < 0) return status;
    dev_keys_write_set(&keys, &d->keys);
    dev_keys_close(&keys);
    d->url = xasprintf("http://%s", listener_address(d->listener));
    d->keys_url = xasprintf("%s" KEYS_PATH, d->url);
    write_metadata(d);
    return 0;
}

static int issuer_open(struct dev_issuer *d, struct loop *l, struct log *log, struct error *e) {
    const struct listener_config any_port = {.kind = LISTENER_TCP, .host = "127.0.0.1", .text = "127.0.0.1:0"};
    const struct http_server_config config = {.ops = &issuer_ops,
                                              .phase = TURN_LOCAL,
                                              .lanes = 1,
                                              .max_header = 16 * 1024,
                                              .max_connections = CONNECTIONS_MAX,
                                              .header_timeout_ms = TIMEOUT_MS,
                                              .body_timeout_ms = TIMEOUT_MS,
                                              .idle_timeout_ms = TIMEOUT_MS,
                                              .log = log,
                                              .context = d};
    d->server = http_server_new(l, &config, e);
    if (!d->server) return -1;
    d->listener = listener_open(l, &any_port, on_accept, d, e);
    return d->listener ? write_documents(d, e) : -1;
}

struct dev_issuer *dev_issuer_new(struct loop *l, struct log *log, struct error *e) {
    struct dev_issuer *d = xcalloc(1, sizeof *d);
    http_group_init(&d->group, d);
    if (issuer_open(d, l, log, e) == 0) return d;
    dev_issuer_free(d);
    return NULL;
}

const char *dev_issuer_url(const struct dev_issuer *d) {
    return d->url;
}
const char *dev_issuer_keys_url(const struct dev_issuer *d) {
    return d->keys_url;
}

void dev_issuer_close(struct dev_issuer *d) {
    listener_close(d->listener);
    d->listener = NULL;
    http_group_close(&d->group);
}

bool dev_issuer_is_idle(const struct dev_issuer *d) {
    return http_server_connections(d->server) == 0;
}

void dev_issuer_free(struct dev_issuer *d) {
    if (!d) return;
    listener_close(d->listener);
    if (d->server) http_server_free(d->server);
    buf_free(&d->keys);
    buf_free(&d->metadata);
    free(d->keys_url);
    free(d->url);
    free(d);
}
