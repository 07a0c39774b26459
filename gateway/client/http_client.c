#include "gateway/client/http_client.h"
#include "gateway/base/buf.h"
#include "gateway/client/curl_security.h"
#include "gateway/client/transfers.h"
#include <curl/curl.h>
#include <stdlib.h>

#define FIELDS_SIZE_MAX ((size_t)64 * 1024)

struct client {
    struct http_client http;
    struct transfers *transfers;
    char *ca_file;
    struct list waiting; /* asked for, not yet libcurl's */
    struct list running;
};

struct http_fetch {
    struct list_node node;
    struct client *client;
    CURL *easy;
    struct curl_slist *fields;
    struct http_get request;
    struct arena arena;
    struct buf body;
    size_t fields_size;
    const char *broken; /* why a callback broke the transfer off: too much came; NULL = it did not */
    char why[CURL_ERROR_SIZE];
};

static size_t fetch_break(struct http_fetch *f, const char *why) {
    f->broken = why;
    return 0; /* which makes libcurl end the transfer */
}

static size_t on_field(char *line, size_t size, size_t count, void *context) {
    struct http_fetch *f = context;
    size_t n = size * count;
    (void)line;
    f->fields_size += n;
    return f->fields_size <= FIELDS_SIZE_MAX ? n : fetch_break(f, "the answer's header fields are too large");
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context) {
    struct http_fetch *f = context;
    size_t n = size * count;
    if (n > f->request.max_size - f->body.n) return fetch_break(f, "the answer is too large");
    buf_append(&f->body, bytes, n);
    return n;
}

static void set_limits(struct http_fetch *f) {
    curl_easy_setopt(f->easy, CURLOPT_TIMEOUT_MS, (long)f->request.timeout_ms);
    curl_easy_setopt(f->easy, CURLOPT_HEADERFUNCTION, on_field);
    curl_easy_setopt(f->easy, CURLOPT_HEADERDATA, f);
    curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
    curl_easy_setopt(f->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(f->easy, CURLOPT_QUICK_EXIT, 1L); /* never wait for a name look-up that is not wanted any more */
}

static void set_request(struct http_fetch *f, const char *url) {
    char field[256];
    snprintf(field, sizeof field, "Accept: %s", f->request.accept ? f->request.accept : "*/*");
    f->fields = curl_slist_append(NULL, field);
    curl_easy_setopt(f->easy, CURLOPT_URL, url);
    curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->fields);
    curl_easy_setopt(f->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(f->easy, CURLOPT_USERAGENT, "execgate/" EXECGATE_VERSION);
    curl_easy_setopt(f->easy, CURLOPT_ERRORBUFFER, f->why);
    curl_easy_setopt(f->easy, CURLOPT_PRIVATE, f);
}

static struct http_fetch *client_get(struct http_client *http, const struct http_get *request) {
    struct client *c = container_of(http, struct client, http);
    struct http_fetch *f = xcalloc(1, sizeof *f);
    f->client = c;
    f->request = *request;
    f->easy = curl_easy_init();
    if (!f->easy) abort(); /* as xmalloc does */
    arena_init(&f->arena, 1024);
    curl_set_security(f->easy, c->ca_file, request->url);
    set_request(f, request->url);
    set_limits(f);
    f->request.url = f->request.accept = NULL; /* libcurl has copied them */
    list_push(&c->waiting, &f->node);
    transfers_wake(c->transfers);
    return f;
}

static void fetch_free(struct http_fetch *f) {
    list_remove(&f->node);
    curl_easy_cleanup(f->easy);
    curl_slist_free_all(f->fields);
    buf_free(&f->body);
    arena_free(&f->arena);
    free(f);
}

static void client_cancel(struct http_client *http, struct http_fetch *f) {
    struct client *c = container_of(http, struct client, http);
    if (list_holds(&c->running, &f->node)) transfers_remove(c->transfers, f->easy);
    fetch_free(f);
}

static enum http_trouble trouble_of(CURLcode code) {
    static const struct {
        CURLcode code;
        enum http_trouble trouble;
    } table[] = {
        {CURLE_OK, HTTP_TROUBLE_NONE},
        {CURLE_URL_MALFORMAT, HTTP_TROUBLE_URL},
        {CURLE_UNSUPPORTED_PROTOCOL, HTTP_TROUBLE_URL},
        {CURLE_LOGIN_DENIED, HTTP_TROUBLE_URL},
        {CURLE_OPERATION_TIMEDOUT, HTTP_TROUBLE_TIMEOUT},
        {CURLE_PEER_FAILED_VERIFICATION, HTTP_TROUBLE_TLS},
        {CURLE_SSL_CONNECT_ERROR, HTTP_TROUBLE_TLS},
        {CURLE_SSL_CACERT_BADFILE, HTTP_TROUBLE_TLS},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].code == code) return table[i].trouble;
    return HTTP_TROUBLE_CONNECT;
}

