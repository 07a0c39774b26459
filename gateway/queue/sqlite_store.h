/* sqlite_store.h - queues in one SQLite file: the store for one machine.
 *
 * Calls are gathered while a transaction is under way and carried out as the next one, on another thread: one commit,
 * which is one fsync, for as many sends, receives and settlements as there are. The file is in WAL mode with
 * synchronous=FULL: a commit is on the disk before anybody is told, so that what was acknowledged
 * survives a power failure; with NORMAL it would only survive the death of the process.
 *
 * Other processes may open the same file at the same time (`execgate queue` does); SQLite's locks keep them apart, and
 * a store notices within half a second what they wrote. When a transaction fails (disk full, I/O error) nothing of
 * it is kept; its calls are tried again one by one, so that only those fail that cannot be done.
 */
#pragma once
#include "gateway/loop/loop.h"
#include "gateway/queue/store.h"

/* Opens or makes the file; its folder must exist (sqlite_store_folder). Blocks: call it before the loop runs. NULL when
 * the file cannot be used: not ours, of a later version, damaged. */
struct queue_store *sqlite_store_open(struct loop *loop, const char *path, struct error *e);
/* Makes FOLDER/.execgate/NAME with mode 0700 where it is missing, durably, and returns the path of its queues.db:
 * malloc'd, the caller's. NULL on an error. */
char *sqlite_store_path(const char *folder, struct slice name, struct error *e);
/* Whether such a file is there. */
bool sqlite_store_exists(const char *folder, struct slice name);
