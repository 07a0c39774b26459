/* check.h - mistakes that no single key shows: settings that contradict each other, routes in each other's way, files
 * that are not there. */
#pragma once
#include "gateway/blueprint/document.h"

/* `model` was built from `d`; mistakes go to the problems. */
void check_consistency(struct problems *p, const struct blueprint_document *d, const struct blueprint *model);
/* Executables, working directories, certificates. Paths are put together in the model's arena. */
void check_files(struct problems *p, const struct blueprint_document *d, struct blueprint *model);
