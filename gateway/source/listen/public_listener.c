#include "gateway/source/listen/public_listener.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/compare.h"
#include "gateway/source/http/http_redirect.h"
#include <stdlib.h>

struct listener_row {
    struct public_listener **items;
    size_t count;
};

struct public_listeners {
    struct public_listeners_config config;
    const struct cidr *trusted;
    size_t trusted_count;
    struct listener_row open, gone;
};

static void row_push(struct listener_row *row, struct public_listener *l) {
    row->items = xrealloc(row->items, (row->count + 1) * sizeof(struct public_listener *));
    row->items[row->count++] = l;
}

struct public_listeners *public_listeners_new(const struct public_listeners_config *c) {
    struct public_listeners *ls = xcalloc(1, sizeof *ls);
    ls->config = *c;
    return ls;
}

static void on_accept(void *context, int take_fd, const struct peer *peer) {
    struct public_listener *l = context;
    stages_add(l->all->config.stages, &l->plan, take_fd, peer);
    l->all->config.on_accepted(l->all->config.context);
}

static void public_listener_free(struct public_listener *l) {
    listener_close(l->socket);
    tls_close(l->plan.tls);
    free(l);
}

static void public_listener_plan(struct public_listener *l) {
    l->plan.proxy_protocol = l->config.proxy_protocol;
    l->plan.trusted = l->all->trusted;
    l->plan.trusted_count = l->all->trusted_count;
    l->plan.listener = l;
}

static struct public_listener *public_listener_new(struct public_listeners *ls, const struct listener_config *c,
                                                   struct error *e) {
    struct public_listener *l = xcalloc(1, sizeof *l);
    *l = (struct public_listener){.all = ls, .config = *c};
    http_group_init(&l->group, l);
    public_listener_plan(l);
    bool good = true;
    if (c->scheme == LISTENER_HTTPS)
        good = (l->plan.tls = tls_open(c->tls, ls->config.loop, ls->config.log, e)) != NULL;
    if (good) l->socket = listener_open(ls->config.loop, c, on_accept, l, e);
    if (l->socket) return l;
    public_listener_free(l);
    return NULL;
}

int public_listeners_add(struct public_listeners *ls, const struct listener_config *c, struct error *e) {
    struct public_listener *l = public_listener_new(ls, c, e);
    if (!l) return -ERROR_SYSTEM;
    row_push(&ls->open, l);
    return 0;
}

/* --- changes --- */

/* What becomes of one configuration. */
struct succession {
    struct public_listener *kept;  /* the socket at its place; NULL = there is none */
    struct public_listener *fresh; /* without `kept` */
    struct tls *tls;               /* what a kept one did not have */
};

static bool is_kept(const struct succession *plan, size_t count, const struct public_listener *l) {
    for (size_t i = 0; i < count; i++)
        if (plan[i].kept == l) return true;
    return false;
}

static struct public_listener *find_kept(const struct public_listeners *ls, const struct succession *plan,
                                         size_t planned, const struct listener_config *c) {
    for (size_t i = 0; i < ls->open.count; i++) {
        struct public_listener *l = ls->open.items[i];
        if (l->socket && listener_place_equal(&l->config, c) && !is_kept(plan, planned, l)) return l;
    }
    return NULL;
}

static int succession_plan(struct public_listeners *ls, struct succession *s, const struct listener_config *c,
                           struct error *e) {
    if (!s->kept) return (s->fresh = public_listener_new(ls, c, e)) ? 0 : -ERROR_SYSTEM;
    if (c->scheme != LISTENER_HTTPS || tls_config_equal(s->kept->config.tls, c->tls)) return 0;
    return (s->tls = tls_open(c->tls, ls->config.loop, ls->config.log, e)) ? 0 : -ERROR_SYSTEM;
}

static void succession_drop(struct succession *s) {
    if (s->fresh) public_listener_free(s->fresh);
    tls_close(s->tls);
}

/* Connections on their way through the stages find the new plan. */
static void public_listener_become(struct public_listener *l, const struct listener_config *c, struct tls *take_tls) {
    l->config = *c;
    public_listener_plan(l);
    if (take_tls || c->scheme != LISTENER_HTTPS) {
        tls_close(l->plan.tls);
        l->plan.tls = take_tls;
    } else {
        tls_follow(l->plan.tls, c->tls);
    }
}

