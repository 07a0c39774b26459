#include "gateway/command/build/project.h"
#include "gateway/base/file.h"
#include "gateway/base/memory.h"
#include "gateway/command/build/templates.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- folders --- */

/* Every folder on the way to the last slash. */
static int folders_make(const char *path, struct error *e) {
    char *copy = xstrdup(path);
    int failed = 0;
    for (char *slash = strchr(copy + 1, '/'); slash && !failed; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST) failed = errno;
        *slash = '/';
    }
    free(copy);
    return failed ? error_set_errno(e, failed, "the folders of %s cannot be made", path) : 0;
}

static bool folder_is_empty(DIR *folder) {
    for (const struct dirent *entry; (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) return false;
    return true;
}

/* Not there, or an empty folder. */
static int check_place(const char *directory, struct error *e) {
    DIR *folder = opendir(directory);
    if (!folder && errno == ENOENT) return 0;
    if (!folder) return error_set_errno(e, errno, "%s cannot be used", directory);
    bool empty = folder_is_empty(folder);
    closedir(folder);
    if (empty) return 0;
    return error_set(e, ERROR_STATE,
                     "%s is not empty, and nothing is overwritten; choose another place with --directory", directory);
}

/* --- files --- */

struct placeholder {
    struct slice name;
    const char *value;
};

/* The first '@' that begins a placeholder; NULL = none. */
static const struct placeholder *placeholder_at(struct slice text, const struct placeholder *all, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (slice_starts_with(text, all[i].name)) return &all[i];
    return NULL;
}

static void fill_in(const struct project *p, struct slice text, struct buf *out) {
    const struct placeholder all[] = {{SLICE("@NAME@"), p->name},
                                      {SLICE("@EXECGATE@"), p->execgate},
                                      {SLICE("@LANGUAGE@"), p->language->title},
                                      {SLICE("@SOURCE@"), p->language->source},
                                      {SLICE("@NOTE@"), p->language->note}};
    while (text.n) {
        const struct placeholder *found = *text.p == '@' ? placeholder_at(text, all, ARRAY_LEN(all)) : NULL;
        size_t taken = found ? found->name.n : 1;
        if (found)
            buf_append_text(out, found->value);
        else
            buf_append_char(out, *text.p);
        text = slice_make(text.p + taken, text.n - taken);
    }
}

/* A script may be run. */
static int file_write(const char *path, struct slice text, struct error *e) {
    mode_t mode = slice_starts_with(text, SLICE("#!")) ? 0777 : 0666;
    int status = folders_make(path, e);
    if (status < 0) return status;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) return error_set_errno(e, errno, "%s cannot be made", path);
    int failed = file_write_all(fd, text) < 0 ? errno : 0;
    if (close(fd) < 0 && !failed) failed = errno;
    return failed ? error_set_errno(e, failed, "%s cannot be written", path) : 0;
}

/* `name` is below the directory. */
static int project_add(struct project *p, const struct template *t, char *take_name, struct error *e) {
    struct slice text = slice_make(t->begin, (size_t)(t->end - t->begin));
    char *path = xasprintf("%s/%s", p->directory, take_name);
    struct buf filled = {0};
    if (strncmp(t->path, "sdk-examples/templates/", 23) == 0) {
        fill_in(p, text, &filled);
        text = buf_slice(&filled);
    }
    int status = file_write(path, text, e);
    buf_free(&filled);
    free(path);
    p->files = xrealloc(p->files, (p->file_count + 1) * sizeof *p->files);
    p->files[p->file_count++] = take_name;
    return status;
}

/* Where the template goes, malloc'd: below the mount, or the mount's one file. NULL when it is none of the mount's. */
static char *name_below(const struct language_mount *m, const char *path) {
    size_t n = strlen(m->from);
    if (!m->from[0] || strncmp(path, m->from, n) != 0) return NULL;
    if (m->from[n - 1] == '/') return xasprintf("%s%s", m->to, path + n);
    if (path[n]) return NULL;
    const char *slash = strrchr(path, '/');
    return xasprintf("%s%s", m->to, slash ? slash + 1 : path);
}

static int mount_write(struct project *p, const struct language_mount *m, struct error *e) {
    int status = 0;
    for (size_t i = 0; i < template_count && status == 0; i++) {
        char *name = name_below(m, template_table[i].path);
        if (name) status = project_add(p, &template_table[i], name, e);
    }
    return status;
}

int project_write(struct project *p, struct error *e) {
    int status = check_place(p->directory, e);
    for (size_t i = 0; i < LANGUAGE_MOUNTS && p->language->mounts[i].from && status == 0; i++)
        status = mount_write(p, &p->language->mounts[i], e);
    return status;
}

void project_free(struct project *p) {
    for (size_t i = 0; i < p->file_count; i++) free(p->files[i]);
    free(p->files);
    p->files = NULL;
    p->file_count = 0;
}
