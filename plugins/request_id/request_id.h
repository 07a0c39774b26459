/* request_id.h - the plugin that tells the client under which id its request is found in the log.
 *
 * Every outcome carries `X-Request-Id`, refusals and failures too. The id is the client's own
 * if it sent a sane one (the source decides, with request_id_is_sane), else the invocation's. A handler
 * cannot replace it.
 */
#pragma once
#include "plugins/plugin.h"

extern const struct plugin request_id_plugin;

/* 1 to 128 characters of [A-Za-z0-9._:+/=@-]: safe to log, to quote and to send back. */
bool request_id_is_sane(struct slice id);
