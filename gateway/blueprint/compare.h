/* compare.h - what a reload has to know of two blueprints: which of their parts say the same.
 *
 * Deep comparisons of typed structs; where they stand in a file does not count.
 */
#pragma once
#include "gateway/blueprint/model.h"

/* Processes of the one may serve for the other: everything but the triggers, which the processes do not see. */
bool handler_config_equal(const struct handler_config *a, const struct handler_config *b);
/* Made from the same sources in the same way, to the same executable. */
bool handler_sources_equal(const struct handler_config *a, const struct handler_config *b);
/* The same socket: address and port, or path. */
bool listener_place_equal(const struct listener_config *a, const struct listener_config *b);
/* The same files and rules; NULL equals NULL. */
bool tls_config_equal(const struct tls_config *a, const struct tls_config *b);
