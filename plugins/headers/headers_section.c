#include "gateway/base/http_text.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/model.h"
#include "gateway/blueprint/tree.h"
#include "plugins/headers/headers_policy.h"

#define DAY_MS (24ULL * 60 * 60 * 1000)
#define PRELOAD_LEAST_MS (365 * DAY_MS)

struct hsts_document {
    struct node *origin;
    uint64_t max_age_ms;
    uint64_t subdomains;
    uint64_t preload;
};
struct headers_document {
    struct node *origin;
    uint64_t content_type_options, frame_options, referrer_policy; /* choices; 0 = off */
    struct hsts_document hsts;
    uint64_t hsts_word;
    struct bound_items set; /* map of text */
    uint64_t force;
    struct bound_items remove, strip;
};
struct headers_trigger {
    struct node *origin;
    struct headers_document headers;
    uint64_t word;
};

static const struct text_rule rule_header_name = {
    "a header's name: letters, digits and any of !#$%&'*+-.^_`|~",
    "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
    http_is_token,
};
static const struct text_rule rule_header_value = {
    "a header's value: no control characters, no blanks at its ends",
    "^[^\\u0000-\\u001f\\u007f]*$",
    http_is_field_value,
};

static const char *const off[] = {"off", NULL};
static const char *const content_type_options[] = {"off", "nosniff", NULL};
static const char *const frame_options[] = {"off", "deny", "sameorigin", NULL};
static const char *const referrer_policies[] = {
    "off",         "no-referrer",   "no-referrer-when-downgrade",      "origin",     "origin-when-cross-origin",
    "same-origin", "strict-origin", "strict-origin-when-cross-origin", "unsafe-url", NULL,
};

static const struct schema_field hsts_fields[] = {
    {.name = "maxAge",
     .kind = FIELD_DURATION,
     .offset = offsetof(struct hsts_document, max_age_ms),
     .least = 0,
     .most = 3650 * DAY_MS,
     .preset = "365d",
     .about = "How long a browser shall use https only; 0s makes it forget."},
    {.name = "includeSubDomains",
     .kind = FIELD_BOOLEAN,
     .offset = offsetof(struct hsts_document, subdomains),
     .preset = "false",
     .about = "Whether this holds for all hosts below, too."},
    {.name = "preload",
     .kind = FIELD_BOOLEAN,
     .offset = offsetof(struct hsts_document, preload),
     .preset = "false",
     .about = "Consents to being built into browsers. Needs `includeSubDomains` and a `maxAge` of 365d at least."},
};
static const struct object_schema hsts_schema = {
    .name = "hsts",
    .title = "`hsts`",
    .about = "Strict-Transport-Security (RFC 6797), sent with answers over https only.",
    .fields = hsts_fields,
    .count = ARRAY_LEN(hsts_fields),
    .size = sizeof(struct hsts_document),
    .origin_offset = offsetof(struct hsts_document, origin),
};

