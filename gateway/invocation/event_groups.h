/* event_groups.h - the groups that an answer names for its client: `Execgate-Groups: room-1, caf%C3%A9`.
 *
 * A list of names, separated by commas, in which whatever a field cannot hold is percent-encoded. Pure.
 */
#pragma once
#include "gateway/base/arena.h"

/* Calls with each name, decoded; in the arena. */
void event_groups_each(struct slice list, struct arena *a, void (*on_group)(void *context, struct slice name),
                       void *context);
