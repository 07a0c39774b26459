#include "gateway/base/http_text.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/model.h"
#include "gateway/blueprint/tree.h"
#include "plugins/limits/limits_policy.h"

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)
#define DAY_MS (24ULL * 60 * 60 * 1000)
#define NAME_MAX_BYTES 64
#define LIMITS_MOST 8 /* of a route */

struct rate_document {
    struct node *origin;
    struct node *name, *by;
    uint64_t rate;
    uint64_t burst;
};
struct limits_application {
    struct node *origin;
    struct bound_items rates;
};
struct limits_trigger {
    struct node *origin;
    struct bound_items rates;
    uint64_t word;
    uint64_t max_body, max_header, max_uri, max_concurrency, timeout_ms;
};

/* --- whom to count apart --- */

static const struct {
    const char *text; /* with ":": a name follows */
    enum rate_by by;
} by_rows[] = {{"address", RATE_BY_ADDRESS},
               {"route", RATE_BY_ROUTE},
               {"subject", RATE_BY_SUBJECT},
               {"header:", RATE_BY_HEADER},
               {"claim:", RATE_BY_CLAIM}};

static bool by_parse(struct slice text, enum rate_by *by, struct slice *name) {
    for (size_t i = 0; i < ARRAY_LEN(by_rows); i++) {
        struct slice row = slice_of(by_rows[i].text);
        bool is_named = row.p[row.n - 1] == ':';
        *by = by_rows[i].by;
        *name = SLICE_NONE;
        if (!is_named && slice_equal(text, row)) return true;
        if (!is_named || !slice_starts_with(text, row)) continue;
        *name = slice_make(text.p + row.n, text.n - row.n);
        return *by == RATE_BY_HEADER ? http_is_token(*name) : name->n > 0;
    }
    return false;
}

static bool is_by(struct slice text) {
    enum rate_by by;
    struct slice name;
    return by_parse(text, &by, &name);
}

static bool is_limit_name(struct slice text) {
    return text.n <= NAME_MAX_BYTES && http_is_token(text);
}

static const struct text_rule rule_by = {
    "address, route, subject, header:NAME or claim:NAME",
    "^(address|route|subject|header:[A-Za-z0-9!#$%&'*+.^_`|~-]+|claim:.+)$",
    is_by,
};
static const struct text_rule rule_name = {
    "a name of letters, digits and any of !#$%&'*+-.^_`|~, at most 64",
    "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$",
    is_limit_name,
};

/* --- the language --- */

static const struct schema_field rate_fields[] = {
    {.name = "rate",
     .kind = FIELD_RATE,
     .flags = FIELD_REQUIRED,
     .offset = offsetof(struct rate_document, rate),
     .least = 1,
     .most = TOKEN_RATE_MOST,
     .about = "How many requests a client may make in the long run: per second, minute, hour or day (`/s`, `/m`, `/h`, "
              "`/d`).",
     .example = "100/s"},
    {.name = "burst",
     .kind = FIELD_INTEGER,
     .offset = offsetof(struct rate_document, burst),
     .least = 1,
     .most = TOKEN_BURST_MOST,
     .preset_note = "the number in `rate`",
     .about = "How many it may make at once, after a time of silence.",
     .example = "200"},
    {.name = "by",
     .kind = FIELD_TEXT,
     .flags = FIELD_SHOWN,
     .offset = offsetof(struct rate_document, by),
     .rule = &rule_by,
     .preset_note = "`address`",
     .about = "Whom to count apart. `address`: each client address (see `trustedProxies`), of IPv6 each /64. `route`: "
              "nobody, all clients of a route are counted together. `header:NAME`: each value of a request header, "
              "which a client can choose. `subject`, `claim:NAME`: each user, key or claim that a guard has verified. "
              "Requests that do not say are counted by address. Only the last two look at requests behind the guards.",
     .example = "claim:tenant"},
    {.name = "name",
     .kind = FIELD_TEXT,
     .flags = FIELD_SHOWN,
     .offset = offsetof(struct rate_document, name),
     .rule = &rule_name,
     .preset_note = "`default`, then `default-2` ...",
     .about = "What clients are told the limit is called, in the RateLimit fields.",
     .example = "tenant"},
};
static const struct object_schema rate_schema = {
    .name = "rateLimit",
    .title = "a rate limit",
    .about = "A token bucket. A request beyond it is answered 429 with Retry-After; all answers of a limited route "
             "carry RateLimit-Policy and RateLimit.",
    .fields = rate_fields,
    .count = ARRAY_LEN(rate_fields),
    .size = sizeof(struct rate_document),
    .origin_offset = offsetof(struct rate_document, origin),
};

