#include "gateway/source/schedule/schedule_event.h"

void schedule_event_fill(struct invocation *inv, const struct schedule_event *event) {
    struct arena *a = &inv->arena;
    struct schedule_event *own = arena_alloc(a, sizeof *own);
    *own = (struct schedule_event){.schedule = arena_copy(a, event->schedule),
                                   .id = arena_copy(a, event->id),
                                   .due_ms = event->due_ms,
                                   .input = event->input.n ? arena_copy(a, event->input) : SLICE("{}")};
    inv->trigger = TRIGGER_SCHEDULE;
    inv->schedule = own;
    invocation_request_post(inv, arena_printf(a, "/schedule/" SLICE_FMT, SLICE_ARG(own->schedule)).p);
    fields_add(&inv->request.headers, a, SLICE("Content-Type"), SLICE("application/json"));
    inv->body = body_of_chunk(chunk_copy(own->input));
}
