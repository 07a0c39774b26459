/* guard_places.h - where the guards of a blueprint look for credentials, for whoever keeps or shows requests.
 *
 * The answer is about the whole blueprint, not about one route: a key that one guard reads is a secret wherever a
 * client sends it. A `handler` guard that looks at whole requests names no place.
 */
#pragma once
#include "gateway/blueprint/model.h"
#include "plugins/auth/credential.h"

struct auth_settings;
/* NULL when the blueprint was read without the plugins' keys. */
const struct auth_settings *auth_settings_of(const struct blueprint *b);
/* Those of every guard, in the arena; names are the blueprint's. Settings may be NULL. */
struct credential_places auth_places(const struct auth_settings *s, struct arena *a);
/* True when somebody has to pass a guard to reach this trigger. Settings may be NULL. */
bool auth_guards_trigger(const struct auth_settings *s, const struct http_trigger_config *trigger);
