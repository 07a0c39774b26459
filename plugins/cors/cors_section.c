#include "gateway/base/http_text.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/model.h"
#include "gateway/blueprint/tree.h"
#include "plugins/cors/cors_origin.h"
#include "plugins/cors/cors_policy.h"

#define DAY_MS (24ULL * 60 * 60 * 1000)

struct cors_document {
    struct node *origin;
    struct bound_items origins, methods, headers, expose;
    uint64_t credentials;
    uint64_t max_age_ms;
    uint64_t private_network;
};
struct cors_trigger {
    struct node *origin;
    struct cors_document cors;
    uint64_t word;
};

static bool any_text(struct slice s) {
    return s.n > 0;
}

/* Refused later, with a better reason than a rule can give. */
static const struct text_rule rule_origin = {
    "an origin such as https://shop.example, https://*.shop.example, null or *",
    "^(\\*|null|[a-z][a-z0-9+.-]*://[^/?#@A-Z]+)$",
    any_text,
};
static const struct text_rule rule_token = {
    "a token: letters, digits and any of !#$%&'*+-.^_`|~",
    "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
    http_is_token,
};

#define MEMBER(name) offsetof(struct cors_document, name)
static const struct schema_field cors_fields[] = {
    {.name = "allowOrigins",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE | FIELD_SHOWN,
     .offset = MEMBER(origins),
     .least = 1,
     .rule = &rule_origin,
     .preset_note = "none: the application's `cors` must have it, or every trigger's",
     .about = "The origins whose pages may read answers: `scheme://host[:port]` in lower case without a path; "
              "`scheme://*.host` for all hosts below; `null` for pages without an origin (which anybody can make), "
              "never with credentials; "
              "`*` alone for everyone, never with credentials.",
     .example = "[https://shop.example, \"https://*.shop.example\"]"},
    {.name = "allowMethods",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE | FIELD_SHOWN,
     .offset = MEMBER(methods),
     .rule = &rule_token,
     .preset_note = "`[GET, HEAD, POST]`",
     .about = "The methods that a preflight may ask for, compared with case; `*` for all, never with credentials.",
     .example = "[GET, POST, PUT]"},
    {.name = "allowHeaders",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE | FIELD_SHOWN,
     .offset = MEMBER(headers),
     .rule = &rule_token,
     .preset_note = "none",
     .about = "The request headers that a preflight may ask for, compared without case; `*` for all but "
              "`authorization`, never with credentials.",
     .example = "[authorization, content-type]"},
    {.name = "exposeHeaders",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE | FIELD_SHOWN,
     .offset = MEMBER(expose),
     .rule = &rule_token,
     .preset_note = "none",
     .about = "The answer's headers that a page may read, besides the few it always may; `*` for all, never with "
              "credentials.",
     .example = "[etag]"},
    {.name = "allowCredentials",
     .kind = FIELD_BOOLEAN,
     .offset = MEMBER(credentials),
     .preset = "false",
     .about = "Whether pages may send cookies and other credentials of the browser.",
     .example = "true"},
    {.name = "maxAge",
     .kind = FIELD_DURATION,
     .offset = MEMBER(max_age_ms),
     .least = 0,
     .most = DAY_MS,
     .preset_note = "the browser's own, usually 5s",
     .about = "How long a browser may remember the answer to a preflight; whole seconds. Browsers have bounds of "
              "their own (2h in Chromium).",
     .example = "10m"},
    {.name = "privateNetwork",
     .kind = FIELD_BOOLEAN,
     .offset = MEMBER(private_network),
     .preset = "false",
     .about = "Whether public pages may call this gateway on a private network, when the browser asks for it.",
     .example = "true"},
};
static const struct object_schema cors_schema = {
    .name = "cors",
    .title = "`cors`",
    .about = "Which pages in browsers may call the application. A trigger's `cors` sets single keys anew, or all of it "
             "`off`. The gateway answers preflights itself, and replaces what handlers say about CORS.",
    .fields = cors_fields,
    .count = ARRAY_LEN(cors_fields),
    .size = sizeof(struct cors_document),
    .origin_offset = offsetof(struct cors_document, origin),
};

