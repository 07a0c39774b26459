/* headers.h - the plugin that puts security headers on answers, and takes chatty ones off.
 *
 * Off unless the blueprint has `headers:`. An answer then gets `X-Content-Type-Options`, `X-Frame-Options`,
 * `Referrer-Policy` and what `set:` names, refusals and failures too; where a handler says something itself, it
 * knows better and its word stands, unless `force: true`. Strict-Transport-Security goes out over https only
 * (RFC 6797 7.2). `strip:` takes fields out of requests, after the guards have read them.
 *
 * A trigger's `headers:` completes or replaces the application's, key by key; `off` turns it off.
 */
#pragma once
#include "plugins/plugin.h"

extern const struct plugin headers_plugin;
