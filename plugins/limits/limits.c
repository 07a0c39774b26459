#include "plugins/limits/limits.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/model.h"
#include "gateway/invocation/identity.h"
#include "plugins/limits/bucket_table.h"
#include "plugins/limits/limits_policy.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#define BUCKETS 65536 /* of a limit; about 3 MiB once all were used */
#define SECOND_NS 1000000000ULL
#define BUSY_RETRY_S 1
#define IPV6_SUBSCRIBER_BYTES 8 /* a /64 */

struct limits {
    const struct limits_settings *settings;
    struct clock *clock;
    struct bucket_seed seed;
    struct bucket_table **tables; /* by rate_limit.number */
    uint64_t *running;            /* invocations that hold a place, by trigger number */
};

struct rate_look {
    uint64_t *bucket; /* while a phase looks at it */
    bool looked;
    uint64_t left, wait_ns, full_ns;
};
/* What was counted for one invocation; in its arena. */
struct limits_record {
    struct limits *limits;
    const struct limits_policy *policy;
    size_t trigger;
    bool holds_place;
    struct rate_look rates[];
};

static const struct limits_policy *policy_of(const struct limits *l, const struct invocation *inv) {
    assert(inv->route->trigger->number < l->settings->trigger_count);
    return &l->settings->triggers[inv->route->trigger->number];
}

/* --- sizes --- */

static enum step_result refuse_size(struct invocation *inv, enum failure f, uint64_t size, uint64_t most) {
    inv->outcome = outcome_failure(inv, f, "%" PRIu64 " bytes; at most %" PRIu64 " are accepted", size, most);
    return STEP_REPLY;
}

static enum step_result check_sizes(struct invocation *inv, const struct limits_policy *p) {
    const struct request *r = &inv->request;
    if (r->target.n > p->max_uri) return refuse_size(inv, FAILURE_URI_TOO_LONG, r->target.n, p->max_uri);
    if (r->head_size > p->max_header) return refuse_size(inv, FAILURE_HEADER_TOO_LARGE, r->head_size, p->max_header);
    if (!inv->body) return STEP_NEXT;
    int64_t length = body_length(inv->body);
    if (length >= 0 && (uint64_t)length > p->max_body)
        return refuse_size(inv, FAILURE_BODY_TOO_LARGE, (uint64_t)length, p->max_body);
    body_set_limit(inv->body, p->max_body);
    return STEP_NEXT;
}

/* --- rates --- */

static bool is_verified(enum rate_by by) {
    return by == RATE_BY_SUBJECT || by == RATE_BY_CLAIM;
}

static struct bucket_key address_key(const struct limits *l, struct slice text) {
    struct address address;
    if (!address_parse(text, &address)) return bucket_key_make(&l->seed, RATE_BY_ADDRESS, text);
    size_t n = address.family == ADDRESS_IPV4 ? 4 : address.family == ADDRESS_IPV6 ? IPV6_SUBSCRIBER_BYTES : 0;
    return bucket_key_make(&l->seed, RATE_BY_ADDRESS, slice_make((const char *)address.bytes, n));
}

/* Absent when the request says nothing of it. */
static struct slice named_by(const struct rate_limit *limit, const struct invocation *inv) {
    switch (limit->by) {
    case RATE_BY_HEADER: return fields_get(&inv->request.headers, limit->by_name);
    case RATE_BY_SUBJECT: return inv->identity ? identity_subject(inv->identity) : SLICE_NONE;
    case RATE_BY_CLAIM: return inv->identity ? identity_claim(inv->identity, limit->by_name) : SLICE_NONE;
    case RATE_BY_ADDRESS:
    case RATE_BY_ROUTE: break;
    }
    return SLICE_NONE;
}

