#include "gateway/command/invoke/input.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define READ_BYTES 65536

static int read_all(struct buf *out, int fd, const char *option, const char *name, struct error *e) {
    for (;;) {
        ssize_t n = read(fd, buf_reserve(out, READ_BYTES), READ_BYTES);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set_errno(e, errno, "%s: cannot read %s", option, name);
        if (n == 0) return 0;
        out->n += (size_t)n;
        if (out->n > INPUT_MAX)
            return error_set(e, ERROR_USAGE, "%s: %s is larger than %d MiB", option, name, INPUT_MAX / 1024 / 1024);
    }
}

int input_read(struct buf *out, const char *option, const char *name, struct error *e) {
    if (strcmp(name, "-") == 0) return read_all(out, STDIN_FILENO, option, "stdin", e);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        error_set_errno(e, errno, "%s: cannot open \"%s\"", option, name);
        e->code = ERROR_USAGE;
        return -ERROR_USAGE;
    }
    int status = read_all(out, fd, option, name, e);
    close(fd);
    return status;
}
