#include "gateway/source/tls.h"
#include "gateway/base/memory.h"
#include "gateway/source/tls_files.h"
#include <stdlib.h>

#define LOOK_MS 1000
#define TICKET_KEY_MS (12 * 3600 * 1000ull)

struct tls {
    const struct tls_config *config;
    struct loop *loop;
    struct log *log;
    struct tls_context *context;
    struct file_stamp *stamps; /* of each file when it was looked at last */
    size_t file_count;
    bool changed; /* since the last load */
    uint64_t reloads;
    uint64_t tickets_since_ms;
    struct deadline look;
};

/* The configuration's files in one row: certificate and key of each, then the clients' authority. */
static const char *file_path(const struct tls_config *c, size_t i) {
    if (i == c->certificate_count * 2) return c->client_authority;
    return i % 2 ? c->certificates[i / 2].key : c->certificates[i / 2].certificate;
}

/* True when a file is no longer what it was. */
static bool look_at_files(struct tls *t) {
    bool changed = false;
    for (size_t i = 0; i < t->file_count; i++) {
        struct file_stamp now = file_stamp_of(file_path(t->config, i));
        if (file_stamp_equal(&now, &t->stamps[i])) continue;
        t->stamps[i] = now;
        changed = true;
    }
    return changed;
}

static void tls_reload(struct tls *t) {
    struct error e;
    struct tls_context *fresh = tls_context_load(t->config, t->log, &e);
    if (!fresh) {
        log_event(t->log, LOG_ERROR, "changed TLS files cannot be used, the old ones go on",
                  LOG_TEXT("error", e.message));
        return;
    }
    tls_context_release(t->context);
    t->context = fresh;
    t->reloads++;
    t->tickets_since_ms = clock_now_ms(loop_clock(t->loop));
    log_event(t->log, LOG_INFO, "TLS files loaded anew",
              LOG_TEXT("certificate", t->config->certificates[0].certificate));
}

static void renew_tickets(struct tls *t, uint64_t now) {
    if (now - t->tickets_since_ms < TICKET_KEY_MS) return;
    tls_context_renew_tickets(t->context);
    t->tickets_since_ms = now;
}

static void on_look(struct deadline *d) {
    struct tls *t = container_of(d, struct tls, look);
    uint64_t now = clock_now_ms(loop_clock(t->loop));
    if (look_at_files(t)) {
        t->changed = true;
    } else if (t->changed) {
        t->changed = false;
        tls_reload(t);
    }
    renew_tickets(t, now);
    deadline_arm(loop_deadlines(t->loop), d, now + LOOK_MS);
}

struct tls *tls_open(const struct tls_config *c, struct loop *l, struct log *log, struct error *e) {
    struct tls *t = xcalloc(1, sizeof *t);
    *t = (struct tls){.config = c, .loop = l, .log = log};
    t->file_count = c->certificate_count * 2 + (c->client_authority ? 1 : 0);
    t->stamps = xcalloc(t->file_count, sizeof *t->stamps);
    t->tickets_since_ms = clock_now_ms(loop_clock(l));
    t->look.on_due = on_look;
    /* Before loading: what changes in between is found at the next look. */
    look_at_files(t);
    t->context = tls_context_load(c, log, e);
    if (!t->context) {
        tls_close(t);
        return NULL;
    }
    deadline_arm(loop_deadlines(l), &t->look, t->tickets_since_ms + LOOK_MS);
    return t;
}

struct tls_context *tls_current(const struct tls *t) {
    return t->context;
}

void tls_follow(struct tls *t, const struct tls_config *same) {
    t->config = same;
}

uint64_t tls_reloads(const struct tls *t) {
    return t->reloads;
}

void tls_close(struct tls *t) {
    if (!t) return;
    deadline_disarm(loop_deadlines(t->loop), &t->look);
    tls_context_release(t->context);
    free(t->stamps);
    free(t);
}
