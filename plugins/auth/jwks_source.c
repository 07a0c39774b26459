#include "plugins/auth/jwks_source.h"
#include "gateway/base/http_text.h"
#include "gateway/base/memory.h"
#include "plugins/auth/jwks_discovery.h"
#include <stdio.h>
#include <stdlib.h>

#define SECOND_MS UINT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)

enum jwks_stage { JWKS_RESTING, JWKS_METADATA, JWKS_KEYS };

struct jwks_source {
    struct key_source source;
    struct jwks_host host;
    struct jwks_config config;
    struct arena arena; /* of the configuration */
    const char *metadata_urls[JWKS_METADATA_PLACES];
    size_t metadata_count; /* 0: the keys' URL was configured */

    enum jwks_stage stage;
    struct http_fetch *fetch; /* NULL while resting */
    size_t place;             /* METADATA: which of the URLs */
    char *keys_url;           /* NULL: not discovered yet */
    uint64_t keys_url_until_ms;
    char trouble[512]; /* the attempt's first */

    struct jwk_set *set; /* NULL: none yet, or none any more */
    uint64_t fresh_until_ms;
    uint64_t began_ms; /* the last attempt */
    unsigned failed;   /* attempts in a row */
    struct deadline due;
    struct deadline wait_over;
    struct list waiters; /* the first is the first whose time is over */
    struct list woken;
    struct turn_task wake;
    struct jwks_counts counts;
};

static void attempt_begin(struct jwks_source *s);

static uint64_t now_ms(const struct jwks_source *s) {
    return clock_now_ms(s->host.clock);
}

/* --- those who wait --- */

static void wake_waiters(struct jwks_source *s) {
    for (struct list_node *node; (node = list_first(&s->waiters));) {
        list_remove(node);
        list_push(&s->woken, node);
    }
    deadline_disarm(s->host.deadlines, &s->wait_over);
    if (!list_empty(&s->woken)) turn_add(s->host.turn, &s->wake);
}

static void on_wake(struct turn_task *task) {
    struct jwks_source *s = container_of(task, struct jwks_source, wake);
    for (struct list_node *node; (node = list_first(&s->woken));) {
        struct key_waiter *w = list_entry(node, struct key_waiter, node);
        list_remove(node);
        w->on_keys(w);
    }
}

static void arm_wait(struct jwks_source *s) {
    struct list_node *first = list_first(&s->waiters);
    if (first) deadline_arm(s->host.deadlines, &s->wait_over, list_entry(first, struct key_waiter, node)->until_ms);
}

static void on_wait_over(struct deadline *d) {
    struct jwks_source *s = container_of(d, struct jwks_source, wait_over);
    uint64_t now = now_ms(s);
    list_each (&s->waiters, node) {
        if (list_entry(node, struct key_waiter, node)->until_ms > now) break;
        list_remove(node);
        list_push(&s->woken, node);
    }
    if (!list_empty(&s->woken)) turn_add(s->host.turn, &s->wake);
    arm_wait(s);
}

static enum key_fetch wait_for_fetch(struct jwks_source *s, struct key_waiter *w) {
    if (s->waiters.length + s->woken.length >= JWKS_WAITERS_MAX) return s->set ? KEY_FETCH_NO_NEWER : KEY_FETCH_FAILED;
    w->until_ms = now_ms(s) + s->config.times.wait;
    list_push(&s->waiters, &w->node);
    if (s->waiters.length == 1) arm_wait(s);
    return KEY_FETCH_WAIT;
}

/* --- freshness --- */

/* One that is no number is as good as over, one that is too large for us is very long (RFC 9111 4.2.1, 1.2.2). */
static uint64_t seconds_of(struct slice text) {
    uint64_t seconds;
    if (text.n >= 2 && text.p[0] == '"' && text.p[text.n - 1] == '"') text = slice_make(text.p + 1, text.n - 2);
    if (slice_to_u64(text, &seconds)) return seconds < UINT32_MAX ? seconds : UINT32_MAX;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < '0' || text.p[i] > '9') return 0;
    return text.n ? UINT32_MAX : 0;
}

