/* cors.h - the plugin that tells browsers which pages may call a route, and read its answers.
 *
 * A route's policy is the application's `cors:`, completed or replaced key by key by its trigger's, or nothing
 * with `cors: off`. While a route has a policy, the gateway alone speaks CORS for it: what a handler says about it
 * is taken out of the answer.
 *
 * A preflight is answered in the ROUTE step, before any guard, with 204. It is all or nothing: when the origin, the
 * method and every header that it names are allowed, the answer grants just these; otherwise it grants nothing and
 * the browser refuses the call. Every other answer, refusals and failures included, names an origin that is
 * trusted, and says `Vary: Origin` whatever it is, because another origin would have got another answer. Only a
 * policy for everyone (`*`) says the same to all. An origin that is not trusted gets no CORS field; its request
 * is served all the same, because CORS protects readers of answers, and guards protect handlers.
 */
#pragma once
#include "plugins/plugin.h"

extern const struct plugin cors_plugin;
