#include "plugins/auth/guard.h"
#include "gateway/base/buf.h"
#include "gateway/base/file.h"
#include "gateway/base/json_write.h"
#include "gateway/base/log.h"

void guard_init(struct guard *g, const struct guard_ops *ops, const struct guard_host *h,
                const struct guard_policy *p) {
    *g = (struct guard){.ops = ops, .policy = p, .realm = h->realm};
}

struct file_poll *guard_follow_file(struct guard *g, const struct guard_host *h, const char *path,
                                    void (*on_changed)(void *guard)) {
    return file_poll_open(&(struct file_poll_config){.deadlines = h->plugin->deadlines,
                                                     .clock = h->plugin->clock,
                                                     .paths = &path,
                                                     .count = 1,
                                                     .on_changed = on_changed,
                                                     .context = g});
}

void guard_log_file(const struct guard *g, struct log *log, const char *path, const struct error *problem) {
    struct slice name = g->policy->name;
    if (problem)
        log_event(log, LOG_ERROR, "a guard's changed file cannot be used, the old one goes on",
                  LOG_SLICE("guard", name), LOG_TEXT("file", path), LOG_TEXT("error", problem->message));
    else
        log_event(log, LOG_INFO, "a guard's file loaded anew", LOG_SLICE("guard", name), LOG_TEXT("file", path));
}

void guard_pass(struct guard_visit *v, struct identity *identity) {
    v->verdict = GUARD_PASS;
    v->identity = identity;
}

void guard_refuse(struct guard_visit *v, enum guard_verdict verdict, const char *detail) {
    v->verdict = verdict;
    v->detail = detail;
}

void guard_challenge(struct guard_visit *v, const char *scheme, const char *parameters) {
    struct arena *a = &v->inv->arena;
    struct slice challenge = arena_printf(a, "%s realm=\"" SLICE_FMT "\"%s", scheme, SLICE_ARG(v->guard->realm),
                                          parameters);
    fields_add(&v->challenges, a, SLICE("WWW-Authenticate"), challenge);
}

void guard_refuse_scope(struct guard_visit *v, const struct jwt_rules *rules, const char *detail) {
    struct arena *a = &v->inv->arena;
    struct buf scopes = {0};
    for (size_t i = 0; i < rules->scope_count; i++) {
        if (i) buf_append_char(&scopes, ' ');
        buf_append_slice(&scopes, rules->scopes[i]);
    }
    guard_refuse(v, GUARD_FORBIDDEN, detail);
    guard_challenge(
        v, "Bearer",
        arena_printf(a, ", error=\"insufficient_scope\", scope=\"" SLICE_FMT "\"", SLICE_ARG(buf_slice(&scopes))).p);
    buf_free(&scopes);
}

/* --- identities --- */

static struct slice join_scopes(const struct jwt *t, struct arena *a) {
    size_t size = 0, at = 0;
    for (size_t i = 0; i < t->scope_count; i++) size += t->scopes[i].n + 1;
    char *text = arena_alloc(a, size + 1);
    for (size_t i = 0; i < t->scope_count; i++) {
        if (at) text[at++] = ' ';
        memcpy(text + at, t->scopes[i].p, t->scopes[i].n);
        at += t->scopes[i].n;
    }
    return slice_make(text, at);
}

static bool says_scopes(const struct jwt *t) {
    return jose_object_get(&t->members, SLICE("scope")) || jose_object_get(&t->members, SLICE("scp"));
}

static void read_details(const struct identity *i, struct identity_details *d) {
    struct arena *a = i->arena;
    struct jwt t;
    if (jwt_read(&t, i->claims_json, a).result != JOSE_OK) return;
    d->subject = t.subject;
    for (size_t k = 0; k < t.members.count; k++)
        fields_add(&d->claims, a, t.members.members[k].name, jwt_claim_text(&t, k, a));
    if (says_scopes(&t)) d->scopes = join_scopes(&t, a);
}

struct identity *identity_of_claims(struct arena *a, enum identity_shape shape, const char *scheme,
                                    struct slice json_line) {
    struct identity *i = arena_zalloc(a, sizeof *i);
    *i = (struct identity){.shape = shape,
                           .guard = SLICE(""),
                           .scheme = slice_of(scheme),
                           .claims_json = json_line,
                           .read = read_details,
                           .arena = a};
    return i;
}

struct identity *guard_identity_of_claims(struct guard_visit *v, const char *scheme, enum identity_shape shape,
                                          struct slice json_line) {
    struct identity *i = identity_of_claims(&v->inv->arena, shape, scheme, json_line);
    i->guard = v->guard->policy->name;
    return i;
}

struct identity *guard_identity_of_name(struct guard_visit *v, const char *scheme, struct slice name) {
    struct arena *a = &v->inv->arena;
    struct buf text = {0};
    struct json_write w = json_write_to(&text);
    json_open(&w, '{');
    if (!slice_is_none(name)) json_member(&w, SLICE("sub"), name);
    json_close(&w, '}');
    struct slice line = identity_json_line(arena_copy(a, buf_slice(&text)), a);
    buf_free(&text);
    return guard_identity_of_claims(v, scheme, IDENTITY_LAMBDA, line);
}
