#include "gateway/observe/record_files.h"
#include "gateway/base/file.h"
#include "gateway/base/memory.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEGMENTS 8 /* about so many: what is dropped at a time is an eighth of the limit */
#define SEGMENT_MOST ((uint64_t)16 * 1024 * 1024)
#define NAME_SIZE 64
#define PREFIX "records-"
#define SUFFIX ".ndjson"

struct segment {
    char name[NAME_SIZE];
    uint64_t size;
};
struct record_files {
    char *path;
    int folder;
    int fd; /* of the last segment; -1 = none is open */
    struct clock *clock;
    uint64_t limit, total, dropped;
    unsigned sequence;
    struct segment *segments; /* oldest first */
    size_t count, capacity;
};

/* --- the folder --- */

static void segment_add(struct record_files *f, const char *name, uint64_t size) {
    if (f->count == f->capacity) {
        f->capacity = f->capacity ? 2 * f->capacity : 16;
        f->segments = xrealloc(f->segments, f->capacity * sizeof *f->segments);
    }
    struct segment *s = &f->segments[f->count++];
    snprintf(s->name, sizeof s->name, "%s", name);
    s->size = size;
    f->total += size;
}

static bool is_segment_name(const char *name) {
    struct slice s = slice_of(name);
    size_t suffix = sizeof SUFFIX - 1;
    return s.n < NAME_SIZE && s.n > suffix && slice_starts_with(s, SLICE(PREFIX)) &&
           strcmp(name + s.n - suffix, SUFFIX) == 0;
}

static int segment_order(const void *left, const void *right) {
    const struct segment *a = left, *b = right;
    return strcmp(a->name, b->name);
}

static int scan(struct record_files *f, struct error *e) {
    int fd = openat(f->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int why = errno;
        if (fd >= 0) close(fd);
        return error_set_errno(e, why, "--record: cannot list \"%s\"", f->path);
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct stat s;
        bool ours = is_segment_name(entry->d_name) && fstatat(f->folder, entry->d_name, &s, AT_SYMLINK_NOFOLLOW) == 0 &&
                    S_ISREG(s.st_mode);
        if (ours) segment_add(f, entry->d_name, (uint64_t)s.st_size);
    }
    closedir(dir);
    if (f->count) qsort(f->segments, f->count, sizeof *f->segments, segment_order);
    return 0;
}

static int open_folder(struct record_files *f, struct error *e) {
    struct stat s;
    if (mkdir(f->path, 0700) != 0 && errno != EEXIST)
        return error_set_errno(e, errno, "--record: cannot make the folder \"%s\"", f->path);
    f->folder = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->folder < 0 || fstat(f->folder, &s) != 0)
        return error_set_errno(e, errno, "--record: cannot open the folder \"%s\"", f->path);
    if (s.st_uid != geteuid())
        return error_set(e, ERROR_SYSTEM, "--record: \"%s\" belongs to somebody else; name a folder of your own",
                         f->path);
    if (s.st_mode & 077)
        return error_set(
            e, ERROR_SYSTEM,
            "--record: \"%s\" is open to others, and records tell what clients sent: chmod 700 it, or name "
            "another folder",
            f->path);
    if (flock(f->folder, LOCK_EX | LOCK_NB) != 0)
        return error_set(e, ERROR_SYSTEM, "--record: another execgate records into \"%s\"; name another folder",
                         f->path);
    return 0;
}

struct record_files *record_files_open(const char *path, uint64_t limit, struct clock *clock, struct error *e) {
    struct record_files *f = xcalloc(1, sizeof *f);
    *f = (struct record_files){.path = xstrdup(path), .folder = -1, .fd = -1, .clock = clock, .limit = limit};
    if (open_folder(f, e) == 0 && scan(f, e) == 0) return f;
    record_files_close(f);
    return NULL;
}

/* --- segments --- */

static void segment_end(struct record_files *f) {
    if (f->fd >= 0) close(f->fd);
    f->fd = -1;
}

/* Digits alone, so that the names sort by time. */
static void segment_name(const struct record_files *f, char name[NAME_SIZE]) {
    char iso[25], digits[25];
    size_t n = 0;
    clock_iso_time(clock_wall_ms(f->clock), iso);
    for (const char *p = iso; *p; p++)
        if (*p >= '0' && *p <= '9') digits[n++] = *p;
    digits[n] = '\0';
    snprintf(name, NAME_SIZE, PREFIX "%s-%06u" SUFFIX, digits, f->sequence);
}

static int segment_begin(struct record_files *f, struct error *e) {
    char name[NAME_SIZE];
    do {
        f->sequence++;
        segment_name(f, name);
        f->fd = openat(f->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    } while (f->fd < 0 && errno == EEXIST);
    if (f->fd < 0) return error_set_errno(e, errno, "cannot make %s/%s", f->path, name);
    segment_add(f, name, 0);
    return 0;
}

static int drop_oldest(struct record_files *f, struct error *e) {
    const struct segment *oldest = &f->segments[0];
    if (f->count == 1) segment_end(f);
    if (unlinkat(f->folder, oldest->name, 0) != 0 && errno != ENOENT)
        return error_set_errno(e, errno, "cannot remove %s/%s to keep within the limit", f->path, oldest->name);
    f->total -= oldest->size;
    f->count--;
    f->dropped++;
    memmove(f->segments, f->segments + 1, f->count * sizeof *f->segments);
    return 0;
}

static uint64_t segment_most(const struct record_files *f) {
    uint64_t most = f->limit / SEGMENTS;
    return most < SEGMENT_MOST ? most : SEGMENT_MOST;
}

static int append_line(struct record_files *f, struct slice line, struct error *e) {
    int status = 0;
    if (line.n > f->limit) {
        f->dropped++;
        return 0;
    }
    bool full = f->fd >= 0 && f->segments[f->count - 1].size + line.n > segment_most(f);
    if (full) segment_end(f);
    while (status == 0 && f->total + line.n > f->limit) status = drop_oldest(f, e);
    if (status == 0 && f->fd < 0) status = segment_begin(f, e);
    if (status < 0) return status;
    if (file_write_all(f->fd, line) < 0) return error_set_errno(e, errno, "cannot write to \"%s\"", f->path);
    f->segments[f->count - 1].size += line.n;
    f->total += line.n;
    return 0;
}

int record_files_append(struct record_files *f, struct slice lines, struct error *e) {
    int status = 0;
    while (lines.n && status == 0) {
        size_t n = (size_t)slice_find(lines, '\n') + 1;
        status = append_line(f, slice_make(lines.p, n), e);
        lines = slice_make(lines.p + n, lines.n - n);
    }
    return status;
}

uint64_t record_files_dropped(const struct record_files *f) {
    return f->dropped;
}

void record_files_close(struct record_files *f) {
    if (!f) return;
    segment_end(f);
    if (f->folder >= 0) close(f->folder);
    free(f->segments);
    free(f->path);
    free(f);
}
