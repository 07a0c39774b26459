/* schedules.h - all schedules of a generation, at work.
 *
 * They remember in the store of the queues, which is opened for them if there are no queues. One that cannot be opened
 * is told of, and they run without memory.
 */
#pragma once
#include "gateway/command/serve/queue_stores.h"
#include "gateway/invocation/pipeline.h"
#include "gateway/observe/admin.h"

struct schedules;
struct schedules_host {
    struct pipeline *pipeline;
    const struct blueprint *blueprint;
    struct queue_store *store; /* NULL = it is opened now */
    struct queue_stores *stores;
    struct executor *(*executor_of)(void *context, const char *handler_name);
    void *context;
};

/* NULL when the blueprint has none. All that the host points to must outlive them. */
struct schedules *schedules_start(const struct schedules_host *host);
/* NULL is fine for all that follow. Runs go on. */
void schedules_stop(struct schedules *s);
/* The one at an index; false after the last. */
bool schedules_show(const struct schedules *s, size_t index, struct admin_schedule *out);
bool schedules_are_idle(const struct schedules *s);
void schedules_free(struct schedules *s); /* must be idle */
