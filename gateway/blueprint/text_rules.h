/* text_rules.h - what names and other texts of a blueprint must look like. */
#pragma once
#include "gateway/blueprint/schema.h"

extern const struct text_rule rule_name;             /* blueprint and handlers */
extern const struct text_rule rule_variable_name;    /* ${var.NAME} */
extern const struct text_rule rule_environment_name; /* of an environment variable */
extern const struct text_rule rule_path;
extern const struct text_rule rule_redis_key;
extern const struct text_rule rule_listener;
extern const struct text_rule rule_route;
extern const struct text_rule rule_websocket_path;
extern const struct text_rule rule_subprotocol; /* a token (RFC 6455 4.1) */
extern const struct text_rule rule_network;     /* of trustedProxies */

bool character_is_letter(char c);
bool character_is_digit(char c);
