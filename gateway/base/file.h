/* file.h - whole files: reading and writing their contents, whether they have changed since, and a poll that tells.
 *
 * What a running gateway reads from files besides its blueprint (certificates, keys, users) follows them. A poll
 * looks at its files each second: they are few, and what is mounted or lies behind symbolic links, as secrets in
 * containers do, changes without a word from inotify (loop/file_watch.h). When one has changed and then all stayed as
 * they are for a second (a certificate and its key are rarely replaced in the same instant, and a file may be half
 * written), it calls its owner, once per change. The owner reads all of them anew, and goes on with what it had when
 * that fails.
 *
 *   file_poll_open   takes the first look: open it before reading, so what changes in between is found
 *   on_changed       from the deadlines' run
 *   file_poll_close  not from within on_changed
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/base/clock.h"
#include "gateway/base/deadline.h"
#include "gateway/base/error.h"
#include <sys/stat.h>
#include <time.h>

/* Appends the contents of a regular file of at most `limit` bytes, and leaves no other copy in memory. `about` names it
 * in errors: "the certificate". */
int file_read(const char *path, const char *about, size_t limit, struct buf *out, struct error *e) MUST_CHECK;
/* All of the bytes, over interruptions and writes in pieces. -1 with errno. */
int file_write_all(int fd, struct slice bytes) MUST_CHECK;

/* What a file looked like; equal stamps mean that it need not be read again. All zero when it could not be asked. */
struct file_stamp {
    dev_t device;
    ino_t node;
    off_t size;
    mode_t mode;
    struct timespec modified, changed;
};
struct file_stamp file_stamp_of(const char *path);
bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);

struct file_poll_config {
    struct deadlines *deadlines;
    struct clock *clock;
    const char *const *paths; /* the array is copied, the texts are lent */
    size_t count;
    void (*on_changed)(void *context);
    void *context;
};
struct file_poll;
struct file_poll *file_poll_open(const struct file_poll_config *c);
void file_poll_close(struct file_poll *p); /* NULL is fine */
