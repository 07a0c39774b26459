/* auth.h - the plugin that lets in only those who may.
 *
 * Each route has a list of guards (`guard:`, or `auth: default:`), all of which must let an invocation pass, in order;
 * then it must meet the route's `require`. That happens before the body is read, but for guards that have to see the
 * body: those have the last word when it is here. The first refusal is the answer:
 *
 *   401 with WWW-Authenticate  a credential is missing or not to be believed (RFC 9110 15.5.2)
 *   403                        a good one does not suffice (RFC 9110 15.5.4)
 *   503                        nobody can tell now
 *
 * The handshake of a WebSocket path with `auth: message` is let through: its client's first message becomes a
 * TRIGGER_CREDENTIAL invocation of the same route, whose credential the guards find wherever they look for theirs.
 *
 * Who passed is in inv->identity: that of the first guard in the list that knows somebody who
 * meets `require`. Credentials that are of no
 * use to a handler, API keys and passwords, are taken out of the request before that.
 */
#pragma once
#include "gateway/blueprint/model.h"
#include "gateway/invocation/identity.h"
#include "plugins/plugin.h"

extern const struct plugin auth_plugin;
struct auth_settings;
/* Names somebody whom a source vouches for as the first guard of the trigger would; nothing happens without one. */
void auth_name_identity(const struct auth_settings *s, const struct http_trigger_config *trigger, struct identity *i);
