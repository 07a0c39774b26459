/* substitute.h - ${...} inside the values of a blueprint.
 *
 *   ${env.NAME}            the gateway's environment variable; an error when it is not set
 *   ${env.NAME:-default}   the default when it is not set or empty
 *   ${file:path}           a file's content without its last newline; secret
 *   ${var.name}            a value from the `variables:` section; secret when it is marked so
 *   $${                    a literal ${
 *
 * Values are resolved when the schema reads them, one by one, never keys and never twice: what
 * was substituted is text and is not looked into again. A node that took part of its text from a
 * secret is marked, and node_show never shows it.
 */
#pragma once
#include "gateway/blueprint/tree.h"

#define SUBSTITUTE_MAX_FILE ((size_t)1 << 20)

struct variable {
    struct slice name;
    struct slice value; /* absent: none was given */
    bool secret;
    bool reported; /* that it has no value */
};
struct substitution {
    struct arena *arena;
    struct problems *problems;
    const char *directory;      /* of relative ${file:...} paths */
    struct variable *variables; /* NULL while the `variables:` section itself is read */
    size_t variable_count;
};

/* Resolves a scalar in place. False when it is broken; that was reported then. */
bool substitute_node(struct substitution *s, struct node *n);
/* True when the text holds a reference or a $${. */
bool substitute_is_needed(struct slice text);
/* Length of the reference or escape `text` begins with ("${...}", "$${"), or 0; for those who split text around them.
 */
size_t substitute_span(struct slice text);
/* `path`, or `directory`/`path` when it is relative. */
const char *path_resolve(struct arena *a, const char *directory, struct slice path);
