#include "local-api/proxy_fields.h"
#include "gateway/base/http_text.h"
#include "local-api/http_message.h"
#include <curl/curl.h>
#include <stdlib.h>

struct field_list {
    struct curl_slist *first;
    struct buf line;
};

static void list_add(struct field_list *l, const char *line) {
    struct curl_slist *longer = curl_slist_append(l->first, line);
    if (!longer) abort(); /* as xmalloc does: the size has passed the limit on headers */
    l->first = longer;
}

/* To libcurl `Name:` means "leave it out", and `Name;` is a field without a value. */
static void list_add_field(struct field_list *l, struct slice name, struct slice value) {
    l->line.n = 0;
    buf_append_slice(&l->line, name);
    buf_append_text(&l->line, value.n ? ": " : ";");
    buf_append_slice(&l->line, value);
    buf_append_char(&l->line, '\0');
    list_add(l, l->line.p);
}

/* Written by us, or about the way a request came. */
static bool is_rewritten(struct slice name) {
    static const char *const ours[] = {"Host",      "Content-Length", "Forwarded",
                                       "X-Real-IP", "X-Request-Id",   "traceparent"};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (slice_equal_nocase(name, slice_of(ours[i]))) return true;
    return slice_starts_with_nocase(name, SLICE("X-Forwarded-"));
}

static void add_client_fields(struct field_list *l, const struct fields *all) {
    for (size_t i = 0; i < all->count; i++) {
        const struct field *f = &all->items[i];
        if (request_field_passes(all, f->name) && !is_rewritten(f->name)) list_add_field(l, f->name, f->value);
    }
}

static void add_event_fields(struct field_list *l, const struct invocation *inv, uint64_t deadline_ms) {
    struct buf lines = {0};
    struct slice line;
    event_fields_write(&lines, inv, deadline_ms);
    for (struct slice rest = buf_slice(&lines); slice_next(&rest, '\n', &line) && line.n;) {
        l->line.n = 0;
        buf_append(&l->line, line.p, line.n - 1); /* without the CR */
        buf_append_char(&l->line, '\0');
        list_add(l, l->line.p);
    }
    buf_free(&lines);
}

/* A client on a Unix socket has no address to tell; an event that is no request has no client. */
static void add_forwarded(struct field_list *l, const struct invocation *inv) {
    const struct request *r = &inv->request;
    if (r->client_address.n && !slice_starts_with(r->client_address, SLICE("unix:")))
        list_add_field(l, SLICE("X-Forwarded-For"), r->client_address);
    if (r->scheme.n) list_add_field(l, SLICE("X-Forwarded-Proto"), r->scheme);
    if (r->host.n) list_add_field(l, SLICE("X-Forwarded-Host"), r->host);
    list_add_field(l, SLICE("X-Request-Id"), inv->request_id);
}

static void add_payload(struct field_list *l, enum proxy_payload payload) {
    switch (payload) {
    case PROXY_EMPTY_BODY: list_add(l, "Content-Length: 0"); return;
    case PROXY_CHUNKED: list_add(l, "Transfer-Encoding: chunked"); return;
    case PROXY_NO_BODY:
    case PROXY_KNOWN_LENGTH: return;
    }
}

struct curl_slist *proxy_fields_new(const struct invocation *inv, enum proxy_payload payload, uint64_t deadline_ms) {
    struct field_list l = {0};
    add_client_fields(&l, &inv->request.headers);
    add_event_fields(&l, inv, deadline_ms);
    add_forwarded(&l, inv);
    add_payload(&l, payload);
    if (slice_is_none(fields_get(&inv->request.headers, SLICE("Accept")))) list_add(&l, "Accept:");
    list_add(&l, "Expect:");
    buf_free(&l.line);
    return l.first;
}
