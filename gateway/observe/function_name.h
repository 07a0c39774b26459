/* function_name.h - which handler an AWS client means.
 *
 * The API lets a function be named in three ways, each with or without a qualifier (a version or an alias):
 *
 *   NAME[:QUALIFIER]
 *   ACCOUNT:function:NAME[:QUALIFIER]
 *   arn:PARTITION:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]
 *
 * There is one version of a handler, $LATEST; partition, region and account are whatever the client believes.
 */
#pragma once
#include "gateway/base/slice.h"

struct function_name {
    struct slice name;
    struct slice qualifier; /* absent = none */
};
/* Slices of `text`. False when it is none of the three. */
bool function_name_parse(struct slice text, struct function_name *out);
/* $LATEST, or absent. */
bool function_qualifier_is_known(struct slice qualifier);
