#include "gateway/base/http_text.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/model.h"
#include "gateway/blueprint/tree.h"
#include "plugins/compress/compress_policy.h"

#define KIB (1ULL << 10)
#define MIB (1ULL << 20)

struct compress_document {
    struct node *origin;
    struct bound_items encodings, types;
    uint64_t min_size;
    uint64_t level; /* enum encoder_level */
};
struct compress_trigger {
    struct node *origin;
    struct compress_document compress;
    uint64_t word;
};

static bool is_offered(struct slice name) {
    enum coding c = coding_named(name);
    return c != CODINGS && c != CODING_IDENTITY && slice_equal(name, coding_name(c));
}

/* type/subtype; for the subtype also `*` or `*+suffix`. */
static bool is_media_range(struct slice s) {
    struct slice type;
    if (!slice_next(&s, '/', &type) || slice_is_none(s)) return false;
    if (slice_starts_with(s, SLICE("*"))) s = slice_make(s.p + 1, s.n - 1);
    return http_is_token(type) && slice_find(type, '*') < 0 && slice_find(s, '*') < 0 &&
           (s.n == 0 || http_is_token(s)) && (s.n > 0 || type.p + type.n + 1 != s.p);
}

static const struct text_rule rule_encoding = {"one of br, zstd, gzip", "^(br|zstd|gzip)$", is_offered};
static const struct text_rule rule_type = {
    "a content type such as text/html, text/* or application/*+json",
    "^[A-Za-z0-9!#$&^_.+-]+/(\\*(\\+[A-Za-z0-9!#$&^_.+-]+)?|[A-Za-z0-9!#$&^_.+-]+)$",
    is_media_range,
};

static const char *const levels[] = {"fast", "balanced", "small", NULL};

#define MEMBER(name) offsetof(struct compress_document, name)
static const struct schema_field compress_fields[] = {
    {.name = "encodings",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE | FIELD_SHOWN,
     .offset = MEMBER(encodings),
     .least = 1,
     .rule = &rule_encoding,
     .preset_note = "`[br, zstd, gzip]`",
     .about = "The content codings that are offered; the first that a client likes best is taken.",
     .example = "[gzip]"},
    {.name = "types",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE | FIELD_SHOWN,
     .offset = MEMBER(types),
     .least = 1,
     .rule = &rule_type,
     .preset_note = "text, JSON, XML, JavaScript, WebAssembly, SVG",
     .about = "The content types that are compressed. `text/*` is all of a kind, `application/*+json` all with that "
              "ending.",
     .example = "[text/html, application/json]"},
    {.name = "minSize",
     .kind = FIELD_SIZE,
     .offset = MEMBER(min_size),
     .least = 0,
     .most = MIB,
     .preset = "1KiB",
     .about = "Smaller answers are left as they are. Streams have no size and are compressed."},
    {.name = "level",
     .kind = FIELD_ENUM,
     .offset = MEMBER(level),
     .choices = levels,
     .preset = "balanced",
     .about = "How much of the gateway's time a byte less is worth."},
};
static const struct object_schema compress_schema = {
    .name = "compress",
    .title = "`compress`",
    .about = "Compresses answers for clients that accept it. Off without this key. Keep it off (`compress: off` in a "
             "trigger) where an answer holds both a secret and something that a stranger chose: its length tells on "
             "the secret, in spite of TLS (BREACH).",
    .fields = compress_fields,
    .count = ARRAY_LEN(compress_fields),
    .size = sizeof(struct compress_document),
    .origin_offset = offsetof(struct compress_document, origin),
};

static const char *const words[] = {"off", NULL};
static const struct schema_field trigger_fields[] = {
    {.name = "compress",
     .kind = FIELD_OBJECT,
     .flags = FIELD_OR_WORD,
     .offset = offsetof(struct compress_trigger, compress),
     .word_offset = offsetof(struct compress_trigger, word),
     .choices = words,
     .object = &compress_schema,
     .preset_note = "the application's",
     .about = "Compression for this route: what it sets wins over the application's.",
     .example = "off"},
};
static const struct object_schema trigger_schema = {
    .name = "trigger",
    .title = "a trigger",
    .about = "",
    .fields = trigger_fields,
    .count = ARRAY_LEN(trigger_fields),
    .size = sizeof(struct compress_trigger),
    .origin_offset = offsetof(struct compress_trigger, origin),
};