/* Bytes that are no HTTP are an unsupported protocol to libcurl, too. */
static enum http_trouble fetch_trouble(const struct http_fetch *f, CURLcode code) {
    long sent = 0;
    enum http_trouble trouble = f->broken ? HTTP_TROUBLE_TOO_LARGE : trouble_of(code);
    curl_easy_getinfo(f->easy, CURLINFO_REQUEST_SIZE, &sent);
    return trouble == HTTP_TROUBLE_URL && sent > 0 ? HTTP_TROUBLE_CONNECT : trouble;
}

static void read_fields(struct http_fetch *f, struct fields *out) {
    struct curl_header *previous = NULL;
    for (struct curl_header *h; (h = curl_easy_nextheader(f->easy, CURLH_HEADER, -1, previous)); previous = h)
        fields_add(out, &f->arena, arena_copy(&f->arena, slice_of(h->name)), arena_copy(&f->arena, slice_of(h->value)));
}

static void on_fetch_done(void *transfer, int curl_code) {
    struct http_fetch *f = transfer;
    struct http_answer answer = {.trouble = fetch_trouble(f, (CURLcode)curl_code)};
    if (answer.trouble) {
        answer.why = f->broken ? f->broken : f->why[0] ? f->why : curl_easy_strerror((CURLcode)curl_code);
    } else {
        long status = 0;
        curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
        answer.status = (int)status;
        answer.body = f->body.p ? buf_slice(&f->body) : SLICE("");
        read_fields(f, &answer.headers);
    }
    list_remove(&f->node);
    f->request.on_done(f->request.context, &answer);
    fetch_free(f);
}

static void on_client_turn(void *context) {
    struct client *c = context;
    for (struct list_node *node; (node = list_first(&c->waiting));) {
        struct http_fetch *f = list_entry(node, struct http_fetch, node);
        list_remove(node);
        list_push(&c->running, node);
        transfers_add(c->transfers, f->easy, NULL);
    }
}

static const struct transfers_ops client_ops = {.on_done = on_fetch_done, .on_turn = on_client_turn};

struct http_client *http_client_new(struct loop *l, const char *ca_file, struct error *e) {
    struct client *c = xcalloc(1, sizeof *c);
    c->http = (struct http_client){.get = client_get, .cancel = client_cancel};
    c->ca_file = ca_file ? xstrdup(ca_file) : NULL;
    list_init(&c->waiting);
    list_init(&c->running);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) {
        c->transfers = transfers_new(l, &client_ops, c, e);
        if (c->transfers) return &c->http;
        curl_global_cleanup();
    } else {
        error_set(e, ERROR_SYSTEM, "libcurl cannot be set up");
    }
    free(c->ca_file);
    free(c);
    return NULL;
}

void http_client_free(struct http_client *http) {
    if (!http) return;
    struct client *c = container_of(http, struct client, http);
    struct list *lists[] = {&c->waiting, &c->running};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        while (!list_empty(lists[i])) client_cancel(http, list_entry(list_first(lists[i]), struct http_fetch, node));
    transfers_free(c->transfers);
    curl_global_cleanup();
    free(c->ca_file);
    free(c);
}