/* Who does not say by what to be counted is counted by address. */
static struct bucket_key key_of(const struct limits *l, const struct rate_limit *limit, const struct invocation *inv) {
    if (limit->by == RATE_BY_ROUTE) {
        const size_t *number = &inv->route->trigger->number;
        return bucket_key_make(&l->seed, RATE_BY_ROUTE, slice_make((const char *)number, sizeof *number));
    }
    struct slice name = named_by(limit, inv);
    if (slice_is_none(name)) return address_key(l, inv->request.client_address);
    return bucket_key_make(&l->seed, limit->by, name);
}

static void look_note(struct rate_look *look, const struct token_rate *rate, uint64_t now_ns) {
    look->left = token_bucket_left(rate, *look->bucket, now_ns);
    look->wait_ns = token_bucket_wait_ns(rate, *look->bucket, now_ns);
    look->full_ns = *look->bucket > now_ns ? *look->bucket - now_ns : 0;
}

static uint64_t seconds_up(uint64_t ns) {
    return (ns + SECOND_NS - 1) / SECOND_NS;
}

/* The longest time that one of the phase's limits wants the client to wait; 0 = it may come in. */
static uint64_t look_at_rates(struct limits_record *r, const struct invocation *inv, bool verified, uint64_t now_ns) {
    const struct rate_limits *rates = r->policy->rates;
    uint64_t wait_ns = 0;
    for (size_t i = 0; i < rates->count; i++) {
        const struct rate_limit *limit = &rates->items[i];
        struct rate_look *look = &r->rates[i];
        if (is_verified(limit->by) != verified) continue;
        look->bucket = bucket_table_at(r->limits->tables[limit->number], key_of(r->limits, limit, inv));
        look->looked = true;
        look_note(look, &limit->rate, now_ns);
        if (look->wait_ns > wait_ns) wait_ns = look->wait_ns;
    }
    return wait_ns;
}

static void charge_rates(struct limits_record *r, bool verified, uint64_t now_ns) {
    const struct rate_limits *rates = r->policy->rates;
    for (size_t i = 0; i < rates->count; i++) {
        const struct token_rate *rate = &rates->items[i].rate;
        struct rate_look *look = &r->rates[i];
        if (is_verified(rates->items[i].by) != verified) continue;
        *look->bucket = token_bucket_take(rate, *look->bucket, now_ns);
        look_note(look, rate, now_ns);
    }
}

static enum step_result check_rates(struct limits_record *r, struct invocation *inv, bool verified) {
    if (!r->policy->rates) return STEP_NEXT;
    uint64_t now_ns = clock_now_us(r->limits->clock) * 1000;
    uint64_t wait_ns = look_at_rates(r, inv, verified, now_ns);
    if (wait_ns == 0) {
        charge_rates(r, verified, now_ns);
        return STEP_NEXT;
    }
    uint64_t wait_s = seconds_up(wait_ns);
    inv->outcome = outcome_failure(inv, FAILURE_RATE_LIMITED, "try again in %" PRIu64 " s", wait_s);
    inv->outcome.retry_after_s = (uint32_t)wait_s;
    return STEP_REPLY;
}

/* `t` is when there is more than `r` says: all of it, or after the last one, one. */
static void answer_rates(const struct limits_record *r, struct invocation *inv) {
    const struct rate_limits *rates = r->policy->rates;
    struct fields *f = &inv->outcome.headers;
    struct slice value = SLICE_NONE;
    for (size_t i = 0; i < rates->count; i++) {
        const struct rate_look *look = &r->rates[i];
        if (!look->looked) continue;
        value = arena_printf(&inv->arena, SLICE_FMT "%s\"" SLICE_FMT "\";r=%" PRIu64 ";t=%" PRIu64, SLICE_ARG(value),
                             value.n ? ", " : "", SLICE_ARG(rates->items[i].name), look->left,
                             seconds_up(look->left ? look->full_ns : look->wait_ns));
    }
    fields_remove(f, SLICE("RateLimit-Policy"));
    fields_remove(f, SLICE("RateLimit"));
    fields_add(f, &inv->arena, SLICE("RateLimit-Policy"), rates->policy);
    if (!slice_is_none(value)) fields_add(f, &inv->arena, SLICE("RateLimit"), value);
}

