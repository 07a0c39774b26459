/* route_advice.h - why a request spelled on a command line does not come to the handler that was meant. */
#pragma once
#include "gateway/blueprint/model.h"
#include "gateway/invocation/router.h"
#include "gateway/source/invoke/invoke_source.h"

/* 0 when the request has a route, and it is the handler's (NULL = anybody's); else the error says whose it is, which
 * methods there are, or which route is near. */
int route_advice(const struct router *router, const struct blueprint *b, const struct handler_config *handler,
                 const struct invoke_http *request, struct error *e) MUST_CHECK;