#define MEMBER(name) offsetof(struct headers_document, name)
static const struct schema_field headers_fields[] = {
    {.name = "contentTypeOptions",
     .kind = FIELD_ENUM,
     .offset = MEMBER(content_type_options),
     .choices = content_type_options,
     .preset = "nosniff",
     .about = "`X-Content-Type-Options`: browsers take the content type as it is."},
    {.name = "frameOptions",
     .kind = FIELD_ENUM,
     .offset = MEMBER(frame_options),
     .choices = frame_options,
     .preset = "deny",
     .about = "`X-Frame-Options`: who may show the answer in a frame."},
    {.name = "referrerPolicy",
     .kind = FIELD_ENUM,
     .offset = MEMBER(referrer_policy),
     .choices = referrer_policies,
     .preset = "no-referrer",
     .about = "`Referrer-Policy`: what a page tells others about where its visitors come from."},
    {.name = "hsts",
     .kind = FIELD_OBJECT,
     .flags = FIELD_OR_WORD,
     .offset = MEMBER(hsts),
     .word_offset = MEMBER(hsts_word),
     .choices = off,
     .object = &hsts_schema,
     .preset_note = "`off`",
     .about = "Strict-Transport-Security, over https only.",
     .example = "{maxAge: 365d, includeSubDomains: true}"},
    {.name = "set",
     .kind = FIELD_MAP,
     .flags = FIELD_SHOWN,
     .offset = MEMBER(set),
     .key_rule = &rule_header_name,
     .rule = &rule_header_value,
     .preset_note = "none",
     .about = "Further headers of answers. A trigger's are added to the application's.",
     .example = "{permissions-policy: \"camera=()\"}"},
    {.name = "force",
     .kind = FIELD_BOOLEAN,
     .offset = MEMBER(force),
     .preset = "false",
     .about = "Whether all of these replace what a handler says itself."},
    {.name = "remove",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE | FIELD_SHOWN,
     .offset = MEMBER(remove),
     .rule = &rule_header_name,
     .preset_note = "`[server, x-powered-by]`",
     .about = "Headers that are taken out of handlers' answers.",
     .example = "[server, x-powered-by, x-aspnet-version]"},
    {.name = "strip",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE | FIELD_SHOWN,
     .offset = MEMBER(strip),
     .rule = &rule_header_name,
     .preset_note = "none",
     .about = "Headers of requests that handlers do not get to see. Guards still do.",
     .example = "[authorization]"},
};
static const struct object_schema headers_schema = {
    .name = "headers",
    .title = "`headers`",
    .about =
        "Security headers on every answer. A handler's own value wins, unless `force` is set. Off without this key.",
    .fields = headers_fields,
    .count = ARRAY_LEN(headers_fields),
    .size = sizeof(struct headers_document),
    .origin_offset = offsetof(struct headers_document, origin),
};

static const struct schema_field trigger_fields[] = {
    {.name = "headers",
     .kind = FIELD_OBJECT,
     .flags = FIELD_OR_WORD,
     .offset = offsetof(struct headers_trigger, headers),
     .word_offset = offsetof(struct headers_trigger, word),
     .choices = off,
     .object = &headers_schema,
     .preset_note = "the application's",
     .about = "Security headers of this route: what it sets wins over the application's.",
     .example = "{frameOptions: sameorigin}"},
};
static const struct object_schema trigger_schema = {
    .name = "trigger",
    .title = "a trigger",
    .about = "",
    .fields = trigger_fields,
    .count = ARRAY_LEN(trigger_fields),
    .size = sizeof(struct headers_trigger),
    .origin_offset = offsetof(struct headers_trigger, origin),
};

/* --- from the document to policies --- */

