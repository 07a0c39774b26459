/* access_log.h - one line for each finished invocation, whatever its source.
 *
 * A hook without `pre`. It goes first in the pipeline's list, so its `post` comes last and tells what
 * the client will see. The level is the failure's own, so a failing handler stands out among answers; what
 * became of a WebSocket message well is told only at level debug, of its connection there is a line at either end. The
 * query is left out: it may hold what must not be kept.
 */
#pragma once
#include "gateway/base/log.h"
#include "gateway/invocation/pipeline.h"

struct hook access_log_hook(struct log *log);
