/* file_watch.h - tells when something changes in a folder, through the kernel (inotify(7)).
 *
 * It looks at one folder and not below. Files are watched by watching their folder: so one that is replaced by a
 * rename, as editors do it, or that is not there yet, needs no care. A folder that goes away, or is not there yet, is
 * looked for until it is there (again); its coming is a change too.
 *
 * A change is only a hint, often one of many: wait until they have ceased, then look at the files themselves.
 */
#pragma once
#include "gateway/loop/loop.h"

struct file_watch;
/* `name` is the file's in the folder; NULL = anything may have changed. Changes of `on_change`'s own making come, too.
 * NULL with the reason when the system has no watch left. */
struct file_watch *file_watch_open(struct loop *l, const char *folder,
                                   void (*on_change)(void *context, const char *name), void *context, struct error *e);
void file_watch_close(struct file_watch *w); /* NULL is fine */
