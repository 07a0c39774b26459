/* event_stream_policy.h - what `eventStream:` means, once it has been checked. Immutable, in the blueprint's arena. */
#pragma once
#include "gateway/blueprint/section.h"
#include "gateway/invocation/event_rules.h"

struct event_stream_settings {
    struct event_rules *triggers; /* by http_trigger_config.number */
    size_t trigger_count;
};

extern const struct section event_stream_section; /* makes a struct event_stream_settings */