/* What frames a message, or belongs to another plugin. */
static const char *name_objection(struct slice name) {
    static const struct {
        struct slice name;
        const char *objection;
    } rows[] = {
        {{"connection", 10}, "it belongs to the connection"},
        {{"content-length", 14}, "the gateway counts itself"},
        {{"date", 4}, "the gateway tells the time itself"},
        {{"x-request-id", 12}, "the gateway sets it itself"},
        {{"strict-transport-security", 25}, "use hsts, which goes out over https only"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (slice_equal_nocase(name, rows[i].name)) return rows[i].objection;
    if (http_is_hop_by_hop(name)) return "it belongs to the connection";
    if (slice_starts_with_nocase(name, SLICE("access-control-"))) return "CORS has its own section, cors";
    if (slice_starts_with_nocase(name, SLICE("execgate-"))) return "the gateway sets it itself";
    return NULL;
}

static void check_set(struct problems *p, const struct bound_items *set) {
    for (size_t i = 0; i < set->count; i++) {
        const char *objection = name_objection(set->keys[i]->text);
        if (objection)
            problems_add(p, set->keys[i]->at, "set: " SLICE_FMT ": %s", SLICE_ARG(set->keys[i]->text), objection);
    }
}

static void check_hsts(struct problems *p, const struct hsts_document *d, struct position at) {
    bool whole = d->subdomains == 1 && d->max_age_ms != VALUE_UNSET && d->max_age_ms >= PRELOAD_LEAST_MS;
    if (d->preload == 1 && !whole)
        problems_add(p, at, "hsts: preload needs includeSubDomains: true and a maxAge of 365d at least");
}

static void policy_add(struct headers_policy *p, struct arena *a, const char *name, const char *value) {
    if (strcmp(value, "off") != 0) fields_add(&p->set, a, slice_of(name), slice_of(value));
}

static const char *choice(const char *const *choices, uint64_t index) {
    return index == VALUE_UNSET ? "off" : choices[index];
}

/* RFC 7034 2.1 writes these in capitals. */
static const char *frame_value(uint64_t index) {
    static const char *const values[] = {"off", "DENY", "SAMEORIGIN"};
    return choice(values, index);
}

static struct slice hsts_value(struct arena *a, const struct headers_document *d) {
    const struct hsts_document *h = &d->hsts;
    if (d->hsts_word || !h->origin || h->max_age_ms == VALUE_UNSET) return SLICE_NONE;
    return arena_printf(a, "max-age=%llu%s%s", (unsigned long long)(h->max_age_ms / 1000),
                        h->subdomains == 1 ? "; includeSubDomains" : "", h->preload == 1 ? "; preload" : "");
}

static struct header_names names_of(struct arena *a, const struct bound_items *items) {
    struct header_names names = {.items = arena_alloc(a, (items->count + 1) * sizeof *names.items)};
    struct node *const *nodes = items->items;
    for (size_t i = 0; i < items->count; i++)
        if (nodes[i]) names.items[names.count++] = nodes[i]->text;
    return names;
}

static struct header_names removed_names(struct arena *a, const struct bound_items *items) {
    static struct slice chatty[] = {{"server", 6}, {"x-powered-by", 12}};
    return items->node ? names_of(a, items) : (struct header_names){chatty, ARRAY_LEN(chatty)};
}

static const struct headers_policy *policy_new(struct arena *a, const struct headers_document *d) {
    struct headers_policy *p = arena_zalloc(a, sizeof *p);
    struct node *const *values = d->set.items;
    policy_add(p, a, "X-Content-Type-Options", choice(content_type_options, d->content_type_options));
    policy_add(p, a, "X-Frame-Options", frame_value(d->frame_options));
    policy_add(p, a, "Referrer-Policy", choice(referrer_policies, d->referrer_policy));
    for (size_t i = 0; i < d->set.count; i++) {
        if (!values[i]) continue;
        fields_remove(&p->set, d->set.keys[i]->text);
        fields_add(&p->set, a, d->set.keys[i]->text, values[i]->text);
    }
    p->hsts = hsts_value(a, d);
    p->force = d->force == 1;
    p->remove = removed_names(a, &d->remove);
    p->strip = names_of(a, &d->strip);
    return p;
}

static const struct headers_policy *document_policy(struct problems *p, struct arena *a,
                                                    const struct headers_document *d, struct position at) {
    check_set(p, &d->set);
    check_hsts(p, &d->hsts, at);
    return policy_new(a, d);
}

static struct position hsts_position(const struct headers_document *d) {
    return d->hsts.origin ? d->hsts.origin->at : d->origin->at;
}

static const struct headers_policy *trigger_policy(const struct headers_settings *s, const struct headers_trigger *t,
                                                   const struct headers_document *application, struct problems *p,
                                                   struct arena *a) {
    if (t->word) return NULL;
    if (!t->headers.origin) return s->application;
    struct headers_document d = t->headers;
    struct node *own_hsts = d.hsts.origin;
    schema_inherit(a, &headers_schema, &d, application);
    d.hsts.origin = own_hsts || d.hsts_word ? own_hsts : application->hsts.origin;
    return document_policy(p, a, &d, hsts_position(&t->headers));
}

static void headers_check(const struct blueprint *b, const struct section_values *v, struct problems *p,
                          struct arena *a, void **settings) {
    (void)b;
    const struct headers_document *d = v->application;
    struct headers_settings *s = arena_zalloc(a, sizeof *s);
    s->triggers = arena_zalloc(a, (v->trigger_count + 1) * sizeof *s->triggers);
    s->trigger_count = v->trigger_count;
    s->application = d->origin ? document_policy(p, a, d, hsts_position(d)) : NULL;
    for (size_t i = 0; i < v->trigger_count; i++) s->triggers[i] = trigger_policy(s, v->triggers[i], d, p, a);
    *settings = s;
}

const struct section headers_section = {
    .key = "headers",
    .schema = &headers_schema,
    .trigger = &trigger_schema,
    .example = "{frameOptions: sameorigin, hsts: {maxAge: 365d}}",
    .check = headers_check,
};
