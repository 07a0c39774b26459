/* compose.h - the blueprint's tables and those of the sections, as one.
 *
 * The composed tables describe the same structs with the sections' behind them: a blueprint_document, then the
 * struct of each section's `schema`; a trigger_document, or a websocket_path_document, then the struct of each
 * section's `trigger`. So one bind, one JSON Schema and one reference serve all. Items of the composed triggers are
 * `trigger.schema.size` apart.
 */
#pragma once
#include "gateway/blueprint/document.h"
#include "gateway/blueprint/section.h"

struct composed_trigger {
    struct object_schema schema;
    size_t offsets[SECTIONS_MAX]; /* of each section's struct in the composed document */
};
struct composition {
    struct object_schema blueprint, handler, queue, websockets;
    struct composed_trigger trigger, path;
    const struct sections *sections;
    enum blueprint_check depth;
    const char *const *attach; /* of the options */
    size_t attach_count;
    size_t application_offsets[SECTIONS_MAX]; /* of each section's struct in the composed blueprint_document */
};

/* For options->sections and ->check. The tables live in `a`; the composition must not move afterwards. */
void composition_init(struct composition *c, const struct blueprint_options *options, struct arena *a);
/* One of a handler's triggers, or of a queue's `send`. */
struct trigger_document *composition_trigger(const struct composition *c, const struct bound_items *triggers,
                                             size_t index);
/* One of `websockets.paths`. */
struct websocket_path_document *composition_path(const struct composition *c, const struct bound_items *paths,
                                                 size_t index);
/* Has every section check what `d` says and make its settings, into out->settings. */
void composition_check(const struct composition *c, struct binder *b, struct blueprint_document *d,
                       struct blueprint *out);
