#include "gateway/blueprint/compose.h"
#include "gateway/blueprint/schema_value.h"
#include <assert.h>

#define STRUCT_ALIGNMENT 16

static const struct sections no_sections = {.count = 0};

static size_t align(size_t size) {
    return (size + STRUCT_ALIGNMENT - 1) / STRUCT_ALIGNMENT * STRUCT_ALIGNMENT;
}

static struct schema_field *field_named(struct schema_field *fields, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(fields[i].name, name) == 0) return &fields[i];
    }
    return NULL;
}

/* The fields of `base` and room for `more`; returned writable. */
static struct schema_field *copy_fields(struct arena *a, const struct object_schema *base, size_t more) {
    struct schema_field *fields = arena_zalloc(a, (base->count + more) * sizeof *fields);
    memcpy(fields, base->fields, base->count * sizeof *fields);
    return fields;
}

/* `part` is a struct of its own, `offset` bytes from where the struct of `fields` begins. */
static size_t append_fields(struct schema_field *fields, size_t count, const struct object_schema *part,
                            size_t offset) {
    for (size_t i = 0; i < part->count; i++) {
        assert(!field_named(fields, count, part->fields[i].name));
        fields[count] = part->fields[i];
        fields[count].offset += offset;
        fields[count++].word_offset += offset;
    }
    return count;
}

static size_t count_trigger_fields(const struct sections *sections) {
    size_t count = 0;
    for (size_t i = 0; i < sections->count; i++) {
        const struct section *s = sections->items[i];
        if (s && s->trigger) count += s->trigger->count;
    }
    return count;
}

/* `base` and behind it what every section has to say of http triggers. */
static void compose_trigger(const struct composition *c, struct composed_trigger *t, const struct object_schema *base,
                            struct arena *a) {
    const struct sections *sections = c->sections;
    struct schema_field *fields = copy_fields(a, base, count_trigger_fields(sections));
    t->schema = *base;
    t->schema.fields = fields;
    for (size_t i = 0; i < sections->count; i++) {
        const struct section *s = sections->items[i];
        if (!s || !s->trigger) continue;
        t->offsets[i] = align(t->schema.size);
        t->schema.size = t->offsets[i] + s->trigger->size;
        size_t first = t->schema.count;
        t->schema.count = append_fields(fields, first, s->trigger, t->offsets[i]);
        for (size_t k = first; k < t->schema.count; k++) fields[k].flags |= FIELD_AS_WRITTEN;
    }
    t->schema.size = align(t->schema.size);
}

/* A copy of the object whose list or map `key` holds composed items. */
static struct object_schema compose_owner(const struct composed_trigger *t, const struct object_schema *plain,
                                          const char *key, struct arena *a) {
    struct object_schema composed = *plain;
    struct schema_field *fields = copy_fields(a, plain, 0);
    struct schema_field *triggers = field_named(fields, plain->count, key);
    assert(triggers);
    triggers->object = &t->schema;
    composed.fields = fields;
    return composed;
}

/* An object that the blueprint has already: the section's keys are its own too, though their struct stands elsewhere.
 */
static void extend_object(struct schema_field *f, const struct section *s, size_t offset, struct arena *a) {
    struct object_schema *extended = arena_alloc(a, sizeof *extended);
    struct schema_field *fields = copy_fields(a, f->object, s->schema->count);
    assert(f->kind == FIELD_OBJECT && offset > f->offset);
    *extended = *f->object;
    extended->fields = fields;
    extended->count = append_fields(fields, f->object->count, s->schema, offset - f->offset);
    f->object = extended;
}

static void compose_section(struct composition *c, struct schema_field *fields, size_t index, struct arena *a) {
    const struct section *s = c->sections->items[index];
    size_t offset = align(c->blueprint.size);
    c->application_offsets[index] = offset;
    c->blueprint.size = offset + s->schema->size;
    struct schema_field *known = field_named(fields, c->blueprint.count, s->key);
    if (known) {
        extend_object(known, s, offset, a);
        return;
    }
    fields[c->blueprint.count++] = (struct schema_field){.name = s->key,
                                                         .kind = FIELD_OBJECT,
                                                         .offset = offset,
                                                         .object = s->schema,
                                                         .preset_note = "none",
                                                         .about = s->schema->about,
                                                         .example = s->example};
}