static const struct schema_field application_fields[] = {
    {.name = "rateLimit",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE,
     .offset = offsetof(struct limits_application, rates),
     .least = 1,
     .most = LIMITS_MOST,
     .object = &rate_schema,
     .preset_note = "none",
     .about = "Rates that hold for all http triggers together which have no `rateLimit` of their own.",
     .example = "{rate: 100/s, burst: 200}"},
};
static const struct object_schema application_schema = {
    .name = "limits",
    .title = "`limits`",
    .about = "",
    .fields = application_fields,
    .count = ARRAY_LEN(application_fields),
    .size = sizeof(struct limits_application),
    .origin_offset = offsetof(struct limits_application, origin),
};

#define TRIGGER(member) offsetof(struct limits_trigger, member)
static const char *const words[] = {"off", NULL};
static const struct schema_field trigger_fields[] = {
    {.name = "maxBody",
     .kind = FIELD_SIZE,
     .offset = TRIGGER(max_body),
     .least = 0,
     .most = GIB,
     .preset_note = "`limits.maxBody`",
     .about = "The largest request body of this trigger.",
     .example = "1MiB"},
    {.name = "maxHeader",
     .kind = FIELD_SIZE,
     .offset = TRIGGER(max_header),
     .least = 64,
     .most = MIB,
     .preset_note = "`limits.maxHeader`",
     .about = "The request line and all header fields of a request; not above `limits.maxHeader`. Beyond it, clients "
              "are answered 431.",
     .example = "4KiB"},
    {.name = "maxUri",
     .kind = FIELD_SIZE,
     .offset = TRIGGER(max_uri),
     .least = 16,
     .most = MIB,
     .preset_note = "as `maxHeader` allows",
     .about = "The request's target: path and query, as sent. Beyond it, clients are answered 414.",
     .example = "1KiB"},
    {.name = "maxConcurrency",
     .kind = FIELD_INTEGER,
     .offset = TRIGGER(max_concurrency),
     .least = 1,
     .most = 1000000,
     .preset_note = "none",
     .about = "Requests of this trigger between the guards and the beginning of their answers. Above it, clients are "
              "answered 503 with Retry-After.",
     .example = "10"},
    {.name = "timeout",
     .kind = FIELD_DURATION,
     .offset = TRIGGER(timeout_ms),
     .least = 1,
     .most = DAY_MS,
     .preset_note = "the handler's",
     .about = "How long one invocation of this trigger may take; not above the handler's `timeout`.",
     .example = "2s"},
    {.name = "rateLimit",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE | FIELD_OR_WORD,
     .offset = TRIGGER(rates),
     .word_offset = TRIGGER(word),
     .choices = words,
     .least = 1,
     .most = LIMITS_MOST,
     .object = &rate_schema,
     .preset_note = "`limits.rateLimit`",
     .about = "Rates of this trigger, instead of the application's; a request must keep all of them. `off`: none.",
     .example = "{rate: 5/m, by: address}"},
};
static const struct object_schema trigger_schema = {
    .name = "trigger",
    .title = "a trigger",
    .about = "",
    .fields = trigger_fields,
    .count = ARRAY_LEN(trigger_fields),
    .size = sizeof(struct limits_trigger),
    .origin_offset = TRIGGER(origin),
};

/* --- from the documents to policies --- */

struct checking {
    const struct blueprint *blueprint;
    struct limits_settings *settings;
    struct problems *problems;
    struct arena *arena;
};

/* "60/m" means up to 60 at once, although it is 1/s. */
static uint64_t default_burst(const struct rate_document *d) {
    const struct node *written = node_get(d->origin, "rate");
    struct slice rest = written->text, number = SLICE_NONE;
    uint64_t burst = 1;
    slice_next(&rest, '/', &number);
    if (!slice_to_u64(number, &burst)) return 1;
    return burst < TOKEN_BURST_MOST ? burst : TOKEN_BURST_MOST;
}

static struct rate_limit limit_of(struct checking *c, const struct rate_document *d, size_t position) {
    struct rate_limit limit = {.number = c->settings->limit_count++, .name = SLICE("default"), .by = RATE_BY_ADDRESS};
    if (position) limit.name = arena_printf(c->arena, "default-%zu", position + 1);
    if (d->name) limit.name = d->name->text;
    if (d->by) by_parse(d->by->text, &limit.by, &limit.by_name);
    if (d->rate != VALUE_UNSET)
        limit.rate = token_rate_make(d->rate, d->burst == VALUE_UNSET ? default_burst(d) : d->burst);
    return limit;
}

static void check_names(struct checking *c, const struct rate_limits *rates, const struct rate_document *documents) {
    for (size_t i = 1; i < rates->count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (!documents[i].origin || !slice_equal(rates->items[i].name, rates->items[k].name)) continue;
            problems_add(c->problems, documents[i].origin->at, "rateLimit: two limits are called \"" SLICE_FMT "\"",
                         SLICE_ARG(rates->items[i].name));
        }
    }
}

