/* handler_output.h - shows what processes print while a command runs handlers by hand: on stderr, with the handler's
 * name before each line when a person reads it. */
#pragma once
#include "gateway/command/serve/gateway.h"

void handler_output_show(struct gateway *g);
