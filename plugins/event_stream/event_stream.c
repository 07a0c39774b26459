#include "plugins/event_stream/event_stream.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/model.h"
#include "gateway/event_stream/event_streams.h"
#include "gateway/invocation/event_groups.h"
#include "plugins/event_stream/event_stream_policy.h"
#include <assert.h>
#include <stdlib.h>

#define BUSY_RETRY_S 1

struct event_stream_state {
    const struct event_stream_settings *settings;
    struct event_streams *streams; /* NULL = none are held here */
};

static enum step_result event_stream_pre_handle(void *state, struct invocation *inv) {
    const struct event_stream_settings *s = ((const struct event_stream_state *)state)->settings;
    if (!inv->route->trigger || !s) return STEP_NEXT;
    assert(inv->route->trigger->number < s->trigger_count);
    inv->event_rules = &s->triggers[inv->route->trigger->number];
    return STEP_NEXT;
}

/* --- fields --- */

static void set_unless_said(struct invocation *inv, struct slice name, struct slice value) {
    struct fields *f = &inv->outcome.headers;
    if (slice_is_none(fields_get(f, name))) fields_add(f, &inv->arena, name, value);
}

/* --- groups --- */

struct naming {
    uint64_t count;
    bool bad;
};

static void look_at_group(void *context, struct slice name) {
    struct naming *n = context;
    n->count++;
    if (!group_name_is_good(name)) n->bad = true;
}

static void refuse(struct invocation *inv, enum failure f, const char *why) {
    outcome_release(&inv->outcome);
    inv->outcome = outcome_failure(inv, f, "%s", why);
    if (f == FAILURE_OVERLOADED) inv->outcome.retry_after_s = BUSY_RETRY_S;
}

static const char *flaw_of(struct invocation *inv) {
    struct naming n = {0};
    if (!inv->answers_events || inv->outcome.status != 200)
        return "Execgate-Groups goes with a status of 200 and Content-Type: text/event-stream";
    event_groups_each(inv->answer_groups, &inv->arena, look_at_group, &n);
    if (n.bad) return "Execgate-Groups: a group's name has 1 to 128 bytes of UTF-8 without control characters";
    if (n.count > inv->event_rules->max_groups) return "Execgate-Groups names more groups than maxGroups";
    return NULL;
}

static void check_held(const struct event_stream_state *state, struct invocation *inv) {
    const struct event_rules *rules = inv->event_rules;
    const char *flaw = flaw_of(inv);
    if (flaw) {
        refuse(inv, FAILURE_HANDLER_ANSWER, flaw);
        return;
    }
    if (!state->streams) return;
    struct slice route = inv->route->key;
    if (rules->max_connections && event_streams_count_of(state->streams, route, SLICE_NONE) >= rules->max_connections)
        refuse(inv, FAILURE_OVERLOADED, "too many event streams are open");
    else if (rules->max_per_client &&
             event_streams_count_of(state->streams, route, invocation_client_key(inv)) >= rules->max_per_client)
        refuse(inv, FAILURE_RATE_LIMITED, "this client has too many event streams open");
}

static void event_stream_post_handle(void *state, struct invocation *inv) {
    if (!inv->event_rules || inv->outcome.failure != FAILURE_NONE) return;
    if (!slice_is_none(inv->answer_groups)) check_held(state, inv);
    if (!inv->answers_events || inv->outcome.failure != FAILURE_NONE) return;
    set_unless_said(inv, SLICE("Cache-Control"), SLICE("no-cache"));
    /* nginx and others keep answers back until they are complete, unless they are told. */
    set_unless_said(inv, SLICE("X-Accel-Buffering"), SLICE("no"));
}

static int event_stream_open_plugin(const struct plugin_host *host, const void *settings, void **state,
                                    struct error *e) {
    struct event_stream_state *s = xcalloc(1, sizeof *s);
    (void)e;
    s->settings = settings;
    s->streams = host->event_streams;
    *state = s;
    return 0;
}

const struct plugin event_stream_plugin = {
    .name = "event-stream",
    .section = &event_stream_section,
    .open = event_stream_open_plugin,
    .pre_handle = event_stream_pre_handle,
    .post_handle = event_stream_post_handle,
    .close = free,
};
