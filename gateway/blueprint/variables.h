/* variables.h - the `variables:` section: values that are chosen when a blueprint is run. */
#pragma once
#include "gateway/blueprint/schema.h"

/* Reads the section of `root` (there may be none), applies the overrides and makes the variables known to the
 * binder's substitution. Mistakes go to the problems; a variable without a usable value is known without one. */
void variables_load(struct binder *b, struct node *root, const struct variable_override *overrides, size_t count);
