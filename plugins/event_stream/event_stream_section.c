#include "gateway/base/memory.h"
#include "gateway/blueprint/model.h"
#include "plugins/event_stream/event_stream_policy.h"

#define KIB (1ULL << 10)
#define DAY_MS (24ULL * 60 * 60 * 1000)

struct event_stream_document {
    struct node *origin;
    uint64_t heartbeat_ms, max_duration_ms, max_outbound, max_groups, max_connections, max_per_client;
};
struct event_stream_trigger {
    struct node *origin;
    struct event_stream_document events;
};

#define MEMBER(name) offsetof(struct event_stream_document, name)
static const struct schema_field event_stream_fields[] = {
    {.name = "heartbeat",
     .kind = FIELD_DURATION,
     .offset = MEMBER(heartbeat_ms),
     .least = 0,
     .most = DAY_MS,
     .preset = "15s",
     .about = "After so much silence a comment is sent, between two events, so that nobody on the way takes the stream "
              "for dead; 0s means never."},
    {.name = "maxDuration",
     .kind = FIELD_DURATION,
     .offset = MEMBER(max_duration_ms),
     .least = 0,
     .most = 366 * DAY_MS,
     .preset = "0s",
     .about =
         "A stream ends after so long; its client comes back by itself. 0s means no bound. The handler's `timeout` "
         "bounds the time until a stream begins, not the stream."},
    {.name = "maxOutbound",
     .kind = FIELD_SIZE,
     .offset = MEMBER(max_outbound),
     .least = KIB,
     .most = 64 * KIB * KIB,
     .preset = "1MiB",
     .about = "Of a stream that the gateway holds: what may wait for a client that does not read. A client that is "
              "still behind then is dropped."},
    {.name = "maxGroups",
     .kind = FIELD_INTEGER,
     .offset = MEMBER(max_groups),
     .least = 0,
     .most = 10000,
     .preset = "100",
     .about = "Groups that one held stream can be in."},
    {.name = "maxConnections",
     .kind = FIELD_INTEGER,
     .offset = MEMBER(max_connections),
     .least = 1,
     .most = 1000000,
     .preset_note = "`limits.connections`",
     .about = "Held streams of one trigger. Above it, clients are answered 503."},
    {.name = "maxPerClient",
     .kind = FIELD_INTEGER,
     .offset = MEMBER(max_per_client),
     .least = 1,
     .most = 1000000,
     .preset_note = "no bound",
     .about = "Held streams of one client on one trigger: of one identity where a guard knows it, else of one address. "
              "Above it, clients are answered 429."},
};
static const struct object_schema event_stream_schema = {
    .name = "eventStream",
    .title = "`eventStream`",
    .about = "Answers that are server-sent events, `Content-Type: text/event-stream` "
             "([server-sent events](server-sent-events.md)).",
    .fields = event_stream_fields,
    .count = ARRAY_LEN(event_stream_fields),
    .size = sizeof(struct event_stream_document),
    .origin_offset = offsetof(struct event_stream_document, origin),
};

static const struct schema_field trigger_fields[] = {
    {.name = "eventStream",
     .kind = FIELD_OBJECT,
     .offset = offsetof(struct event_stream_trigger, events),
     .object = &event_stream_schema,
     .preset_note = "the application's",
     .about = "Server-sent events of this route: what it sets wins over the application's.",
     .example = "{heartbeat: 30s}"},
};
static const struct object_schema trigger_schema = {
    .name = "trigger",
    .title = "a trigger",
    .about = "",
    .fields = trigger_fields,
    .count = ARRAY_LEN(trigger_fields),
    .size = sizeof(struct event_stream_trigger),
    .origin_offset = offsetof(struct event_stream_trigger, origin),
};

static uint64_t or_none(uint64_t value) {
    return value == VALUE_UNSET ? 0 : value;
}

static struct event_rules rules_of(const struct event_stream_document *d) {
    return (struct event_rules){.heartbeat_ms = or_none(d->heartbeat_ms),
                                .max_duration_ms = or_none(d->max_duration_ms),
                                .max_outbound = or_none(d->max_outbound),
                                .max_groups = or_none(d->max_groups),
                                .max_connections = or_none(d->max_connections),
                                .max_per_client = or_none(d->max_per_client)};
}

static void event_stream_check(const struct blueprint *b, const struct section_values *v, struct problems *p,
                               struct arena *a, void **settings) {
    struct event_stream_settings *s = arena_zalloc(a, sizeof *s);
    (void)b;
    (void)p;
    s->trigger_count = v->trigger_count;
    s->triggers = arena_zalloc(a, (v->trigger_count + 1) * sizeof *s->triggers);
    for (size_t i = 0; i < v->trigger_count; i++) {
        const struct event_stream_trigger *t = v->triggers[i];
        struct event_stream_document d = t->events;
        schema_inherit(a, &event_stream_schema, &d, v->application);
        s->triggers[i] = rules_of(&d);
    }
    *settings = s;
}

const struct section event_stream_section = {
    .key = "eventStream",
    .schema = &event_stream_schema,
    .trigger = &trigger_schema,
    .example = "{heartbeat: 30s}",
    .check = event_stream_check,
};
