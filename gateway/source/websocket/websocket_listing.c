/* The connections of a group that spans nodes: each node lists its own, in the order of the tags. A page goes on where
 * the one before ended, because the id of its last connection says at which node that was. */
#include "gateway/base/json_read.h"
#include "gateway/base/memory.h"
#include "gateway/source/websocket/websocket_api_private.h"
#include <stdlib.h>

struct listing;
struct listing_part {
    struct cluster_ask ask;
    struct listing *listing;
    char tag[CLUSTER_TAG_SIZE];
    struct websocket_answer answer;
};
struct listing {
    struct cluster_lookup lookup;
    struct websocket_source *source;
    struct websocket_call *call; /* NULL = nobody waits */
    struct arena memory;
    struct slice group, after;
    uint64_t limit;
    int status;                 /* when there is trouble */
    struct listing_part *parts; /* by their tags */
    size_t count, asked;
    const char *trouble;
};

static struct slice part_tag(const struct listing_part *p) {
    return slice_make(p->tag, sizeof p->tag);
}

static void listing_drop(struct websocket_call *c) {
    ((struct listing *)c->work)->call = NULL;
}

/* --- the answer --- */

static struct slice connections_of(struct slice json, struct arena *a) {
    struct json_read r;
    struct json_value value;
    struct slice name;
    if (!json_is_valid(json)) return SLICE("[]");
    json_read_init(&r, json);
    if (json_read_open(&r, '{'))
        while (json_read_name(&r, a, &name) && json_read_value(&r, &value))
            if (slice_equal(name, SLICE("connections")) && value.kind == JSON_ARRAY) return value.raw;
    return SLICE("[]");
}

static void part_write(struct listing *l, const struct listing_part *p, struct json_write *w) {
    struct json_read r;
    struct json_value one;
    json_read_init(&r, connections_of(buf_slice(&p->answer.json), &l->memory));
    json_read_open(&r, '[');
    for (; l->limit && json_read_element(&r) && json_read_value(&r, &one); l->limit--) json_raw(w, one.raw);
}

static void listing_write(struct listing *l, struct websocket_answer *answer) {
    struct json_write w = json_write_to(&answer->json);
    uint64_t open = 0;
    for (size_t i = 0; i < l->count; i++) open += relay_count_of(buf_slice(&l->parts[i].answer.json), SLICE("open"));
    json_open(&w, '{');
    asking_write_number(&w, SLICE("open"), open);
    json_name(&w, SLICE("connections"));
    json_open(&w, '[');
    for (size_t i = 0; i < l->count; i++) part_write(l, &l->parts[i], &w);
    json_close(&w, ']');
    json_close(&w, '}');
    answer->status = 200;
}

static void listing_answer(struct listing *l, struct websocket_call *c) {
    c->answer = (struct websocket_answer){.status = l->status};
    if (l->trouble)
        c->answer.detail = arena_text(c->request.arena, slice_of(l->trouble));
    else
        listing_write(l, &c->answer);
}

static void listing_finish(struct listing *l) {
    struct websocket_call *c = l->call;
    if (c) listing_answer(l, c);
    for (size_t i = 0; i < l->count; i++) buf_free(&l->parts[i].answer.json);
    free(l->parts);
    arena_free(&l->memory);
    free(l);
    if (c) call_answered(c);
}

static void part_end(struct listing_part *p, enum cluster_outcome outcome) {
    struct listing *l = p->listing;
    bool well = outcome == CLUSTER_ANSWERED && p->answer.status == 200;
    if (outcome == CLUSTER_ANSWERED && p->answer.status == 410) {
        well = true;
        l->status = 410;
        l->trouble = "after: no connection of that id is there any more; begin anew";
    }
    if (!well && outcome != CLUSTER_GONE)
        l->trouble = relay_why(l->source, &l->memory, part_tag(p),
                               outcome == CLUSTER_ANSWERED ? CLUSTER_SILENT : outcome);
    if (--l->asked == 0) listing_finish(l);
}

static void on_listed(struct cluster_ask *ask, enum cluster_outcome outcome, struct slice bytes) {
    struct listing_part *p = container_of(ask, struct listing_part, ask);
    bool read = outcome == CLUSTER_ANSWERED && relay_read(bytes, &p->listing->memory, &p->answer);
    part_end(p, outcome == CLUSTER_ANSWERED && !read ? CLUSTER_SILENT : outcome);
}

