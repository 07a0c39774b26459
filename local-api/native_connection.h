/* native_connection.h - the runtime API's calls about WebSocket connections and groups (source/websocket_api.h). */
#pragma once
#include "local-api/endpoint.h"

void native_connection_begin(struct call *c);