void composition_init(struct composition *c, const struct blueprint_options *options, struct arena *a) {
    *c = (struct composition){.blueprint = blueprint_schema,
                              .sections = options->sections ? options->sections : &no_sections,
                              .depth = options->check,
                              .attach = options->attach,
                              .attach_count = options->attach_count};
    struct schema_field *fields = copy_fields(a, &blueprint_schema, c->sections->count);
    assert(c->sections->count <= SECTIONS_MAX);
    compose_trigger(c, &c->trigger, &trigger_schema, a);
    compose_trigger(c, &c->path, &websocket_path_schema, a);
    c->handler = compose_owner(&c->trigger, &handler_schema, "triggers", a);
    c->queue = compose_owner(&c->trigger, &queue_schema, "send", a);
    c->websockets = compose_owner(&c->path, &websockets_schema, "paths", a);
    field_named(fields, blueprint_schema.count, "handlers")->object = &c->handler;
    field_named(fields, blueprint_schema.count, "queues")->object = &c->queue;
    field_named(fields, blueprint_schema.count, "websockets")->object = &c->websockets;
    c->blueprint.fields = fields;
    for (size_t i = 0; i < c->sections->count; i++) {
        const struct section *s = c->sections->items[i];
        if (s && s->schema) compose_section(c, fields, i, a);
    }
    c->blueprint.size = align(c->blueprint.size);
}

/* The struct of a section in a composed one, told where it was read from. */
static const void *section_part(void *composed, size_t offset, const struct object_schema *schema,
                                struct node *origin) {
    void *part = (char *)composed + offset;
    *schema_origin(schema, part) = origin;
    return part;
}

struct trigger_document *composition_trigger(const struct composition *c, const struct bound_items *triggers,
                                             size_t index) {
    return (struct trigger_document *)(void *)((char *)triggers->items + index * c->trigger.schema.size);
}

struct websocket_path_document *composition_path(const struct composition *c, const struct bound_items *paths,
                                                 size_t index) {
    return (struct websocket_path_document *)(void *)((char *)paths->items + index * c->path.schema.size);
}

/* Triggers without a route have no number: they were refused, or belong to another source. */
static void collect_triggers_of(const struct composition *c, size_t index, const struct bound_items *items,
                                const void **triggers) {
    const struct object_schema *schema = c->sections->items[index]->trigger;
    for (size_t i = 0; i < items->count; i++) {
        struct trigger_document *t = composition_trigger(c, items, i);
        if (t->number == VALUE_UNSET) continue;
        triggers[t->number] = section_part(t, c->trigger.offsets[index], schema, t->origin);
    }
}

static void collect_paths(const struct composition *c, size_t index, const struct bound_items *paths,
                          const void **triggers) {
    const struct object_schema *schema = c->sections->items[index]->trigger;
    for (size_t i = 0; i < paths->count; i++) {
        struct websocket_path_document *d = composition_path(c, paths, i);
        if (d->number == VALUE_UNSET) continue;
        triggers[d->number] = section_part(d, c->path.offsets[index], schema, d->origin);
    }
}

/* A path that only its triggers name says nothing to any section. */
static void collect_silent(const struct composition *c, size_t index, struct blueprint *out, const void **triggers) {
    const struct object_schema *schema = c->sections->items[index]->trigger;
    for (size_t i = 0; i < out->websocket_count; i++) {
        const struct handler_config *door = &out->websockets[i].door;
        if (!door->http_trigger_count || triggers[door->http_triggers->number]) continue;
        void *nothing = arena_zalloc(&out->arena, align(schema->size));
        schema_clear(schema, nothing);
        triggers[door->http_triggers->number] = nothing;
    }
}

static const void **collect_triggers(const struct composition *c, size_t index, const struct blueprint_document *d,
                                     struct blueprint *out) {
    const struct handler_document *handlers = d->handlers.items;
    const void **triggers = arena_zalloc(&out->arena, (out->http_trigger_count + 1) * sizeof *triggers);
    if (!c->sections->items[index]->trigger) return triggers;
    const struct queue_document *queues = d->queues.items;
    for (size_t i = 0; i < d->handlers.count; i++) collect_triggers_of(c, index, &handlers[i].triggers, triggers);
    for (size_t i = 0; i < d->queues.count; i++) collect_triggers_of(c, index, &queues[i].send, triggers);
    collect_paths(c, index, &d->websockets.paths, triggers);
    collect_silent(c, index, out, triggers);
    return triggers;
}

static void check_section(const struct composition *c, size_t index, struct problems *p, struct blueprint_document *d,
                          struct blueprint *out) {
    const struct section *s = c->sections->items[index];
    struct node *node = s->key ? node_get(d->origin, s->key) : NULL;
    struct node *map = node && node->kind == NODE_MAP ? node : NULL;
    struct section_values values = {
        .application = s->schema ? section_part(d, c->application_offsets[index], s->schema, map) : NULL,
        .triggers = collect_triggers(c, index, d, out),
        .trigger_count = out->http_trigger_count,
        .node = node,
        .present = node != NULL,
        .depth = c->depth,
    };
    s->check(out, &values, p, &out->arena, &out->settings[index]);
}

void composition_check(const struct composition *c, struct binder *b, struct blueprint_document *d,
                       struct blueprint *out) {
    out->settings_count = c->sections->count;
    out->settings = arena_zalloc(&out->arena, (out->settings_count + 1) * sizeof *out->settings);
    for (size_t i = 0; i < c->sections->count; i++) {
        const struct section *s = c->sections->items[i];
        if (s && s->check) check_section(c, i, b->problems, d, out);
    }
}