/* --- content types --- */

static struct slice default_types[] = {
    {"text/*", 6},           {"application/json", 16},  {"application/*+json", 18},     {"application/x-ndjson", 20},
    {"application/xml", 15}, {"application/*+xml", 17}, {"application/javascript", 22}, {"application/wasm", 16},
    {"image/svg+xml", 13},
};

static bool range_has(struct slice range, struct slice type) {
    ptrdiff_t star = slice_find(range, '*');
    if (star < 0) return slice_equal_nocase(range, type);
    size_t before = (size_t)star, after = range.n - before - 1;
    if (type.n <= before + after || !slice_starts_with_nocase(type, slice_make(range.p, before))) return false;
    return slice_equal_nocase(slice_make(type.p + type.n - after, after), slice_make(range.p + before + 1, after));
}

bool compress_policy_has_type(const struct compress_policy *p, struct slice content_type) {
    struct slice type;
    if (!slice_next(&content_type, ';', &type)) return false;
    type = slice_trim(type);
    for (size_t i = 0; i < p->type_count; i++)
        if (range_has(p->types[i], type)) return true;
    return false;
}

/* --- from the document to policies --- */

static void offer_add(struct coding_offer *offer, enum coding c) {
    for (size_t i = 0; i < offer->count; i++)
        if (offer->items[i] == c) return;
    offer->items[offer->count++] = c;
}

static struct coding_offer offer_of(const struct bound_items *items) {
    static const struct coding_offer all = {{CODING_BROTLI, CODING_ZSTD, CODING_GZIP}, 3};
    struct coding_offer offer = {.count = 0};
    struct node *const *nodes = items->items;
    for (size_t i = 0; i < items->count; i++)
        if (nodes[i]) offer_add(&offer, coding_named(nodes[i]->text));
    return items->node ? offer : all;
}

static void policy_set_types(struct compress_policy *p, struct arena *a, const struct bound_items *items) {
    struct node *const *nodes = items->items;
    p->types = default_types;
    p->type_count = ARRAY_LEN(default_types);
    if (!items->node) return;
    p->types = arena_alloc(a, (items->count + 1) * sizeof *p->types);
    p->type_count = 0;
    for (size_t i = 0; i < items->count; i++)
        if (nodes[i]) p->types[p->type_count++] = nodes[i]->text;
}

static const struct compress_policy *policy_new(struct arena *a, const struct compress_document *d) {
    struct compress_policy *p = arena_zalloc(a, sizeof *p);
    p->offer = offer_of(&d->encodings);
    p->min_size = d->min_size;
    p->level = d->level == VALUE_UNSET ? ENCODER_BALANCED : (enum encoder_level)d->level;
    policy_set_types(p, a, &d->types);
    return p;
}

static const struct compress_policy *trigger_policy(const struct compress_settings *s, const struct compress_trigger *t,
                                                    const struct compress_document *application, struct arena *a) {
    if (t->word) return NULL;
    if (!t->compress.origin) return s->application;
    struct compress_document d = t->compress;
    schema_inherit(a, &compress_schema, &d, application);
    return policy_new(a, &d);
}

static void compress_check(const struct blueprint *b, const struct section_values *v, struct problems *p,
                           struct arena *a, void **settings) {
    (void)b;
    (void)p;
    const struct compress_document *d = v->application;
    struct compress_settings *s = arena_zalloc(a, sizeof *s);
    s->triggers = arena_zalloc(a, (v->trigger_count + 1) * sizeof *s->triggers);
    s->trigger_count = v->trigger_count;
    s->application = d->origin ? policy_new(a, d) : NULL;
    for (size_t i = 0; i < v->trigger_count; i++) s->triggers[i] = trigger_policy(s, v->triggers[i], d, a);
    *settings = s;
}

const struct section compress_section = {
    .key = "compress",
    .schema = &compress_schema,
    .trigger = &trigger_schema,
    .example = "{minSize: 2KiB}",
    .check = compress_check,
};
