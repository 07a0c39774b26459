/* native_queue.h - POST /v1/queues/{name}/messages: a handler sends, and is answered once it is on disk. */
#pragma once
#include "local-api/endpoint.h"

void native_queue_begin(struct call *c);
