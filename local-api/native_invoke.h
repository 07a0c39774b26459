/* native_invoke.h - POST /v1/handlers/{name}/invocations: a handler calls another one, past all guards, and waits for
 * its answer, or with `wait=false` is answered once the invocation is on disk (gateway/source/queue/async_send.h).
 */
#pragma once
#include "local-api/endpoint.h"

void native_invoke_begin(struct call *c);
