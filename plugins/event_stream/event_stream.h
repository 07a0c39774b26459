/* event_stream.h - answers that are server-sent events (`eventStream:`).
 *
 * Says to every request what holds for its answer, should it be a stream of events (inv->event_rules), and looks at
 * such answers first: caches are told to keep away from them, and an answer that names groups is checked, because its
 * connection is going to be held open (source/event_stream/event_source.h).
 */
#pragma once
#include "plugins/plugin.h"

extern const struct plugin event_stream_plugin;
