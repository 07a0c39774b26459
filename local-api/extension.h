/* extension.h - the part of the Lambda Extensions API that runtime clients lean on.
 *
 * Helpers inside a handler register as extensions and wait for events: INVOKE with every event that the
 * process is given, SHUTDOWN when it is being stopped. The Go and Rust clients need both calls to work for
 * their SIGTERM handling. AWS closes the registration when all extensions and the runtime wait for events; as nobody
 * knows here how many will come, it stays open: aws-lambda-web-adapter registers while its runtime asks for the first
 * event, and ends the process when it is refused. Nothing waits for an extension; of INVOKE events that it does not
 * fetch, the latest is kept. Telemetry and logs are answered as not supported.
 */
#pragma once
#include "local-api/endpoint.h"

#define EXTENSIONS_MAX 10

extern const struct api_route extension_routes[];
extern const size_t extension_route_count;

void extensions_tell_invoke(struct endpoint *ep, const struct invocation *inv);
void extensions_shut_down(struct endpoint *ep, enum stop_reason why);
void extensions_free(struct endpoint *ep);
