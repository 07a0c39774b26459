/* http_client.h - small GET requests of the gateway itself, on the loop.
 *
 * For documents that plugins need from elsewhere: key sets, metadata. A request names a URL, how long it
 * may take and how much may come; on_done is called once, from the turn, never before http_client_get returns. A
 * cancelled request calls nothing any more. The answer lives until on_done returns.
 *
 * What is the same for all of them:
 *   - Redirects are not followed: a 302 is an answer like any other, and whoever asked decides.
 *   - https is verified, name and chain, against the system's store and a CA file of the client's owner; TLS 1.2 at
 *     least. Nothing turns that off.
 *   - No decompression, no cookies, no credentials, no other protocol than http and https. A URL with user or password
 *     is refused.
 *   - Fields of more than 64 KiB and bodies of more than max_size end the request.
 *   - A proxy (HTTPS_PROXY, NO_PROXY) is used for https only.
 *
 * It is an interface, so that a plugin is tested with a client that answers from a table.
 */
#pragma once
#include "gateway/base/error.h"
#include "gateway/base/fields.h"

enum http_trouble {
    HTTP_TROUBLE_NONE,
    HTTP_TROUBLE_URL,     /* not one that can be asked */
    HTTP_TROUBLE_CONNECT, /* name, connection, or what came over it is no whole answer */
    HTTP_TROUBLE_TLS,     /* the peer is not who it should be */
    HTTP_TROUBLE_TIMEOUT,
    HTTP_TROUBLE_TOO_LARGE,
};

struct http_answer {
    enum http_trouble trouble;
    const char *why; /* for people; NULL when there is an answer */
    int status;      /* of what follows, meaningful without trouble only */
    struct fields headers;
    struct slice body;
};

struct http_get {
    const char *url;
    const char *accept;  /* media types, or NULL */
    uint64_t timeout_ms; /* from the first look-up to the last byte */
    size_t max_size;     /* bytes of the body */
    void (*on_done)(void *context, const struct http_answer *answer);
    void *context;
};

struct http_fetch; /* one request under way */
struct http_client {
    struct http_fetch *(*get)(struct http_client *c, const struct http_get *request); /* copies what it needs */
    void (*cancel)(struct http_client *c, struct http_fetch *f);                      /* before on_done only */
};
static inline struct http_fetch *http_client_get(struct http_client *c, const struct http_get *request) {
    return c->get(c, request);
}
static inline void http_client_cancel(struct http_client *c, struct http_fetch *f) {
    c->cancel(c, f);
}

struct loop;
/* The real one. `ca_file` (PEM) is believed besides the system's store; NULL = none. */
struct http_client *http_client_new(struct loop *l, const char *ca_file, struct error *e);
void http_client_free(struct http_client *c); /* cancels what is under way; NULL is fine */
