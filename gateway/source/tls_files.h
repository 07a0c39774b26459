/* tls_files.h - PEM files: their contents, and whether they have changed since. */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/base/error.h"
#include <sys/stat.h>
#include <time.h>

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

/* Appends the contents of a regular file of at most 4 MiB. `about` names it in errors: "the certificate". */
int tls_file_read(const char *path, const char *about, struct buf *out, struct error *e) MUST_CHECK;
