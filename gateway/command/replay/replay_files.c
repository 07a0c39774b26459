#include "gateway/command/replay/replay_files.h"
#include "gateway/base/file.h"
#include "gateway/base/memory.h"
#include "gateway/command/invoke/input.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".ndjson"

struct replay_files {
    char **names;
    size_t count, capacity;
    size_t at; /* the file that is being read */
    bool open;
    struct buf bytes;
    struct slice rest; /* of the bytes; absent = all were read */
    size_t number;
    struct buf anew;      /* the file as it will be */
    struct slice pending; /* the line just read, not yet in `anew` */
    bool changed;
};

/* --- which --- */

static void add_name(struct replay_files *f, char *take_name) {
    if (f->count == f->capacity) {
        f->capacity = f->capacity ? 2 * f->capacity : 16;
        f->names = xrealloc(f->names, f->capacity * sizeof *f->names);
    }
    f->names[f->count++] = take_name;
}

static int is_record_name(const struct dirent *entry) {
    size_t n = strlen(entry->d_name), suffix = sizeof SUFFIX - 1;
    return entry->d_name[0] != '.' && n > suffix && strcmp(entry->d_name + n - suffix, SUFFIX) == 0;
}

static int add_folder(struct replay_files *f, const char *folder, struct error *e) {
    struct dirent **entries;
    int count = scandir(folder, &entries, is_record_name, alphasort);
    if (count < 0) return error_set_errno(e, errno, "cannot list \"%s\"", folder);
    for (int i = 0; i < count; i++) {
        add_name(f, xasprintf("%s/%s", folder, entries[i]->d_name));
        free(entries[i]);
    }
    free(entries);
    return count ? 0 : error_set(e, ERROR_USAGE, "\"%s\" has no records: no file *" SUFFIX, folder);
}

static int add_word(struct replay_files *f, const char *word, struct error *e) {
    struct stat s;
    if (stat(word, &s) != 0) return error_set_errno(e, errno, "cannot open \"%s\"", word);
    if (S_ISDIR(s.st_mode)) return add_folder(f, word, e);
    if (!S_ISREG(s.st_mode)) return error_set(e, ERROR_USAGE, "\"%s\" is neither a file nor a folder", word);
    add_name(f, xstrdup(word));
    return 0;
}

struct replay_files *replay_files_open(const char *const *names, size_t count, struct error *e) {
    struct replay_files *f = xcalloc(1, sizeof *f);
    int status = 0;
    for (size_t i = 0; i < count && status == 0; i++) status = add_word(f, names[i], e);
    if (status == 0) return f;
    replay_files_free(f);
    return NULL;
}

/* --- reading --- */

static int file_begin(struct replay_files *f, struct error *e) {
    f->bytes.n = f->anew.n = 0;
    f->number = 0;
    f->changed = false;
    int status = input_read(&f->bytes, "replay", f->names[f->at], e);
    if (status < 0) return status;
    f->rest = f->bytes.n ? buf_slice(&f->bytes) : SLICE_NONE;
    f->open = true;
    return 0;
}

static int write_anew(const struct replay_files *f, struct error *e) {
    const char *name = f->names[f->at];
    char *beside = xasprintf("%s.XXXXXX", name); /* mkostemp: 0600 */
    int fd = mkostemp(beside, O_CLOEXEC);
    int status = fd < 0 || file_write_all(fd, buf_slice(&f->anew)) < 0 ? -1 : fsync(fd);
    if (status == 0) status = rename(beside, name);
    int why = errno;
    if (fd >= 0) close(fd);
    if (status != 0 && fd >= 0) unlink(beside);
    free(beside);
    return status == 0 ? 0 : error_set_errno(e, why, "--update: cannot write \"%s\"", name);
}

static int file_end(struct replay_files *f, struct error *e) {
    int status = f->changed ? write_anew(f, e) : 0;
    f->open = false;
    f->at++;
    return status;
}

static void keep_pending(struct replay_files *f) {
    buf_append_slice(&f->anew, f->pending);
    f->pending = SLICE_NONE;
}

/* The line with its end, so that what is kept is kept byte by byte. */
static struct slice cut_line(struct slice *rest) {
    ptrdiff_t end = slice_find(*rest, '\n');
    size_t n = end < 0 ? rest->n : (size_t)end + 1;
    struct slice line = slice_make(rest->p, n);
    *rest = n < rest->n ? slice_make(rest->p + n, rest->n - n) : SLICE_NONE;
    return line;
}

static struct slice without_end(struct slice line) {
    while (line.n && memchr("\r\n\t ", line.p[line.n - 1], 4)) line.n--;
    return line;
}

int replay_files_next(struct replay_files *f, struct replay_line *line, struct error *e) {
    for (;;) {
        if (f->open) keep_pending(f);
        if (f->open && slice_is_none(f->rest)) {
            int status = file_end(f, e);
            if (status < 0) return status;
        }
        if (!f->open && f->at == f->count) return 0;
        if (!f->open) {
            int status = file_begin(f, e);
            if (status < 0) return status;
            continue;
        }
        f->pending = cut_line(&f->rest);
        f->number++;
        *line = (struct replay_line){f->names[f->at], f->number, without_end(f->pending)};
        if (line->text.n) return 1;
    }
}

void replay_files_replace(struct replay_files *f, struct slice line) {
    buf_append_slice(&f->anew, line);
    f->pending = SLICE_NONE;
    f->changed = true;
}

void replay_files_free(struct replay_files *f) {
    if (!f) return;
    for (size_t i = 0; i < f->count; i++) free(f->names[i]);
    free(f->names);
    buf_free(&f->bytes);
    buf_free(&f->anew);
    free(f);
}
