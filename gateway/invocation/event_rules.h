/* event_rules.h - what holds for answers of a route that are streams of server-sent events (`eventStream:`). */
#pragma once
#include <stdint.h>

struct event_rules {
    uint64_t heartbeat_ms;    /* of silence before a comment is sent; 0 = never */
    uint64_t max_duration_ms; /* 0 = no bound */
    /* Of those that the gateway holds: */
    uint64_t max_outbound;                    /* bytes that wait for a client */
    uint64_t max_groups;                      /* of one stream */
    uint64_t max_connections, max_per_client; /* 0 = no bound */
};