/* --- the questions --- */

static bool is_after(const struct listing *l, const struct listing_part *p) {
    return !slice_is_none(l->after) && memcmp(l->after.p, p->tag, sizeof p->tag) == 0;
}

static struct slice part_target(const struct listing *l, const struct listing_part *p, struct buf *out) {
    buf_append_text(out, "/v1/connections?limit=");
    buf_append_u64(out, l->limit);
    buf_append_text(out, "&group=");
    url_append_form(out, l->group);
    if (is_after(l, p)) buf_append_text(out, "&after=");
    if (is_after(l, p)) url_append_form(out, l->after);
    return buf_slice(out);
}

static void part_list_own(struct listing_part *p, struct slice target) {
    struct listing *l = p->listing;
    struct url *url = arena_alloc(&l->memory, sizeof *url);
    struct error e;
    struct websocket_call own = {.request = {.asker = WEBSOCKET_ASKED_BY_NODE,
                                             .method = SLICE("GET"),
                                             .url = url,
                                             .body = SLICE(""),
                                             .arena = &l->memory}};
    if (url_parse(url, &l->memory, arena_copy(&l->memory, target), &e) == 0) websocket_call_begin(&own, l->source);
    p->answer = own.answer;
    part_end(p, CLUSTER_ANSWERED);
}

static void part_ask(struct listing_part *p, struct slice target) {
    struct buf payload = {0};
    p->ask.on_end = on_listed;
    relay_write_parts(&payload, SLICE("GET"), target, SLICE_NONE, SLICE(""));
    cluster_ask(p->listing->source->cluster, part_tag(p), &payload, &p->ask);
}

static int by_tag(const void *a, const void *b) {
    return memcmp(((const struct listing_part *)a)->tag, ((const struct listing_part *)b)->tag, CLUSTER_TAG_SIZE);
}

static void part_add(struct listing *l, struct slice tag) {
    struct listing_part *p = &l->parts[l->count];
    *p = (struct listing_part){.listing = l};
    memcpy(p->tag, tag.p, sizeof p->tag);
    if (slice_is_none(l->after) || memcmp(p->tag, l->after.p, sizeof p->tag) >= 0) l->count++;
}

static void on_nodes(struct cluster_lookup *lookup, struct slice tags) {
    struct listing *l = container_of(lookup, struct listing, lookup);
    struct slice own = cluster_tag(l->source->cluster);
    l->parts = xcalloc(tags.n / CLUSTER_TAG_SIZE + 1, sizeof *l->parts);
    if (slice_is_none(tags)) l->trouble = relay_no_nodes(l->source, &l->memory);
    part_add(l, own);
    for (size_t i = 0; i + CLUSTER_TAG_SIZE <= tags.n; i += CLUSTER_TAG_SIZE)
        part_add(l, slice_make(tags.p + i, CLUSTER_TAG_SIZE));
    qsort(l->parts, l->count, sizeof *l->parts, by_tag);
    l->asked = l->count + 1; /* the last one is this function */
    for (size_t i = 0; i < l->count; i++) {
        struct buf target = {0};
        part_target(l, &l->parts[i], &target);
        if (slice_equal(part_tag(&l->parts[i]), own))
            part_list_own(&l->parts[i], buf_slice(&target));
        else
            part_ask(&l->parts[i], buf_slice(&target));
        buf_free(&target);
    }
    if (--l->asked == 0) listing_finish(l);
}

bool relay_group_list(struct asking *q, struct slice group) {
    struct slice after = asking_parameter(q, SLICE("after"));
    if (!slice_is_none(after) && after.n != WEBSOCKET_ID_SIZE) return false;
    struct listing *l = xcalloc(1, sizeof *l);
    arena_init(&l->memory, 1024);
    l->source = q->source;
    l->call = q->call;
    l->group = arena_copy(&l->memory, group);
    l->after = arena_copy(&l->memory, after);
    l->limit = asking_limit(q);
    l->status = 503;
    l->lookup.on_nodes = on_nodes;
    q->call->work = l;
    q->call->drop = listing_drop;
    cluster_lookup(q->source->cluster, l->group, &l->lookup);
    return true;
}
