/* replay_files.h - the files that records are read from, line by line, and into which new answers are accepted.
 *
 * A folder stands for its *.ndjson files in the order of their names. One file is in memory at a time. Whoever accepts
 * a new answer gives the line that takes the place of the one just read; when the file is left it is written anew
 * beside the old one and put into its place, so that a file is never half of one and half of the other. Lines that are
 * no records stay as they are.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/base/error.h"

struct replay_files;
/* Looks folders up; reads nothing yet. NULL with the reason when there is nothing to read. */
struct replay_files *replay_files_open(const char *const *names, size_t count, struct error *e);

struct replay_line {
    const char *file;
    size_t number; /* from 1 */
    struct slice text;
};
/* 1: the next line that is not empty, which lives until the one after it is asked for; 0: there is none; negative: a
 * file cannot be read, or written. */
int replay_files_next(struct replay_files *f, struct replay_line *line, struct error *e) MUST_CHECK;
/* Instead of the line just read; with its end. */
void replay_files_replace(struct replay_files *f, struct slice line);
void replay_files_free(struct replay_files *f); /* what was not left is not written; NULL is fine */
