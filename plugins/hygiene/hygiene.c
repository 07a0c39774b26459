#include "plugins/hygiene/hygiene.h"
#include "gateway/base/http_text.h"

/* Most Connection fields name no field. */
static bool connection_names_fields(const struct fields *f) {
    for (size_t i = 0; i < f->count; i++) {
        if (!slice_equal_nocase(f->items[i].name, SLICE("Connection"))) continue;
        struct slice value = f->items[i].value;
        if (!slice_equal_nocase(value, SLICE("keep-alive")) && !slice_equal_nocase(value, SLICE("close"))) return true;
    }
    return false;
}

/* Fields that only the gateway or a trusted proxy writes, and those that frame the message (RFC 9112 6). What they say
 * was judged when the request came. Under another spelling nobody has looked at them, and many a framework would take
 * them for the true ones. */
static bool is_lookalike(struct slice name) {
    static const struct slice own[] = {
        {"X-Real-IP", 9}, {"X-Request-Id", 12}, {"Content-Length", 14}, {"Transfer-Encoding", 17}};
    const struct slice prefix = SLICE("X-Forwarded-");
    if (http_name_reads_from(name, prefix)) return !slice_starts_with_nocase(name, prefix);
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (http_name_reads_as(name, own[i])) return !slice_equal_nocase(name, own[i]);
    return false;
}

static bool is_unfit(struct slice name) {
    return http_is_hop_by_hop(name) || http_name_reads_from(name, SLICE("Execgate-")) ||
           slice_equal_nocase(name, SLICE("Proxy")) || is_lookalike(name);
}

/* Into an array of their own: which fields Connection names must be known to the last. */
static void drop_named(struct fields *f, struct arena *a) {
    struct fields kept = {0};
    for (size_t i = 0; i < f->count; i++)
        if (!http_is_named_by_connection(f, f->items[i].name))
            fields_add(&kept, a, f->items[i].name, f->items[i].value);
    *f = kept;
}

static void drop_unfit(struct fields *f) {
    size_t kept = 0;
    for (size_t i = 0; i < f->count; i++)
        if (!is_unfit(f->items[i].name)) f->items[kept++] = f->items[i];
    f->count = kept;
}

static enum step_result hygiene_pre_handle(void *state, struct invocation *inv) {
    (void)state;
    struct fields *f = &inv->request.headers;
    if (connection_names_fields(f)) drop_named(f, &inv->arena);
    drop_unfit(f);
    return STEP_NEXT;
}

const struct plugin hygiene_plugin = {.name = "hygiene", .pre_handle = hygiene_pre_handle};
