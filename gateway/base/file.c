#include "gateway/base/file.h"
#include "gateway/base/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_MS 1000

/* --- contents --- */

/* All at once into room for one byte more than there should be: a private key leaves no copies behind in the heap. */
static int read_all(int fd, off_t size, struct buf *out) {
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

static int read_regular(int fd, size_t limit, struct buf *out) {
    struct stat s;
    if (fstat(fd, &s) != 0) return errno;
    if (!S_ISREG(s.st_mode)) return S_ISDIR(s.st_mode) ? EISDIR : EINVAL;
    if ((size_t)s.st_size > limit) return EFBIG;
    return read_all(fd, s.st_size, out);
}

/* O_NONBLOCK, because opening a named pipe would wait for its writer. */
int file_read(const char *path, const char *about, size_t limit, struct buf *out, struct error *e) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return error_set_errno(e, errno, "cannot read %s %s", about, path);
    int problem = read_regular(fd, limit, out);
    close(fd);
    return problem ? error_set_errno(e, problem, "cannot read %s %s", about, path) : 0;
}

int file_write_all(int fd, struct slice bytes) {
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        bytes = slice_make(bytes.p + n, bytes.n - (size_t)n);
    }
    return 0;
}

/* --- stamps --- */

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

/* --- polls --- */

struct file_poll {
    struct file_poll_config config; /* paths: own array */
    struct file_stamp *stamps;      /* of each file when it was looked at last */
    bool changed;                   /* since on_changed was called last */
    struct deadline look;
};

/* True when a file is no longer what it was. */
static bool look_at_files(struct file_poll *p) {
    bool changed = false;
    for (size_t i = 0; i < p->config.count; i++) {
        struct file_stamp now = file_stamp_of(p->config.paths[i]);
        if (file_stamp_equal(&now, &p->stamps[i])) continue;
        p->stamps[i] = now;
        changed = true;
    }
    return changed;
}

static void look_later(struct file_poll *p) {
    deadline_arm(p->config.deadlines, &p->look, clock_now_ms(p->config.clock) + LOOK_MS);
}

static void on_look(struct deadline *d) {
    struct file_poll *p = container_of(d, struct file_poll, look);
    bool moving = look_at_files(p);
    bool settled = p->changed && !moving;
    p->changed = moving;
    look_later(p);
    if (settled) p->config.on_changed(p->config.context);
}

struct file_poll *file_poll_open(const struct file_poll_config *c) {
    struct file_poll *p = xcalloc(1, sizeof *p);
    const char **paths = xcalloc(c->count + 1, sizeof *paths);
    for (size_t i = 0; i < c->count; i++) paths[i] = c->paths[i];
    p->config = *c;
    p->config.paths = paths;
    p->stamps = xcalloc(c->count + 1, sizeof *p->stamps);
    p->look.on_due = on_look;
    look_at_files(p);
    look_later(p);
    return p;
}

void file_poll_close(struct file_poll *p) {
    if (!p) return;
    deadline_disarm(p->config.deadlines, &p->look);
    free((void *)p->config.paths);
    free(p->stamps);
    free(p);
}
