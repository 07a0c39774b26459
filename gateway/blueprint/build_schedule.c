#include "gateway/base/json_read.h"
#include "gateway/base/json_write.h"
#include "gateway/base/map.h"
#include "gateway/blueprint/build.h"

#define MAX_MISSED_PRESET 10

/* --- input --- */

/* What is written without quotes is a number, true, false or null where JSON has such a word; anything else is text. */
static void write_scalar(struct json_write *w, const struct node *n) {
    struct json_read r;
    json_read_init(&r, n->text);
    enum json_kind kind = json_read_peek(&r);
    bool is_word = n->plain && kind != JSON_STRING && kind != JSON_ARRAY && kind != JSON_OBJECT;
    if (node_is_null(n))
        json_null(w);
    else if (is_word && json_is_valid(n->text))
        json_raw(w, n->text);
    else
        json_text(w, n->text);
}

/* A blueprint is TREE_MAX_DEPTH deep at most. */
static void write_node(struct json_write *w, const struct node *n) {
    if (n->kind == NODE_SCALAR) {
        write_scalar(w, n);
        return;
    }
    json_open(w, n->kind == NODE_MAP ? '{' : '[');
    for (size_t i = 0; i < n->count; i++) {
        if (n->kind == NODE_MAP) json_name(w, n->keys[i]->text);
        write_node(w, n->items[i]);
    }
    json_close(w, n->kind == NODE_MAP ? '}' : ']');
}

static struct slice input_json(struct arena *a, const struct node *input) {
    struct buf out = {0};
    struct json_write w = json_write_to(&out);
    if (!input) return SLICE_NONE;
    write_node(&w, input);
    struct slice json = arena_copy(a, buf_slice(&out));
    buf_free(&out);
    return json;
}

/* --- when --- */

/* The column in a text that stands in the file as it is. */
static struct position position_in(const struct node *n, const struct error *e) {
    struct position at = n->at;
    if (n->plain && !n->substituted && e->column > 0) at.column += e->column - 1;
    return at;
}

static bool build_when(struct binder *b, const struct trigger_document *d, struct schedule_config *s,
                       struct blueprint *out) {
    struct error e = {0};
    if (schedule_parse(&s->when, d->schedule->text, &e) < 0) {
        problems_add(b->problems, position_in(d->schedule, &e), "schedule: %s", e.message);
        return false;
    }
    if (s->when.kind == SCHEDULE_RATE && d->time_zone) {
        problems_add(b->problems, d->time_zone->at,
                     "timeZone: a rate is the same everywhere; remove it, or use cron(...)");
        return false;
    }
    s->when.zone = zone_load(&out->arena, slice_of(s->time_zone), &e);
    if (!s->when.zone) problems_add(b->problems, d->time_zone->at, "timeZone: %s", e.message);
    return s->when.zone;
}

/* HANDLER, HANDLER-2, HANDLER-3: counted among those without a name of their own. */
static const char *name_of(const struct trigger_document *d, const struct handler_config *h, struct blueprint *out) {
    size_t unnamed = 1;
    if (d->name) return d->name->text.p;
    for (size_t i = 0; i < h->schedule_count; i++) unnamed += !h->schedules[i].is_named;
    if (unnamed == 1) return h->name;
    return arena_printf(&out->arena, "%s-%zu", h->name, unnamed).p;
}

static uint64_t or_else(uint64_t value, uint64_t otherwise) {
    return value == VALUE_UNSET ? otherwise : value;
}

void build_schedule(struct binder *b, const struct trigger_document *d, struct handler_config *h,
                    struct blueprint *out) {
    struct schedule_config s = {.name = name_of(d, h, out),
                                .is_named = d->name,
                                .text = d->schedule->text.p,
                                .time_zone = d->time_zone ? d->time_zone->text.p : "UTC",
                                .input = input_json(&out->arena, d->input),
                                .jitter_ms = or_else(d->jitter_ms, 0),
                                .overlap = (enum schedule_overlap)or_else(d->overlap, SCHEDULE_OVERLAP_SKIP),
                                .missed = (enum schedule_missed)or_else(d->missed, SCHEDULE_MISSED_SKIP),
                                .max_missed = or_else(d->max_missed, MAX_MISSED_PRESET),
                                .line = d->schedule->at.line,
                                .column = d->schedule->at.column};
    s.key = arena_printf(&out->arena, "POST /schedule/%s", s.name).p;
    if (d->max_missed != VALUE_UNSET && s.missed != SCHEDULE_MISSED_ALL)
        problems_add(b->problems, d->schedule->at, "maxMissed: says something beside `missed: all` only");
    if (build_when(b, d, &s, out)) h->schedules[h->schedule_count++] = s;
}

/* --- checks --- */

static void check_name(struct problems *p, struct map *names, const struct schedule_config *s) {
    struct slice name = slice_of(s->name);
    const struct schedule_config *first = map_get(names, name);
    if (!first) {
        map_put(names, name, (void *)(uintptr_t)s);
        return;
    }
    problems_add(p, (struct position){s->line, s->column},
                 "schedule: the one on line %d is called \"%s\", too; give one of them another `name`", first->line,
                 s->name);
}

void check_schedules(struct problems *p, const struct blueprint *model) {
    struct map *names = map_new();
    for (size_t i = 0; i < model->handler_count; i++)
        for (size_t k = 0; k < model->handlers[i].schedule_count; k++)
            check_name(p, names, &model->handlers[i].schedules[k]);
    map_free(names);
}
