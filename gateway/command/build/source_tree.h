/* source_tree.h - what a handler is made from, as far as `run --watch` looks.
 *
 * With `sources`: the files, all in the folders, and those that the patterns match. Else with `build`: every file below
 * the working directory whose name looks like a source's. Else what the command names: the executable, and arguments
 * that are files (a script). Hidden folders, build outputs (target, build, dist, ...) and other people's sources
 * (node_modules, venv, ...) are never entered, and a handler's own executable is no source of its build.
 *
 * Files count by what is in them: writing the same again changes nothing, so a build that writes into its own sources
 * comes to an end.
 */
#pragma once
#include "gateway/blueprint/model.h"

struct source_tree;
/* `h` must outlive it. Looks at once. */
struct source_tree *source_tree_new(const struct handler_config *h);
/* The same settings in another place, which must outlive it from now on. */
void source_tree_follow(struct source_tree *t, const struct handler_config *same);
/* True when something has changed since it was looked at last. */
bool source_tree_look(struct source_tree *t);
/* The folders in which a change may matter, as of the last look. */
size_t source_tree_folder_count(const struct source_tree *t);
const char *source_tree_folder(const struct source_tree *t, size_t index);
/* More than this looks at: 20000 files or 4000 folders. */
bool source_tree_is_cut(const struct source_tree *t);
void source_tree_free(struct source_tree *t); /* NULL is fine */
