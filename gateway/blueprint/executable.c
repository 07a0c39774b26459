#include "gateway/blueprint/executable.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_executable_file(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode) && access(path, X_OK) == 0;
}

const char *executable_find(struct arena *a, struct slice name) {
    const char *path = getenv("PATH");
    struct slice rest = slice_of(path ? path : "/usr/local/bin:/usr/bin:/bin");
    struct slice directory;
    while (slice_next(&rest, ':', &directory)) {
        /* A relative entry would mean another file in each working directory. */
        if (directory.n == 0 || directory.p[0] != '/') continue;
        const char *candidate = arena_printf(a, SLICE_FMT "/" SLICE_FMT, SLICE_ARG(directory), SLICE_ARG(name)).p;
        if (is_executable_file(candidate)) return candidate;
    }
    return NULL;
}

static int stat_path(const char *path, struct stat *s, struct error *e) {
    if (stat(path, s) == 0) return 0;
    if (errno == ENOENT) return error_set(e, ERROR_BLUEPRINT, "%s does not exist", path);
    return error_set(e, ERROR_BLUEPRINT, "%s cannot be used: %s", path, strerror(errno));
}

/* The kernel's limit for the first line of a script. */
#define FIRST_LINE_SIZE 256

static int interpreter_check(const char *path, char *line, struct error *e) {
    char *interpreter = line + 2 + strspn(line + 2, " \t");
    if (strchr(interpreter, '\r')) {
        return error_set(e, ERROR_BLUEPRINT,
                         "the first line of %s ends with a carriage return; save it with Unix line ends", path);
    }
    interpreter[strcspn(interpreter, " \t")] = '\0';
    if (interpreter[0] == '/' && is_executable_file(interpreter)) return 0;
    return error_set(e, ERROR_BLUEPRINT,
                     "%s names the interpreter \"%s\" in its first line, which is no executable file", path,
                     interpreter);
}

/* A text without #! would be refused by the kernel (ENOEXEC). Other formats than ELF may be known to it (binfmt_misc).
 */
static bool looks_like_text(const char *p, size_t n) {
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c < ' ' && c != '\n' && c != '\r' && c != '\t') return false;
    }
    return true;
}

static int content_check(const char *path, struct error *e) {
    char head[FIRST_LINE_SIZE + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return 0; /* executable but not readable is fine */
    ssize_t n = read(fd, head, FIRST_LINE_SIZE);
    close(fd);
    if (n < 0) return 0;
    head[n] = '\0';
    if (n == 0) return error_set(e, ERROR_BLUEPRINT, "%s is empty", path);
    if (n >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0) return 0;
    if (head[0] == '#' && head[1] == '!') {
        head[strcspn(head, "\n")] = '\0';
        return interpreter_check(path, head, e);
    }
    if (!looks_like_text(head, (size_t)n)) return 0;
    return error_set(e, ERROR_BLUEPRINT,
                     "%s is a text without a first line such as #!/bin/sh, so the system cannot start it", path);
}

int executable_check(const char *path, struct error *e) {
    struct stat s;
    int result = stat_path(path, &s, e);
    if (result < 0) return result;
    if (S_ISDIR(s.st_mode))
        return error_set(e, ERROR_BLUEPRINT, "%s is a directory; expected an executable file", path);
    if (!S_ISREG(s.st_mode)) return error_set(e, ERROR_BLUEPRINT, "%s is not a regular file", path);
    if (access(path, X_OK) < 0)
        return error_set(e, ERROR_BLUEPRINT, "%s is not executable; run: chmod +x %s", path, path);
    return content_check(path, e);
}

int directory_check(const char *path, struct error *e) {
    struct stat s;
    int result = stat_path(path, &s, e);
    if (result < 0) return result;
    if (!S_ISDIR(s.st_mode)) return error_set(e, ERROR_BLUEPRINT, "%s is not a directory", path);
    if (access(path, X_OK) < 0)
        return error_set(e, ERROR_BLUEPRINT, "%s may not be entered: %s", path, strerror(errno));
    return 0;
}

int file_check(const char *path, struct error *e) {
    struct stat s;
    int result = stat_path(path, &s, e);
    if (result < 0) return result;
    if (!S_ISREG(s.st_mode)) return error_set(e, ERROR_BLUEPRINT, "%s is not a regular file", path);
    if (access(path, R_OK) < 0) return error_set(e, ERROR_BLUEPRINT, "%s may not be read: %s", path, strerror(errno));
    return 0;
}