static const char *const words[] = {"off", NULL};
static const struct schema_field trigger_fields[] = {
    {.name = "cors",
     .kind = FIELD_OBJECT,
     .flags = FIELD_OR_WORD,
     .offset = offsetof(struct cors_trigger, cors),
     .word_offset = offsetof(struct cors_trigger, word),
     .choices = words,
     .object = &cors_schema,
     .preset_note = "the application's",
     .about = "CORS for this route: what it sets wins over the application's, `off` leaves CORS to the handler.",
     .example = "{allowOrigins: [https://admin.shop.example]}"},
};
static const struct object_schema trigger_schema = {
    .name = "trigger",
    .title = "a trigger",
    .about = "",
    .fields = trigger_fields,
    .count = ARRAY_LEN(trigger_fields),
    .size = sizeof(struct cors_trigger),
    .origin_offset = offsetof(struct cors_trigger, origin),
};

/* --- from the document to policies --- */

struct checking {
    struct cors_settings *settings;
    struct problems *problems;
    struct arena *arena;
};

/* The next item that was understood; NULL at the end. */
static const struct node *next_item(const struct bound_items *items, size_t *cursor) {
    struct node *const *nodes = items->items;
    while (*cursor < items->count)
        if (nodes[(*cursor)++]) return nodes[*cursor - 1];
    return NULL;
}

static const struct node *find_item(const struct bound_items *items, struct slice text) {
    const struct node *n;
    for (size_t i = 0; (n = next_item(items, &i));)
        if (slice_equal(n->text, text)) return n;
    return NULL;
}

static void check_origins(struct checking *c, const struct bound_items *items) {
    char shown[NODE_SHOWN_SIZE];
    const struct node *n;
    for (size_t i = 0; (n = next_item(items, &i));) {
        const char *objection = cors_origin_objection(n->text);
        if (objection) problems_add(c->problems, n->at, "allowOrigins: %s: %s", node_show(n, shown), objection);
    }
    const struct node *star = find_item(items, SLICE("*"));
    if (star && items->count > 1)
        problems_add(c->problems, star->at, "allowOrigins: \"*\" is everyone; it stands alone");
}

/* Those that browsers turn into upper case (Fetch Standard, "normalize a method"): in lower case nobody sends them. */
static void check_methods(struct checking *c, const struct bound_items *items) {
    static const char *const normal[] = {"DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"};
    const struct node *n;
    for (size_t i = 0; (n = next_item(items, &i));) {
        for (size_t k = 0; k < ARRAY_LEN(normal); k++) {
            struct slice name = slice_of(normal[k]);
            if (slice_equal_nocase(n->text, name) && !slice_equal(n->text, name))
                problems_add(c->problems, n->at, "allowMethods: methods are compared with case; write %s", normal[k]);
        }
    }
}

/* To a request with credentials, browsers take `*` for a name like any other (Fetch Standard, "CORS protocol and
 * credentials"). Told where the star stands, if it stands in `own`, else at the override that brought the two together.
 */
static void check_stars(struct checking *c, const struct cors_document *d, const struct cors_document *own) {
    static const struct {
        const char *key;
        size_t offset;
    } lists[] = {{"allowOrigins", MEMBER(origins)},
                 {"allowMethods", MEMBER(methods)},
                 {"allowHeaders", MEMBER(headers)},
                 {"exposeHeaders", MEMBER(expose)}};
    for (size_t i = 0; i < ARRAY_LEN(lists) && d->credentials == 1; i++) {
        const struct bound_items *all = (const void *)((const char *)d + lists[i].offset);
        const struct bound_items *written = (const void *)((const char *)own + lists[i].offset);
        const struct node *star = find_item(all, SLICE("*"));
        if (star)
            problems_add(c->problems, written->node ? star->at : own->origin->at,
                         "%s: \"*\" and allowCredentials: true exclude each other; name what is allowed", lists[i].key);
    }
}

/* Anybody can make a page whose origin is `null` (a sandboxed frame), so this would be a `*` with credentials. */
static void check_null(struct checking *c, const struct cors_document *d, const struct cors_document *own) {
    const struct node *null = d->credentials == 1 ? find_item(&d->origins, SLICE("null")) : NULL;
    if (null)
        problems_add(
            c->problems, own->origins.node ? null->at : own->origin->at,
            "allowOrigins: \"null\" is any page that hides its origin, and allowCredentials: true excludes it; "
            "name what is allowed");
}

static struct slices slices_of(struct checking *c, const struct bound_items *items) {
    struct slices s = {.items = arena_alloc(c->arena, (items->count + 1) * sizeof *s.items)};
    const struct node *n;
    for (size_t i = 0; (n = next_item(items, &i));) s.items[s.count++] = n->text;
    return s;
}

