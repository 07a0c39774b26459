/* User and password (RFC 7617). A check is bcrypt on another thread: two at a time, so that a flood of guesses leaves
 * processors for everybody else, and no more than CHECKS_WAITING_MAX in line. Who was let in is remembered for a
 * minute (token_cache.h), or until the file of users changes.
 *
 *   WAITING (the line) -> RUNNING (a thread) -> DONE (a task on the turn) -> concluded
 *
 * A visitor who leaves takes its check along; one that runs is only forgotten, and frees itself when it is done. */
#include "gateway/base/base64.h"
#include "gateway/base/file.h"
#include "gateway/base/memory.h"
#include "gateway/loop/loop.h"
#include "plugins/auth/guard.h"
#include "plugins/auth/htpasswd.h"
#include "plugins/auth/token_cache.h"
#include <openssl/crypto.h>
#include <stdlib.h>

#define CHECKS_RUNNING_MAX 2
#define CHECKS_WAITING_MAX 64
#define CACHE_USERS 1024
#define CACHE_BYTES (256 * 1024)
#define CACHE_MS 60000
#define CREDENTIALS_MAX 1024 /* bytes of base64; name and password fit several times over */

struct basic_guard {
    struct guard guard;
    struct htpasswd *users;
    struct siphash_key decoys; /* who stands in for names that nobody has */
    uint64_t generation;       /* of users: who was let in by an older one is asked again */
    struct file_poll *poll;
    struct log *log;
    struct token_cache *cache;
    struct clock *clock;
    struct turn *turn;
    struct loop *loop;
    struct credential_place place;
    struct list waiting, running;
};

struct basic_check {
    struct list_node node;
    struct basic_guard *guard; /* NULL: gone */
    struct guard_visit *visit; /* NULL: left */
    struct turn_task task;
    struct token_key key;
    uint64_t generation; /* of the users that the hash is from */
    struct slice user;   /* in the visit's arena */
    bool known;          /* the user is; else the hash is a decoy */
    bool matches;
    char hash[HTPASSWD_HASH_SIZE + 1];
    char password[HTPASSWD_PASSWORD_MAX + 1];
};

static struct basic_guard *basic_guard_of(struct guard *g) {
    return container_of(g, struct basic_guard, guard);
}

/* charset: RFC 7617 2.1. */
static void basic_refuse(struct guard_visit *v, const char *detail) {
    guard_refuse(v, GUARD_UNAUTHORIZED, detail);
    guard_challenge(v, "Basic", ", charset=\"UTF-8\"");
}

static void check_free(struct basic_check *c) {
    list_remove(&c->node);
    OPENSSL_cleanse(c, sizeof *c);
    free(c);
}

/* --- on another thread --- */

static void on_run(void *context) {
    struct basic_check *c = context;
    c->matches = htpasswd_matches(c->hash, c->password);
}

static void check_start(struct basic_check *c);

static void on_done(void *context) {
    struct basic_check *c = context;
    struct basic_guard *g = c->guard;
    if (!g) {
        check_free(c);
        return;
    }
    list_remove(&c->node);
    if (!list_empty(&g->waiting)) check_start(list_entry(list_first(&g->waiting), struct basic_check, node));
    if (c->visit)
        turn_add(g->turn, &c->task);
    else
        check_free(c);
}

static void check_start(struct basic_check *c) {
    list_remove(&c->node);
    list_push(&c->guard->running, &c->node);
    loop_work(c->guard->loop, on_run, on_done, c);
}

static void remember(struct basic_guard *g, const struct basic_check *c) {
    token_cache_put(g->cache, &c->key,
                    &(struct token_entry){.claims = c->user,
                                          .until_ms = clock_wall_ms(g->clock) + CACHE_MS,
                                          .generation = c->generation});
}

static void on_task(struct turn_task *task) {
    struct basic_check *c = container_of(task, struct basic_check, task);
    struct guard_visit *v = c->visit;
    bool good = c->known && c->matches;
    if (good) remember(c->guard, c);
    if (good)
        guard_pass(v, guard_identity_of_name(v, "Basic", c->user));
    else
        basic_refuse(v, "the user or the password is wrong");
    check_free(c);
    guard_conclude(v);
}

/* --- the visit --- */

struct login {
    struct slice user;
    struct slice password;
};

/* user-id ":" password in base64 (RFC 7617 2); no control characters in either. */
static bool login_read(struct slice text, struct arena *a, struct login *login) {
    if (text.n > CREDENTIALS_MAX) return false;
    char *bytes = arena_alloc(a, text.n + 1);
    ptrdiff_t n = base64_decode(text, bytes);
    if (n < 0) return false;
    login->password = slice_make(bytes, (size_t)n);
    slice_next(&login->password, ':', &login->user);
    if (slice_is_none(login->password) || login->user.n == 0) return false;
    if (memchr(bytes, '\0', (size_t)n)) return false;
    return login->password.n <= HTPASSWD_PASSWORD_MAX;
}

