/* hygiene.h - the plugin that takes out of a request what no client may tell a handler.
 *
 * Fields named Execgate-* are the gateway's own words; hop-by-hop fields, and those that Connection names, were
 * meant for the gateway alone (RFC 9110 7.6.1); `Proxy` turns into HTTP_PROXY wherever fields become variables.
 * Most frameworks read fields as variables, too, where X_Forwarded_For and X-Forwarded-For are one: the gateway's own
 * fields, those of trusted proxies and those that frame a message go under every name that reads alike.
 * The faces that pass requests on leave most of them out, too. Here they go before any other plugin, an
 * authorizer or a handler can see one, whatever its face. Always on, nothing to set.
 */
#pragma once
#include "plugins/plugin.h"

extern const struct plugin hygiene_plugin;
