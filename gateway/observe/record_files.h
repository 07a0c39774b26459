/* record_files.h - the folder that records are kept in.
 *
 * Records are appended to segments, files of lines named by the time they were begun, so that their names sort as they
 * were written. All segments together stay within the limit: the oldest go, those of earlier runs too. The folder is
 * its owner's alone (0700), and so is every file (0600).
 *
 * Everything here waits for the disk: one at a time calls it, away from the loop.
 */
#pragma once
#include "gateway/base/clock.h"
#include "gateway/base/error.h"

struct record_files;
/* Makes the folder if need be; refuses one that is open to others, and one that somebody else records into. `limit`
 * bytes for all segments. */
struct record_files *record_files_open(const char *path, uint64_t limit, struct clock *clock, struct error *e);
/* Whole lines, each with its end. */
int record_files_append(struct record_files *f, struct slice lines, struct error *e) MUST_CHECK;
/* Segments, and lines too long for the limit, that had to go so far. */
uint64_t record_files_dropped(const struct record_files *f);
void record_files_close(struct record_files *f); /* NULL is fine */
