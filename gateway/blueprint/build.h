/* build.h - from the document to the model.
 *
 * Goes on after mistakes, so that a problem in one handler does not hide those of the next; what
 * it leaves behind is only a model when no problem was added.
 */
#pragma once
#include "gateway/blueprint/document.h"

/* Handlers inherit from `defaults`, then everything unset gets its default. */
void document_complete(struct binder *b, struct blueprint_document *d);
/* Fills listeners, limits and handlers of `out`; its directory must be set. */
void blueprint_build(struct binder *b, const struct blueprint_document *d, struct blueprint *out);
