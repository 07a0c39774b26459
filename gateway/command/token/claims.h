/* claims.h - claims on a command line: NAME=VALUE as a text, NAME=json:VALUE as any JSON value; each name once. */
#pragma once
#include "gateway/base/json_write.h"
#include "gateway/command/options.h"

/* Every value of the option as a member of the object that is open. */
int claims_write(struct json_write *w, const struct arguments *a, const char *option, struct error *e) MUST_CHECK;
/* The name in front of the '='; absent when there is none. */
struct slice claim_name(const char *text);
