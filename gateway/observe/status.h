/* status.h - what every pool is doing right now, as log lines, for an operator who asks with a signal.
 *
 * One line per pool (workers by state, what waits, counters, what is left of a back-off) and one per
 * worker. Logged at level info; changes nothing.
 */
#pragma once
#include "gateway/pool/pool.h"

void status_log(struct pool *const *pools, size_t count);
