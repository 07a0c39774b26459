/* download.c - streams files from the folder DOWNLOAD_DIR; the route is GET /files/{path+}.
 *
 * The path is opened segment by segment below the folder, never following a symbolic link and never accepting "..", so
 * nothing outside the folder can be reached. Small files are answered whole, larger ones are streamed while they are
 * read.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* O_PATH, O_NOFOLLOW */
#endif
#define EXECGATE_IMPLEMENTATION
#include "../execgate.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *extension, *type;
} content_types[] = {
    {"html", "text/html; charset=utf-8"},
    {"txt", "text/plain; charset=utf-8"},
    {"md", "text/markdown; charset=utf-8"},
    {"c", "text/plain; charset=utf-8"},
    {"cpp", "text/plain; charset=utf-8"},
    {"h", "text/plain; charset=utf-8"},
    {"yaml", "application/yaml"},
    {"json", "application/json"},
    {"css", "text/css"},
    {"js", "text/javascript"},
    {"svg", "image/svg+xml"},
    {"png", "image/png"},
    {"jpg", "image/jpeg"},
    {"pdf", "application/pdf"},
};

static const char *content_type_of(const char *path) {
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof content_types / sizeof *content_types; i++)
        if (strcasecmp(dot + 1, content_types[i].extension) == 0) return content_types[i].type;
    return "application/octet-stream";
}

/* Opens `path` below the folder `root`; -1 when it is not there or not allowed. */
static int open_below(int root, const char *path) {
    int fd = dup(root);
    while (fd >= 0) {
        char name[256];
        size_t size = strcspn(path, "/");
        int last = path[size] == 0, above = size == 0 || strcmp(path, "..") == 0 || strncmp(path, "../", 3) == 0;
        if (above || size >= sizeof name) break;
        memcpy(name, path, size);
        name[size] = 0;
        int next = openat(fd, name, O_CLOEXEC | O_NOFOLLOW | (last ? O_RDONLY | O_NONBLOCK : O_PATH | O_DIRECTORY));
        close(fd);
        if (last) return next;
        fd = next;
        path += size + 1;
    }
    if (fd >= 0) close(fd);
    return -1;
}

#define PART_SIZE 65536

static void send_file(int fd, off_t size, struct execgate_response *response) {
    char part[PART_SIZE];
    ssize_t got;
    if (size > PART_SIZE && execgate_stream_begin(response)) return;
    while ((got = read(fd, part, sizeof part)) > 0) {
        int failed = size > PART_SIZE ? execgate_stream_write(response, part, (size_t)got)
                                      : execgate_write(response, part, (size_t)got);
        if (failed) return; /* the client has gone */
    }
    if (got < 0) execgate_fail(response, "ReadError", "the file cannot be read to its end");
}

static void download(const struct execgate_request *request, struct execgate_response *response, void *user) {
    const char *path = execgate_parameter(request, "path");
    struct stat status;
    int fd = path ? open_below(*(int *)user, path) : -1;
    if (fd < 0 || fstat(fd, &status) || !S_ISREG(status.st_mode)) {
        execgate_reply(response, 404, "text/plain", "no such file\n");
    } else {
        execgate_add_header(response, "Content-Type", content_type_of(path));
        execgate_add_header(response, "X-Content-Type-Options", "nosniff");
        send_file(fd, status.st_size, response);
    }
    if (fd >= 0) close(fd);
}

int main(void) {
    const char *directory = getenv("DOWNLOAD_DIR");
    int root = open(directory ? directory : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        fprintf(stderr, "download: cannot open the folder DOWNLOAD_DIR=%s\n", directory ? directory : ".");
        return 1;
    }
    return execgate_run(download, &root) == 0 ? 0 : 1;
}
