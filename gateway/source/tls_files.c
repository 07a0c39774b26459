#include "gateway/source/tls_files.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define FILE_MAX (4 << 20)

struct file_stamp file_stamp_of(const char *path) {
    struct stat s;
    if (stat(path, &s) != 0) return (struct file_stamp){0};
    return (struct file_stamp){s.st_dev, s.st_ino, s.st_size, s.st_mode, s.st_mtim, s.st_ctim};
}

static bool time_equal(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b) {
    return a->device == b->device && a->node == b->node && a->size == b->size && a->mode == b->mode &&
           time_equal(a->modified, b->modified) && time_equal(a->changed, b->changed);
}

/* All at once into room for one byte more than there should be: a private key leaves no copies behind in the heap. */
static int read_all(int fd, off_t size, struct buf *out) {
    if (size > FILE_MAX) return EFBIG;
    size_t left = (size_t)size + 1;
    buf_reserve(out, left);
    while (left > 0) {
        ssize_t n = read(fd, out->p + out->n, left);
        if (n == 0) return 0;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        out->n += (size_t)n;
        left -= (size_t)n;
    }
    return EBUSY; /* it has grown since fstat */
}

/* O_NONBLOCK, because opening a named pipe would wait for its writer. */
int tls_file_read(const char *path, const char *about, struct buf *out, struct error *e) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return error_set_errno(e, errno, "cannot read %s %s", about, path);
    struct stat s;
    int problem = fstat(fd, &s) != 0 ? errno : 0;
    if (problem == 0 && !S_ISREG(s.st_mode)) problem = S_ISDIR(s.st_mode) ? EISDIR : EINVAL;
    if (problem == 0) problem = read_all(fd, s.st_size, out);
    close(fd);
    return problem ? error_set_errno(e, problem, "cannot read %s %s", about, path) : 0;
}
