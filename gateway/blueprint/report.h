/* report.h - what the blueprint room has to say, for people and for programs.
 *
 * Everything is appended to a buffer; who prints it decides where to. Lines of the file that define
 * secrets are never quoted.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/blueprint/section.h"

/* For each problem `file:line:column: error: message`, then the line of the file with a caret below. */
void problems_print(const struct problems *p, struct buf *out);
/* {"problems":[{"file":...,"line":...,"column":...,"message":...}]}, one line; unknown positions are left out. */
void problems_print_json(const struct problems *p, struct buf *out);
/* The JSON Schema of blueprints, and the Markdown reference of their keys; `sections` may be NULL. */
void blueprint_print_schema(struct buf *out, const struct sections *sections);
void blueprint_print_reference(struct buf *out, const struct sections *sections);
