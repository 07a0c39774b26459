/* load.h - what every command that reads a blueprint does the same way: --var, loading, telling what is wrong. */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/base/log.h"
#include "gateway/blueprint/model.h"
#include "gateway/command/options.h"
#include "plugins/auth/auth_policy.h"
#include <stdio.h>

/* Loads the blueprint that the arguments name. On failure prints every problem (to stderr, or as one JSON object on
 * stdout with --json), sets *exit_status and returns NULL. */
struct blueprint *command_load(const struct arguments *a, enum blueprint_check check, int *exit_status);
struct blueprint_reading {
    enum blueprint_check check;
    enum blueprint_origin origin;
};
/* The same without a word: *e is set when the arguments are wrong, else the problems tell. */
struct blueprint *command_read(const struct arguments *a, const struct blueprint_reading *how,
                               struct problems *problems, struct error *e);
/* One error that is no blueprint problem, in the same two forms. */
void command_report(const struct arguments *a, const struct error *e);
/* On stderr, at --log-level or else `level`: text for a terminal, JSON lines otherwise and with --json. */
struct log *command_open_log(const struct arguments *a, enum log_level level, struct clock *clock, struct error *e);
/* Writes the buffer out and empties it. */
void command_print(struct buf *out, FILE *to);
/* "(1 handler, 2 routes)". */
void command_append_size(struct buf *out, const struct blueprint *b);
/* HTTP routes of all handlers. */
size_t command_count_routes(const struct blueprint *b);
