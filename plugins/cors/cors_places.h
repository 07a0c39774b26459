/* cors_places.h - which origins a blueprint trusts, for whoever must know it outside CORS: WebSocket handshakes. */
#pragma once
#include "plugins/cors/cors_policy.h"

/* Those that are allowed to call the trigger's route; NULL when it has no policy. They live as long as the blueprint.
 */
const struct slices *cors_origins_for(const struct blueprint *b, const struct http_trigger_config *t);
