/* limits.h - the plugin that holds a request body to its trigger's maxBody.
 *
 * A declared length above it is refused with 413 before a byte is read, so that a client that waits
 * for `100 Continue` uploads nothing. For a body of unknown length the bound is handed to the
 * body, which enforces it while bytes arrive.
 */
#pragma once
#include "plugins/plugin.h"

extern const struct plugin limits_plugin;