/* One directive of Cache-Control (RFC 9111 5.2). The smallest of several ages counts. */
static void read_directive(struct slice directive, uint64_t *age_s, bool *is_silent) {
    struct slice rest = slice_trim(directive), name;
    if (!slice_next(&rest, '=', &name)) return;
    uint64_t seconds = UINT64_MAX;
    if (slice_equal_nocase(name, SLICE("no-cache")) || slice_equal_nocase(name, SLICE("no-store"))) seconds = 0;
    if (slice_equal_nocase(name, SLICE("max-age")) && !slice_is_none(rest)) seconds = seconds_of(rest);
    if (seconds == UINT64_MAX) return;
    *is_silent = false;
    if (seconds < *age_s) *age_s = seconds;
}

uint64_t jwks_lifetime_ms(const struct fields *headers, const struct jwks_times *times) {
    uint64_t age_s = UINT64_MAX;
    bool is_silent = true;
    for (size_t i = 0; i < headers->count; i++) {
        struct slice rest = headers->items[i].value, directive;
        if (!slice_equal_nocase(headers->items[i].name, SLICE("cache-control"))) continue;
        while (slice_next(&rest, ',', &directive)) read_directive(directive, &age_s, &is_silent);
    }
    uint64_t spent_s = 0;
    if (is_silent) return times->usual_age;
    if (!slice_to_u64(slice_trim(fields_get(headers, SLICE("age"))), &spent_s)) spent_s = 0;
    uint64_t left_ms = age_s > spent_s ? (age_s - spent_s) * SECOND_MS : 0;
    if (left_ms < times->least_age) return times->least_age;
    return left_ms < times->most_age ? left_ms : times->most_age;
}

/* --- the end of an attempt --- */

static void rest_for(struct jwks_source *s, uint64_t ms) {
    s->stage = JWKS_RESTING;
    deadline_arm(s->host.deadlines, &s->due, now_ms(s) + ms);
    wake_waiters(s);
}

static void log_replaced(const struct jwks_source *s) {
    const char *why = NULL;
    size_t skipped = jwk_set_skipped(s->set, &why);
    log_event(s->host.log, LOG_INFO, "keys of the issuer fetched", LOG_SLICE("guard", s->config.name),
              LOG_TEXT("url", s->keys_url), LOG_INT("keys", jwk_set_count(s->set)), LOG_INT("skipped", skipped),
              LOG_TEXT("skipped_first", why));
}

static void attempt_succeed(struct jwks_source *s, struct jwk_set *take_set, const struct http_answer *answer) {
    uint64_t lifetime = jwks_lifetime_ms(&answer->headers, &s->config.times);
    bool differs = !s->set || jwk_set_generation(s->set) != jwk_set_generation(take_set);
    bool recovered = s->failed > 0;
    jwk_set_release(s->set);
    s->set = take_set;
    s->fresh_until_ms = now_ms(s) + lifetime;
    s->failed = 0;
    s->counts.replacements += differs;
    if (differs || recovered) log_replaced(s);
    rest_for(s, lifetime - lifetime / 10 - clock_random_below(s->host.clock, lifetime / 10 + 1));
}

static uint64_t backoff_ms(struct jwks_source *s) {
    const struct jwks_times *t = &s->config.times;
    unsigned doublings = s->failed - 1 < 16 ? s->failed - 1 : 16;
    uint64_t most = t->backoff << doublings;
    if (most > t->backoff_most) most = t->backoff_most;
    return most - clock_random_below(s->host.clock, most / 2 + 1);
}

/* Where the keys are is asked anew next time, as the issuer may have moved them. */
static void attempt_fail(struct jwks_source *s) {
    s->failed++;
    s->counts.failures++;
    s->keys_url_until_ms = 0;
    uint64_t pause = backoff_ms(s);
    log_event(s->host.log, LOG_WARN, "keys of the issuer not fetched", LOG_SLICE("guard", s->config.name),
              LOG_TEXT("reason", s->trouble), LOG_INT("failed", s->failed), LOG_INT("next_ms", pause),
              LOG_TEXT("keys", s->set ? "the old ones stay" : "none"));
    rest_for(s, pause);
}

__attribute__((format(printf, 3, 4))) static void note_trouble(struct jwks_source *s, const char *url,
                                                               const char *format, ...) {
    va_list arguments;
    if (s->trouble[0]) return;
    int n = snprintf(s->trouble, sizeof s->trouble, "%.300s: ", url);
    va_start(arguments, format);
    vsnprintf(s->trouble + n, sizeof s->trouble - (size_t)n, format, arguments);
    va_end(arguments);
}

