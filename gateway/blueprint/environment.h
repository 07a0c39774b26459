/* environment.h - variables that a blueprint may not set, because the runtime does. */
#pragma once
#include "gateway/blueprint/model.h"

/* Why the name is reserved, as the end of a sentence, or NULL when it is free. */
const char *environment_reserved(struct slice name, enum handler_mode mode);
