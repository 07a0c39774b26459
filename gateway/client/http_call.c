#include "gateway/client/http_call.h"
#include "gateway/base/memory.h"
#include "gateway/client/curl_security.h"
#include <curl/curl.h>
#include <stdlib.h>

struct http_caller {
    CURL *easy;
    char *ca_file;
    struct arena arena;
    struct buf body;
    size_t max_size;
    bool cut;
    char why[CURL_ERROR_SIZE];
};

struct http_caller *http_caller_new(const char *ca_file, struct error *e) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        error_set(e, ERROR_SYSTEM, "libcurl cannot be set up");
        return NULL;
    }
    struct http_caller *c = xcalloc(1, sizeof *c);
    c->easy = curl_easy_init();
    if (!c->easy) abort(); /* as xmalloc does */
    c->ca_file = ca_file ? xstrdup(ca_file) : NULL;
    arena_init(&c->arena, 4096);
    return c;
}

void http_caller_free(struct http_caller *c) {
    if (!c) return;
    curl_easy_cleanup(c->easy);
    curl_global_cleanup();
    buf_free(&c->body);
    arena_free(&c->arena);
    free(c->ca_file);
    free(c);
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context) {
    struct http_caller *c = context;
    size_t n = size * count;
    c->cut = n > c->max_size - c->body.n;
    if (c->cut) return 0; /* which makes libcurl end the transfer */
    buf_append(&c->body, bytes, n);
    return n;
}

/* What libcurl would add by itself is taken away, unless the caller gives it. */
static struct curl_slist *field_list(const struct fields *f, struct arena *a) {
    static const char *const own[] = {"Accept", "User-Agent", "Content-Type", "Expect"};
    struct curl_slist *list = NULL;
    for (size_t i = 0; i < f->count; i++) {
        const struct field *field = &f->items[i];
        struct slice line = field->value.n ? arena_printf(a, SLICE_FMT ": " SLICE_FMT, SLICE_ARG(field->name),
                                                          SLICE_ARG(field->value))
                                           : arena_printf(a, SLICE_FMT ";", SLICE_ARG(field->name));
        list = curl_slist_append(list, arena_text(a, line));
    }
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (slice_is_none(fields_get(f, slice_of(own[i]))))
            list = curl_slist_append(list, arena_text(a, arena_printf(a, "%s:", own[i])));
    return list;
}

static void set_call(struct http_caller *c, const struct http_call *call, struct curl_slist *fields) {
    CURL *easy = c->easy;
    curl_easy_reset(easy); /* connections stay */
    curl_set_security(easy, c->ca_file, call->url);
    curl_easy_setopt(easy, CURLOPT_URL, call->url);
    if (call->unix_socket) curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, call->unix_socket);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, c->why);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    if (strcmp(call->method, "HEAD") == 0) curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    if (slice_is_none(call->body)) return;
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body.p);
}

static void read_reply(struct http_caller *c, struct http_reply *reply) {
    struct curl_header *previous = NULL;
    curl_off_t took = 0;
    long status = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(c->easy, CURLINFO_TOTAL_TIME_T, &took);
    *reply = (struct http_reply){.status = (int)status,
                                 .body = c->body.n ? buf_slice(&c->body) : SLICE_NONE,
                                 .whole = !c->cut,
                                 .duration_us = (uint64_t)took};
    for (struct curl_header *h; (h = curl_easy_nextheader(c->easy, CURLH_HEADER, -1, previous)); previous = h)
        fields_add(&reply->headers, &c->arena, arena_copy(&c->arena, slice_of(h->name)),
                   arena_copy(&c->arena, slice_of(h->value)));
}

int http_caller_call(struct http_caller *c, const struct http_call *call, struct http_reply *reply, struct error *e) {
    arena_reset(&c->arena);
    c->body.n = 0;
    c->cut = false;
    c->max_size = call->max_size;
    c->why[0] = '\0';
    struct curl_slist *fields = field_list(call->headers, &c->arena);
    set_call(c, call, fields);
    CURLcode code = curl_easy_perform(c->easy);
    if (code == CURLE_OK || c->cut) read_reply(c, reply);
    curl_slist_free_all(fields);
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, NULL);
    if (code == CURLE_OK || c->cut) return 0;
    return error_set(e, ERROR_SYSTEM, "%s", c->why[0] ? c->why : curl_easy_strerror(code));
}

bool http_call_base_is_good(struct slice url) {
    CURLU *u = curl_url();
    char *text = slice_dup(url), *host = NULL, *query = NULL, *user = NULL;
    bool web = slice_starts_with_nocase(url, SLICE("http://")) || slice_starts_with_nocase(url, SLICE("https://"));
    bool good = web && u && curl_url_set(u, CURLUPART_URL, text, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_QUERY, &query, 0) != CURLUE_OK &&
                curl_url_get(u, CURLUPART_USER, &user, 0) != CURLUE_OK && slice_find(url, '#') < 0;
    curl_free(host);
    curl_free(query);
    curl_free(user);
    curl_url_cleanup(u);
    free(text);
    return good;
}
