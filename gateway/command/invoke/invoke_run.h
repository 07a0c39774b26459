/* invoke_run.h - one run of `execgate invoke`: a gateway without listeners, a plan, and what comes of it.
 *
 *   invoke_run -> (--debug: waits until somebody traces the process) -> `parallel` calls at a time, `repeat` in all
 *              -> the gateway is stopped -> an exit_status
 *
 * What the handler's processes print goes to stderr as it comes, on a terminal with their handler's name before it.
 * Ctrl-C ends all of it at once.
 */
#pragma once
#include "gateway/command/invoke/invoke_plan.h"
#include "gateway/command/serve/gateway.h"

int invoke_run(const struct invoke_plan *p, struct gateway *g);