static struct slices methods_of(struct checking *c, const struct bound_items *items) {
    static struct slice safelisted[] = {{"GET", 3}, {"HEAD", 4}, {"POST", 4}};
    if (items->node) return slices_of(c, items);
    return (struct slices){safelisted, ARRAY_LEN(safelisted)};
}

static struct slice joined(struct checking *c, const struct bound_items *items) {
    struct slice list = SLICE_NONE;
    const struct node *n;
    for (size_t i = 0; (n = next_item(items, &i));)
        list = slice_is_none(list)
                   ? n->text
                   : arena_printf(c->arena, SLICE_FMT ", " SLICE_FMT, SLICE_ARG(list), SLICE_ARG(n->text));
    return list;
}

static const struct cors_policy *policy_add(struct checking *c, const struct cors_document *d) {
    struct cors_policy *p = &c->settings->policies[c->settings->policy_count];
    *p = (struct cors_policy){.number = c->settings->policy_count++,
                              .origins = slices_of(c, &d->origins),
                              .methods = methods_of(c, &d->methods),
                              .headers = slices_of(c, &d->headers),
                              .expose = joined(c, &d->expose),
                              .any_method = find_item(&d->methods, SLICE("*")) != NULL,
                              .any_header = find_item(&d->headers, SLICE("*")) != NULL,
                              .credentials = d->credentials == 1,
                              .private_network = d->private_network == 1};
    if (d->max_age_ms != VALUE_UNSET)
        p->max_age = arena_printf(c->arena, "%llu", (unsigned long long)(d->max_age_ms / 1000));
    return p;
}

/* What one map says by itself, before anything is inherited. */
static void check_lists(struct checking *c, const struct cors_document *d) {
    check_origins(c, &d->origins);
    check_methods(c, &d->methods);
}

static void check_origins_are_given(struct checking *c, const struct cors_document *d) {
    if (!d->origins.node && !node_get(d->origin, "allowOrigins"))
        problems_add(c->problems, d->origin->at, "cors: allowOrigins is missing: nobody would be allowed anything");
}

static const struct cors_policy *application_policy(struct checking *c, const struct cors_document *d) {
    if (!d->origin) return NULL;
    check_lists(c, d);
    check_origins_are_given(c, d);
    check_stars(c, d, d);
    check_null(c, d, d);
    return policy_add(c, d);
}

static const struct cors_policy *trigger_policy(struct checking *c, const struct cors_trigger *t,
                                                const struct cors_document *application) {
    if (t->word) return NULL;
    if (!t->cors.origin) return c->settings->application;
    struct cors_document d = t->cors;
    check_lists(c, &d);
    schema_inherit(c->arena, &cors_schema, &d, application);
    check_origins_are_given(c, &d);
    check_stars(c, &d, &t->cors);
    check_null(c, &d, &t->cors);
    return policy_add(c, &d);
}

/* A WebSocket path has origins of its own, of the same kind. */
static void check_websocket(struct checking *c, const struct websocket_config *w) {
    for (size_t i = 0; i < w->origin_count; i++) {
        const char *objection = cors_origin_objection(w->origins[i]);
        if (objection)
            problems_add(c->problems, (struct position){w->line, w->column}, "origins: \"" SLICE_FMT "\": %s",
                         SLICE_ARG(w->origins[i]), objection);
    }
}

static void cors_check(const struct blueprint *b, const struct section_values *v, struct problems *p, struct arena *a,
                       void **settings) {
    struct cors_settings *s = arena_zalloc(a, sizeof *s);
    struct checking c = {s, p, a};
    s->policies = arena_zalloc(a, (v->trigger_count + 1) * sizeof *s->policies);
    s->triggers = arena_zalloc(a, (v->trigger_count + 1) * sizeof *s->triggers);
    s->trigger_count = v->trigger_count;
    s->application = application_policy(&c, v->application);
    for (size_t i = 0; i < v->trigger_count; i++) s->triggers[i] = trigger_policy(&c, v->triggers[i], v->application);
    for (size_t i = 0; i < b->websocket_count; i++) check_websocket(&c, &b->websockets[i]);
    *settings = s;
}

const struct section cors_section = {
    .key = "cors",
    .schema = &cors_schema,
    .trigger = &trigger_schema,
    .example = "{allowOrigins: [https://shop.example], allowCredentials: true, maxAge: 10m}",
    .check = cors_check,
};