/* `RateLimit-Policy: "default";q=200;w=2` (draft-ietf-httpapi-ratelimit-headers-10, 3): so many in the time that an
 * empty bucket takes to be full. Names are tokens, so none needs an escape. */
static struct slice policy_text(struct checking *c, const struct rate_limits *rates) {
    struct slice text = SLICE_NONE;
    for (size_t i = 0; i < rates->count; i++) {
        const struct rate_limit *l = &rates->items[i];
        uint64_t window_s = (token_rate_window_ns(&l->rate) + 999999999) / 1000000000;
        text = arena_printf(c->arena, SLICE_FMT "%s\"" SLICE_FMT "\";q=%llu;w=%llu", SLICE_ARG(text),
                            text.n ? ", " : "", SLICE_ARG(l->name), (unsigned long long)l->rate.burst,
                            (unsigned long long)window_s);
    }
    return text;
}

static const struct rate_limits *rates_of(struct checking *c, const struct bound_items *items) {
    const struct rate_document *documents = items->items;
    if (items->count == 0) return NULL;
    struct rate_limits *rates = arena_zalloc(c->arena, sizeof *rates);
    rates->items = arena_zalloc(c->arena, items->count * sizeof *rates->items);
    for (; rates->count < items->count; rates->count++)
        rates->items[rates->count] = limit_of(c, &documents[rates->count], rates->count);
    check_names(c, rates, documents);
    rates->policy = policy_text(c, rates);
    return rates;
}

static struct position at_key(const struct limits_trigger *t, const char *key) {
    const struct node *n = node_get(t->origin, key);
    return n ? n->at : t->origin->at;
}

static void check_head(struct checking *c, const struct limits_trigger *t) {
    uint64_t most = c->blueprint->limits.max_header;
    if (t->max_header != VALUE_UNSET && t->max_header > most)
        problems_add(c->problems, at_key(t, "maxHeader"),
                     "maxHeader: a trigger's cannot be larger than limits.maxHeader, which is looked at first");
    if (t->max_uri != VALUE_UNSET && t->max_uri > (t->max_header < most ? t->max_header : most))
        problems_add(c->problems, at_key(t, "maxUri"),
                     "maxUri: the target is part of what maxHeader bounds; this is larger");
}

static void check_timeout(struct checking *c, const struct limits_trigger *t, const struct handler_config *h) {
    if (t->timeout_ms == VALUE_UNSET || t->timeout_ms <= h->timeout_ms) return;
    problems_add(c->problems, at_key(t, "timeout"), "timeout: a trigger's can only be shorter than its handler's (%s)",
                 h->name);
}

static uint64_t or_else(uint64_t value, uint64_t otherwise) {
    return value == VALUE_UNSET ? otherwise : value;
}

static struct limits_policy policy_of(struct checking *c, const struct limits_trigger *t,
                                      const struct rate_limits *application) {
    const struct limits_config *all = &c->blueprint->limits;
    const struct rate_limits *own = rates_of(c, &t->rates);
    return (struct limits_policy){
        .max_body = or_else(t->max_body, all->max_body),
        .max_header = or_else(t->max_header, all->max_header),
        .max_uri = or_else(t->max_uri, UINT64_MAX),
        .max_concurrency = or_else(t->max_concurrency, 0),
        .timeout_ms = or_else(t->timeout_ms, 0),
        .rates = t->word ? NULL
                 : own   ? own
                         : application,
    };
}

static void check_handler(struct checking *c, const struct handler_config *h, const struct section_values *v,
                          const struct rate_limits *application) {
    for (size_t i = 0; i < h->http_trigger_count; i++) {
        size_t number = h->http_triggers[i].number;
        const struct limits_trigger *t = v->triggers[number];
        check_head(c, t);
        check_timeout(c, t, h);
        c->settings->triggers[number] = policy_of(c, t, application);
    }
}

static void limits_check(const struct blueprint *b, const struct section_values *v, struct problems *p, struct arena *a,
                         void **settings) {
    const struct limits_application *application = v->application;
    struct limits_settings *s = arena_zalloc(a, sizeof *s);
    struct checking c = {b, s, p, a};
    s->trigger_count = v->trigger_count;
    s->triggers = arena_zalloc(a, (v->trigger_count + 1) * sizeof *s->triggers);
    const struct rate_limits *shared = rates_of(&c, &application->rates);
    for (size_t i = 0; i < b->handler_count; i++) check_handler(&c, &b->handlers[i], v, shared);
    for (size_t i = 0; i < b->queue_count; i++) check_handler(&c, &b->queues[i].sender, v, shared);
    for (size_t i = 0; i < b->websocket_count; i++) check_handler(&c, &b->websockets[i].door, v, shared);
    *settings = s;
}

const struct section limits_section = {
    .key = "limits",
    .schema = &application_schema,
    .trigger = &trigger_schema,
    .check = limits_check,
};
