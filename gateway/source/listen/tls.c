#include "gateway/source/listen/tls.h"
#include "gateway/base/file.h"
#include "gateway/base/memory.h"
#include <stdlib.h>

#define TICKET_KEY_MS (12 * 3600 * 1000ull)

struct tls {
    const struct tls_config *config;
    struct loop *loop;
    struct log *log;
    struct tls_context *context;
    struct file_poll *files;
    uint64_t reloads;
    struct deadline tickets; /* when their key is too old */
};

static void await_tickets(struct tls *t) {
    deadline_arm(loop_deadlines(t->loop), &t->tickets, clock_now_ms(loop_clock(t->loop)) + TICKET_KEY_MS);
}

/* The fresh context makes its own key for tickets. */
static void on_files_changed(void *context) {
    struct tls *t = context;
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
    await_tickets(t);
    log_event(t->log, LOG_INFO, "TLS files loaded anew",
              LOG_TEXT("certificate", t->config->certificates[0].certificate));
}

/* Certificate and key of each, then the clients' authority. */
static struct file_poll *poll_files(struct tls *t) {
    const struct tls_config *c = t->config;
    const char **paths = xcalloc(c->certificate_count * 2 + 1, sizeof *paths);
    size_t count = 0;
    for (size_t i = 0; i < c->certificate_count; i++) {
        paths[count++] = c->certificates[i].certificate;
        paths[count++] = c->certificates[i].key;
    }
    if (c->client_authority) paths[count++] = c->client_authority;
    struct file_poll *poll = file_poll_open(&(struct file_poll_config){.deadlines = loop_deadlines(t->loop),
                                                                       .clock = loop_clock(t->loop),
                                                                       .paths = paths,
                                                                       .count = count,
                                                                       .on_changed = on_files_changed,
                                                                       .context = t});
    free(paths);
    return poll;
}

static void on_tickets_old(struct deadline *d) {
    struct tls *t = container_of(d, struct tls, tickets);
    tls_context_renew_tickets(t->context);
    await_tickets(t);
}

struct tls *tls_open(const struct tls_config *c, struct loop *l, struct log *log, struct error *e) {
    struct tls *t = xcalloc(1, sizeof *t);
    *t = (struct tls){.config = c, .loop = l, .log = log, .tickets.on_due = on_tickets_old};
    t->files = poll_files(t);
    t->context = tls_context_load(c, log, e);
    if (!t->context) {
        tls_close(t);
        return NULL;
    }
    await_tickets(t);
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
    file_poll_close(t->files);
    deadline_disarm(loop_deadlines(t->loop), &t->tickets);
    tls_context_release(t->context);
    free(t);
}
