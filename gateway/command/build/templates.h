/* templates.h - the files that `execgate new` writes, embedded when the binary is built.
 *
 * They stand in sdk-examples/: what is in templates/ has placeholders (project.h), the SDKs are copied as they are.
 * The table itself is made by embed.sh.
 */
#pragma once
#include <stddef.h>

struct template {
    const char *path; /* in the source tree */
    const char *begin;
    const char *end;
};

extern const struct template template_table[];
extern const size_t template_count;
