/* event_schedule.h - the firing of a schedule in the shape that Lambda handlers know: EventBridge's scheduled event. */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/invocation/event.h"

/* Appends it and returns its content type. */
struct slice schedule_event_write(struct buf *out, const struct schedule_event *event);