static void public_listener_leave(struct public_listener *l) {
    struct public_listeners *ls = l->all;
    listener_close(l->socket);
    l->socket = NULL;
    stages_abandon(ls->config.stages, &l->plan);
    tls_close(l->plan.tls);
    l->plan.tls = NULL;
    http_group_drain(&l->group);
    row_push(&ls->gone, l);
}

static void changes_carry_out(struct public_listeners *ls, struct succession *plan,
                              const struct listener_config *configs, size_t count) {
    struct listener_row next = {0};
    for (size_t i = 0; i < ls->open.count; i++)
        if (!is_kept(plan, count, ls->open.items[i])) public_listener_leave(ls->open.items[i]);
    for (size_t i = 0; i < count; i++) {
        if (plan[i].kept) public_listener_become(plan[i].kept, &configs[i], plan[i].tls);
        row_push(&next, plan[i].kept ? plan[i].kept : plan[i].fresh);
    }
    free(ls->open.items);
    ls->open = next;
    public_listeners_sweep(ls);
}

int public_listeners_change(struct public_listeners *ls, const struct listener_config *configs, size_t count,
                            struct error *e) {
    struct succession *plan = xcalloc(count + 1, sizeof *plan);
    size_t planned = 0;
    int status = 0;
    for (; planned < count && status == 0; planned++) {
        plan[planned].kept = find_kept(ls, plan, planned, &configs[planned]);
        status = succession_plan(ls, &plan[planned], &configs[planned], e);
    }
    if (status == 0)
        changes_carry_out(ls, plan, configs, count);
    else
        for (size_t i = 0; i < planned; i++) succession_drop(&plan[i]);
    free(plan);
    return status;
}

void public_listeners_trust(struct public_listeners *ls, const struct cidr *trusted, size_t count) {
    ls->trusted = trusted;
    ls->trusted_count = count;
    for (size_t i = 0; i < ls->open.count; i++) public_listener_plan(ls->open.items[i]);
}

/* --- all of them --- */

size_t public_listeners_count(const struct public_listeners *ls) {
    return ls->open.count;
}

struct public_listener *public_listeners_at(const struct public_listeners *ls, size_t index) {
    return ls->open.items[index];
}

uint16_t public_listeners_https_port(const struct public_listeners *ls) {
    for (size_t i = 0; i < ls->open.count; i++) {
        const struct public_listener *l = ls->open.items[i];
        if (l->config.scheme == LISTENER_HTTPS && l->socket && listener_port(l->socket))
            return listener_port(l->socket);
    }
    return HTTPS_PORT;
}

void public_listeners_pause(struct public_listeners *ls) {
    for (size_t i = 0; i < ls->open.count; i++)
        if (ls->open.items[i]->socket) listener_pause(ls->open.items[i]->socket);
}

void public_listeners_resume(struct public_listeners *ls) {
    for (size_t i = 0; i < ls->open.count; i++)
        if (ls->open.items[i]->socket) listener_resume(ls->open.items[i]->socket);
}

void public_listeners_sweep(struct public_listeners *ls) {
    size_t left = 0;
    for (size_t i = 0; i < ls->gone.count; i++) {
        struct public_listener *l = ls->gone.items[i];
        if (list_empty(&l->group.connections))
            public_listener_free(l);
        else
            ls->gone.items[left++] = l;
    }
    ls->gone.count = left;
}

void public_listeners_close(struct public_listeners *ls) {
    for (size_t i = 0; ls && i < ls->open.count; i++) {
        listener_close(ls->open.items[i]->socket);
        ls->open.items[i]->socket = NULL;
    }
}

static void row_abort(const struct listener_row *row) {
    for (size_t i = 0; i < row->count; i++) http_group_close(&row->items[i]->group);
}

void public_listeners_abort(struct public_listeners *ls) {
    row_abort(&ls->open);
    row_abort(&ls->gone);
}

static void row_free(struct listener_row *row) {
    for (size_t i = 0; i < row->count; i++) public_listener_free(row->items[i]);
    free(row->items);
}

void public_listeners_free(struct public_listeners *ls) {
    if (!ls) return;
    row_free(&ls->open);
    row_free(&ls->gone);
    free(ls);
}