/* For a name that nobody has, somebody else's hash is checked in vain. */
static void choose_hash(const struct basic_guard *g, struct basic_check *c) {
    struct slice hash = htpasswd_hash_of(g->users, c->user);
    c->known = !slice_is_none(hash);
    if (!c->known) hash = htpasswd_decoy(g->users, &g->decoys, c->user);
    memcpy(c->hash, hash.p, hash.n);
}

static void basic_begin(struct basic_guard *g, struct guard_visit *v, const struct login *login,
                        const struct token_key *key) {
    if (g->waiting.length >= CHECKS_WAITING_MAX) {
        guard_refuse(v, GUARD_UNAVAILABLE, "too many passwords are being checked");
        return;
    }
    struct basic_check *c = xcalloc(1, sizeof *c);
    *c = (struct basic_check){.guard = g, .visit = v, .key = *key, .user = login->user, .generation = g->generation};
    c->task = (struct turn_task){.phase = TURN_PUBLIC, .run = on_task};
    memcpy(c->password, login->password.p, login->password.n);
    choose_hash(g, c);
    v->pending = c;
    v->verdict = GUARD_WAIT;
    list_push(&g->waiting, &c->node);
    if (g->running.length < CHECKS_RUNNING_MAX) check_start(c);
}

static void basic_check(struct guard *base, struct guard_visit *v) {
    struct basic_guard *g = basic_guard_of(base);
    const struct credential_places places = {&g->place, 1};
    struct login login;
    struct slice text;
    enum credential_found found = credential_find(&places, v->inv, SLICE("Basic"), &text);
    if (found != CREDENTIAL_FOUND) {
        v->absent = found == CREDENTIAL_ABSENT;
        basic_refuse(v, found == CREDENTIAL_ABSENT ? "user and password are needed" : "there are two logins");
        return;
    }
    if (!login_read(text, &v->inv->arena, &login)) {
        basic_refuse(v, "the user or the password is wrong");
        return;
    }
    struct token_key key = token_cache_key(g->cache, text);
    struct slice user = token_cache_find(g->cache, &key, g->generation, &v->inv->arena);
    if (slice_is_none(user))
        basic_begin(g, v, &login, &key);
    else
        guard_pass(v, guard_identity_of_name(v, "Basic", user));
}

static void basic_cancel(struct guard *base, struct guard_visit *v) {
    struct basic_guard *g = basic_guard_of(base);
    struct basic_check *c = v->pending;
    c->visit = NULL;
    if (list_holds(&g->running, &c->node)) return;
    turn_remove(&c->task);
    check_free(c);
}

static void basic_strip(struct guard *base, struct invocation *inv) {
    credential_strip(&basic_guard_of(base)->place, inv);
}

static void basic_free(struct guard *base) {
    struct basic_guard *g = basic_guard_of(base);
    list_each (&g->running, node) {
        list_entry(node, struct basic_check, node)->guard = NULL;
        list_remove(node);
    }
    list_each (&g->waiting, node) check_free(list_entry(node, struct basic_check, node));
    file_poll_close(g->poll);
    htpasswd_free(g->users);
    token_cache_free(g->cache);
    free(g);
}

static const struct guard_ops basic_ops = {
    .check = basic_check, .cancel = basic_cancel, .strip = basic_strip, .free = basic_free};

/* Checks that are under way have their hash with them. */
static void on_users_changed(void *context) {
    struct basic_guard *g = context;
    const char *path = g->guard.policy->basic.users;
    struct error e;
    struct htpasswd *users = htpasswd_open(path, &e);
    guard_log_file(&g->guard, g->log, path, users ? NULL : &e);
    if (!users) return;
    htpasswd_free(g->users);
    g->users = users;
    g->generation++;
}

struct guard *guard_basic_open(const struct guard_host *h, const struct guard_policy *p, struct error *e) {
    struct basic_guard *g = xcalloc(1, sizeof *g);
    guard_init(&g->guard, &basic_ops, h, p);
    g->clock = h->plugin->clock;
    g->turn = h->plugin->turn;
    g->loop = h->plugin->loop;
    g->log = h->plugin->log;
    g->clock->random(g->clock, &g->decoys, sizeof g->decoys);
    g->cache = token_cache_new(CACHE_USERS, CACHE_BYTES, g->clock);
    g->place = (struct credential_place){CREDENTIAL_HEADER, SLICE("authorization")};
    list_init(&g->waiting);
    list_init(&g->running);
    g->poll = guard_follow_file(&g->guard, h, p->basic.users, on_users_changed);
    g->users = htpasswd_open(p->basic.users, e);
    if (g->users) return &g->guard;
    basic_free(&g->guard);
    return NULL;
}
