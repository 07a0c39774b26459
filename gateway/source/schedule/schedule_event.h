/* schedule_event.h - the invocation that a schedule's run is, whoever has it run: its source, or somebody by hand. */
#pragma once
#include "gateway/invocation/event.h"
#include "gateway/invocation/invocation.h"

/* Copies the event into the arena and makes it the invocation's: POST /schedule/NAME with the input as its body. */
void schedule_event_fill(struct invocation *inv, const struct schedule_event *event);