/* --- the hooks --- */

static struct limits_record *record_new(struct limits *l, const struct limits_policy *p, struct invocation *inv) {
    size_t rates = p->rates ? p->rates->count : 0;
    struct limits_record *r = arena_zalloc(&inv->arena, sizeof *r + rates * sizeof r->rates[0]);
    r->limits = l;
    r->policy = p;
    r->trigger = inv->route->trigger->number;
    return r;
}

static enum step_result limits_pre_handle(void *state, struct invocation *inv) {
    struct limits *l = state;
    if (!inv->route->trigger) return STEP_NEXT;
    const struct limits_policy *p = policy_of(l, inv);
    if (!inv->timeout_ms) inv->timeout_ms = p->timeout_ms;
    if (p->rates || p->max_concurrency) inv->limiting = record_new(l, p, inv);
    if (check_sizes(inv, p) == STEP_REPLY) return STEP_REPLY;
    return inv->limiting ? check_rates(inv->limiting, inv, false) : STEP_NEXT;
}

static enum step_result take_place(struct limits_record *r, struct invocation *inv) {
    uint64_t *running = &r->limits->running[r->trigger];
    if (!r->policy->max_concurrency) return STEP_NEXT;
    if (*running >= r->policy->max_concurrency) {
        inv->outcome = outcome_failure(inv, FAILURE_OVERLOADED, NULL);
        inv->outcome.retry_after_s = BUSY_RETRY_S;
        return STEP_REPLY;
    }
    ++*running;
    r->holds_place = true;
    return STEP_NEXT;
}

static enum step_result verified_pre_handle(void *state, struct invocation *inv) {
    (void)state;
    struct limits_record *r = inv->limiting;
    if (!r) return STEP_NEXT;
    return check_rates(r, inv, true) == STEP_REPLY ? STEP_REPLY : take_place(r, inv);
}

static void limits_post_handle(void *state, struct invocation *inv) {
    (void)state;
    struct limits_record *r = inv->limiting;
    if (!r) return;
    if (r->holds_place) r->limits->running[r->trigger]--;
    r->holds_place = false;
    if (r->policy->rates) answer_rates(r, inv);
}

/* --- life --- */

/* Of a limit by route there are no more buckets than routes. */
static void open_tables(struct limits *l) {
    const struct limits_settings *s = l->settings;
    for (size_t i = 0; i < s->trigger_count; i++) {
        const struct rate_limits *rates = s->triggers[i].rates;
        for (size_t k = 0; rates && k < rates->count; k++) {
            const struct rate_limit *limit = &rates->items[k];
            size_t places = limit->by == RATE_BY_ROUTE ? s->trigger_count : BUCKETS;
            if (!l->tables[limit->number]) l->tables[limit->number] = bucket_table_new((uint32_t)places);
        }
    }
}

static int limits_open(const struct plugin_host *host, const void *settings, void **state, struct error *e) {
    (void)e;
    static const struct limits_settings nothing = {.limit_count = 0};
    struct limits *l = xcalloc(1, sizeof *l);
    l->settings = settings ? settings : &nothing;
    l->clock = host->clock;
    bucket_seed_draw(&l->seed, host->clock);
    l->tables = xcalloc(l->settings->limit_count + 1, sizeof(struct bucket_table *));
    l->running = xcalloc(l->settings->trigger_count + 1, sizeof *l->running);
    open_tables(l);
    *state = l;
    return 0;
}

static void limits_close(void *state) {
    struct limits *l = state;
    for (size_t i = 0; i < l->settings->limit_count; i++) bucket_table_free(l->tables[i]);
    free(l->tables);
    free(l->running);
    free(l);
}

const struct plugin limits_plugin = {
    .name = "limits",
    .section = &limits_section,
    .open = limits_open,
    .pre_handle = limits_pre_handle,
    .post_handle = limits_post_handle,
    .close = limits_close,
};
const struct plugin limits_verified_plugin = {.name = "limits-verified", .pre_handle = verified_pre_handle};
