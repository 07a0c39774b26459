/* server_proxy_fixture.h - a handler of mode: server, played by a script, and the proxy that speaks to it. */
#pragma once
#include "local-api/server_proxy.h"
#include "tests/unit/handler_harness.h"
#include "tests/unit/server_script.h"

struct fixture {
    struct harness h;
    struct server_proxy *proxy;
};

static inline void fixture_open(struct fixture *f) {
    struct error e;
    harness_init(&f->h, "/usr/bin/python3", server_script);
    f->h.handler.mode = HANDLER_SERVER;
    f->proxy = server_proxy_new(f->h.loop, f->h.log, &e);
    assert_non_null(f->proxy);
}

static inline void fixture_begin(struct fixture *f) {
    harness_start(&f->h, &server_transport, f->proxy);
}

static inline void fixture_start(struct fixture *f) {
    fixture_open(f);
    fixture_begin(f);
}

static inline void fixture_close(struct fixture *f) {
    harness_stop(&f->h);
    server_proxy_free(f->proxy);
    harness_close(&f->h);
}

static inline struct answer ask(struct fixture *f, const char *method, const char *target) {
    return harness_ask(&f->h, method, target, "Host: shop.example\n", NULL);
}

/* One request to a fresh server, and the answer. */
static inline struct answer answer_to(const char *method, const char *target) {
    struct fixture f;
    fixture_start(&f);
    struct answer a = ask(&f, method, target);
    fixture_close(&f);
    return a;
}

#define assert_text(a, literal) assert_slice(buf_slice(&(a)->text), literal)

static inline bool answer_has_head(void *context) {
    struct answer *a = context;
    return a->finished;
}