/* False, with the trouble noted, for anything but a document. */
static bool is_document(struct jwks_source *s, const char *url, const struct http_answer *answer) {
    bool is_redirect = answer->status >= 300 && answer->status < 400;
    if (answer->trouble)
        note_trouble(s, url, "%s", answer->why);
    else if (answer->status != 200)
        note_trouble(s, url, "status %d%s", answer->status, is_redirect ? "; redirects are not followed" : "");
    return !answer->trouble && answer->status == 200;
}

/* --- an attempt --- */

static void request_send(struct jwks_source *s, const char *url,
                         void (*on_done)(void *context, const struct http_answer *answer)) {
    const struct http_get get = {.url = url,
                                 .accept = "application/jwk-set+json, application/json",
                                 .timeout_ms = s->config.times.timeout,
                                 .max_size = JWK_SET_SIZE_LIMIT,
                                 .on_done = on_done,
                                 .context = s};
    s->fetch = http_client_get(s->host.client, &get);
}

static void on_keys(void *context, const struct http_answer *answer) {
    struct jwks_source *s = context;
    struct error e = {0};
    s->fetch = NULL;
    struct jwk_set *set = is_document(s, s->keys_url, answer) ? jwk_set_from_json(answer->body, &e) : NULL;
    if (set) {
        attempt_succeed(s, set, answer);
        return;
    }
    note_trouble(s, s->keys_url, "%s", e.message);
    attempt_fail(s);
}

static void keys_request(struct jwks_source *s) {
    s->stage = JWKS_KEYS;
    request_send(s, s->keys_url, on_keys);
}

static void keys_url_set(struct jwks_source *s, const char *url, uint64_t until_ms) {
    free(s->keys_url);
    s->keys_url = xstrdup(url);
    s->keys_url_until_ms = until_ms;
}

static bool metadata_take(struct jwks_source *s, const struct http_answer *answer) {
    struct error e;
    struct arena a;
    const char *url = s->metadata_urls[s->place], *keys_url;
    if (!is_document(s, url, answer)) return false;
    arena_init(&a, 4096);
    int status = jwks_metadata_read(answer->body, s->config.issuer, &a, &keys_url, &e);
    if (status == 0) keys_url_set(s, keys_url, now_ms(s) + jwks_lifetime_ms(&answer->headers, &s->config.times));
    if (status < 0) note_trouble(s, url, "%s", e.message);
    arena_free(&a);
    return status == 0;
}

/* Another place on the same server may do better only if this one answers, and is not in trouble. */
static bool may_be_elsewhere(const struct jwks_source *s, const struct http_answer *answer) {
    return !answer->trouble && answer->status < 500 && answer->status != 429 && s->place + 1 < s->metadata_count;
}

static void on_metadata(void *context, const struct http_answer *answer) {
    struct jwks_source *s = context;
    s->fetch = NULL;
    if (metadata_take(s, answer)) {
        s->trouble[0] = '\0';
        keys_request(s);
    } else if (may_be_elsewhere(s, answer)) {
        request_send(s, s->metadata_urls[++s->place], on_metadata);
    } else {
        attempt_fail(s);
    }
}

static void attempt_begin(struct jwks_source *s) {
    uint64_t now = now_ms(s);
    deadline_disarm(s->host.deadlines, &s->due);
    s->began_ms = now;
    s->trouble[0] = '\0';
    s->counts.attempts++;
    if (s->metadata_count == 0 || now < s->keys_url_until_ms) {
        keys_request(s);
        return;
    }
    s->stage = JWKS_METADATA;
    s->place = 0;
    request_send(s, s->metadata_urls[0], on_metadata);
}

static void on_due(struct deadline *d) {
    struct jwks_source *s = container_of(d, struct jwks_source, due);
    if (s->stage == JWKS_RESTING) attempt_begin(s);
}

/* --- as a key source --- */

static struct jwks_source *of(struct key_source *source) {
    return container_of(source, struct jwks_source, source);
}

static const struct jwk_set *source_current(struct key_source *source) {
    struct jwks_source *s = of(source);
    if (!s->set || now_ms(s) < s->fresh_until_ms + s->config.times.stale) return s->set;
    log_event(s->host.log, LOG_ERROR, "keys of the issuer are too old and not believed any more",
              LOG_SLICE("guard", s->config.name), LOG_TEXT("reason", s->trouble));
    jwk_set_release(s->set);
    s->set = NULL;
    return NULL;
}

