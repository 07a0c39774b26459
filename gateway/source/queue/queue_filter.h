/* queue_filter.h - which messages a trigger takes: those whose body is a JSON object with the values it asks for. */
#pragma once
#include "gateway/base/json_read.h"
#include "gateway/blueprint/model.h"

/* True when all filters fit; without any, whatever the body is. A text is compared as text, a number, true, false and
 * null as they are spelled. */
bool queue_filter_fits(const struct queue_trigger_config *t, struct slice body);
/* The member of a valid JSON text that `path` ("customer.region") leads to; JSON_INVALID when there is none. */
struct json_value queue_filter_member(struct slice body, struct slice path, struct arena *a);
