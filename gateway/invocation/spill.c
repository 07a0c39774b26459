#include "gateway/invocation/spill.h"
#include "gateway/base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *spill_directory(void) {
    const char *directory = getenv("TMPDIR");
    return directory && *directory ? directory : "/tmp";
}

/* For file systems without O_TMPFILE. */
static int spill_open_named(const char *directory) {
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/execgate-XXXXXX", directory);
    if (n < 0 || (size_t)n >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0) unlink(path);
    return fd;
}

int spill_open(struct error *e) {
    const char *directory = spill_directory();
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) fd = spill_open_named(directory);
    return fd < 0 ? error_set_errno(e, errno, "cannot make a temporary file in %s for a large body", directory) : fd;
}

int spill_write(int fd, const struct chunk *first, struct error *e) {
    for (const struct chunk *c = first; c; c = c->next) {
        if (file_write_all(fd, c->bytes) == 0) continue;
        return error_set_errno(e, errno, "cannot write a large body to %s", spill_directory());
    }
    return 0;
}

struct chunk *spill_map(int fd, size_t n, struct error *e) {
    void *memory = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (memory != MAP_FAILED) return chunk_take_mapping(memory, n);
    error_set_errno(e, errno, "cannot map a large body of %zu bytes", n);
    return NULL;
}