static enum key_fetch source_fetch(struct key_source *source, struct key_waiter *w) {
    struct jwks_source *s = of(source);
    if (s->stage != JWKS_RESTING) return wait_for_fetch(s, w);
    if (!s->set) return KEY_FETCH_FAILED;
    if (now_ms(s) < s->began_ms + s->config.times.unknown_key) return KEY_FETCH_NO_NEWER;
    attempt_begin(s);
    return wait_for_fetch(s, w);
}

static void source_forget(struct key_source *source, struct key_waiter *w) {
    struct jwks_source *s = of(source);
    list_remove(&w->node);
    if (list_empty(&s->waiters)) deadline_disarm(s->host.deadlines, &s->wait_over);
}

static bool same_place(const struct jwks_source *a, const struct jwks_source *b) {
    if (a->metadata_count != b->metadata_count || !slice_equal(a->config.issuer, b->config.issuer)) return false;
    return a->metadata_count > 0 || strcmp(a->keys_url, b->keys_url) == 0;
}

/* The fetch that has begun goes on; until it ends well, the keys are those that were believed before. */
static void source_inherit(struct key_source *source, const struct key_source *old) {
    struct jwks_source *s = of(source);
    const struct jwks_source *from = container_of(old, const struct jwks_source, source);
    if (!from->set || s->set || !same_place(s, from)) return;
    s->set = jwk_set_hold(from->set);
    s->fresh_until_ms = from->fresh_until_ms;
}

static void source_free(struct key_source *source) {
    struct jwks_source *s = of(source);
    if (s->fetch) http_client_cancel(s->host.client, s->fetch);
    deadline_disarm(s->host.deadlines, &s->due);
    deadline_disarm(s->host.deadlines, &s->wait_over);
    turn_remove(&s->wake);
    jwk_set_release(s->set);
    free(s->keys_url);
    arena_free(&s->arena);
    free(s);
}

static const struct key_source_ops jwks_ops = {
    .current = source_current,
    .fetch = source_fetch,
    .forget = source_forget,
    .inherit = source_inherit,
    .free = source_free,
};

static struct jwks_times times_or_usual(const struct jwks_times *t) {
    return (struct jwks_times){
        .timeout = t->timeout ? t->timeout : 5 * SECOND_MS,
        .least_age = t->least_age ? t->least_age : MINUTE_MS,
        .usual_age = t->usual_age ? t->usual_age : 10 * MINUTE_MS,
        .most_age = t->most_age ? t->most_age : 24 * HOUR_MS,
        .unknown_key = t->unknown_key ? t->unknown_key : 30 * SECOND_MS,
        .stale = t->stale ? t->stale : 24 * HOUR_MS,
        .backoff = t->backoff ? t->backoff : SECOND_MS,
        .backoff_most = t->backoff_most ? t->backoff_most : 30 * SECOND_MS,
        .wait = t->wait ? t->wait : 5 * SECOND_MS,
    };
}

struct key_source *jwks_source_new(const struct jwks_host *host, const struct jwks_config *config) {
    struct jwks_source *s = xcalloc(1, sizeof *s);
    s->source.ops = &jwks_ops;
    s->host = *host;
    arena_init(&s->arena, 512);
    s->config.name = arena_copy(&s->arena, config->name);
    s->config.issuer = arena_copy(&s->arena, config->issuer);
    s->config.times = times_or_usual(&config->times);
    s->due.on_due = on_due;
    s->wait_over.on_due = on_wait_over;
    s->wake = (struct turn_task){.phase = TURN_PUBLIC, .run = on_wake};
    list_init(&s->waiters);
    list_init(&s->woken);
    if (slice_is_none(config->url))
        s->metadata_count = jwks_metadata_urls(s->config.issuer, &s->arena, s->metadata_urls);
    else
        s->keys_url = slice_dup(config->url);
    attempt_begin(s);
    return &s->source;
}

struct jwks_counts jwks_source_count(const struct key_source *source) {
    const struct jwks_source *s = container_of(source, struct jwks_source, source);
    struct jwks_counts counts = s->counts;
    counts.waiting = s->waiters.length + s->woken.length;
    counts.next_ms = deadline_armed(&s->due) ? s->due.at_ms : DEADLINE_NEVER;
    return counts;
}
