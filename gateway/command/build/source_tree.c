#include "gateway/command/build/source_tree.h"
#include "gateway/base/buf.h"
#include "gateway/base/file.h"
#include "gateway/base/map.h"
#include "gateway/base/memory.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <unistd.h>

#define FILES_MOST 20000
#define FOLDERS_MOST 4000
#define DEPTH_MOST 32
#define HASHED_MOST (4 << 20) /* larger files count by their size and times */

static const char *const source_suffixes[] = {
    "c",    "h",   "cc",    "cpp",   "cxx",   "hh",   "hpp", "hxx",    "inl",   "s",  "S",    "m",   "mm",  "go",
    "mod",  "sum", "rs",    "toml",  "py",    "pyx",  "js",  "mjs",    "cjs",   "ts", "mts",  "jsx", "tsx", "java",
    "kt",   "kts", "scala", "swift", "zig",   "nim",  "d",   "rb",     "php",   "pl", "pm",   "lua", "sh",  "bash",
    "ex",   "exs", "erl",   "hs",    "ml",    "mli",  "cs",  "fs",     "r",     "jl", "dart", "cr",  "v",   "sql",
    "html", "css", "tmpl",  "tpl",   "proto", "json", "xml", "gradle", "cmake", "mk",
};
static const char *const source_names[] = {"Makefile",       "makefile", "GNUmakefile",
                                           "CMakeLists.txt", "BUILD",    "Justfile"};
static const char *const left_out[] = {"node_modules", "target", "build",  "dist",       "out",
                                       "obj",          "venv",   "vendor", "__pycache__"};

struct source_file {
    struct file_stamp stamp;
    uint64_t hash; /* of what is in it */
};

struct source_tree {
    const struct handler_config *handler;
    struct map *files; /* struct source_file by path */
    char **folders;
    size_t folder_count;
    uint64_t sum; /* of the paths and hashes */
    bool cut;
};

/* One look, and one walk in it. */
struct walk {
    struct source_tree *before;
    struct source_tree *now;
    const char *pattern; /* NULL = by `sources_only` */
    bool sources_only;
};

static bool has_word(const char *const *words, size_t count, const char *word) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(words[i], word) == 0) return true;
    return false;
}

static bool looks_like_source(const char *name) {
    const char *dot = strrchr(name, '.');
    if (dot && has_word(source_suffixes, ARRAY_LEN(source_suffixes), dot + 1)) return true;
    return has_word(source_names, ARRAY_LEN(source_names), name);
}

/* FNV-1a: not against malice, only to see a difference. */
static uint64_t hash_more(uint64_t hash, const char *p, size_t n) {
    for (size_t i = 0; i < n; i++) hash = (hash ^ (unsigned char)p[i]) * 0x100000001b3;
    return hash;
}

static uint64_t hash_of(const char *p, size_t n) {
    return hash_more(0xcbf29ce484222325, p, n);
}

/* A link may lead to a device that never ends, and a file may grow while it is read. */
static uint64_t hash_content(const char *path, const struct file_stamp *stamp) {
    char block[16384];
    uint64_t hash = hash_of("", 0);
    bool readable = S_ISREG(stamp->mode) && stamp->size <= HASHED_MOST;
    int fd = readable ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (fd < 0) return hash_of((const char *)stamp, sizeof *stamp);
    for (off_t left = HASHED_MOST; left > 0;) {
        ssize_t n = read(fd, block, sizeof block);
        if (n == 0 || (n < 0 && errno != EINTR)) break;
        if (n > 0) hash = hash_more(hash, block, (size_t)n);
        left -= n > 0 ? n : 0;
    }
    close(fd);
    return hash;
}

static void tree_init(struct source_tree *t, const struct handler_config *h) {
    *t = (struct source_tree){.handler = h, .files = map_new()};
}

static void tree_clear(struct source_tree *t) {
    struct slice path;
    void *file;
    for (size_t cursor = 0; map_next(t->files, &cursor, &path, &file);) free(file);
    map_free(t->files);
    for (size_t i = 0; i < t->folder_count; i++) free(t->folders[i]);
    free(t->folders);
}

static void tree_add_folder(struct source_tree *t, const char *path) {
    if (has_word((const char *const *)t->folders, t->folder_count, path)) return;
    if (t->folder_count == FOLDERS_MOST) {
        t->cut = true;
        return;
    }
    t->folders = xrealloc(t->folders, (t->folder_count + 1) * sizeof *t->folders);
    t->folders[t->folder_count++] = xstrdup(path);
}

/* What is not there counts, too: as being absent. */
static void walk_file(struct walk *w, const char *path) {
    struct slice key = slice_of(path);
    if (map_get(w->now->files, key)) return;
    if (map_count(w->now->files) >= FILES_MOST) {
        w->now->cut = true;
        return;
    }
    struct source_file *file = xcalloc(1, sizeof *file);
    const struct source_file *before = map_get(w->before->files, key);
    file->stamp = file_stamp_of(path);
    bool same = before && file_stamp_equal(&before->stamp, &file->stamp);
    file->hash = same ? before->hash : hash_content(path, &file->stamp);
    map_put(w->now->files, key, file);
    w->now->sum += hash_more(hash_of(key.p, key.n), (const char *)&file->hash, sizeof file->hash);
}

static bool is_own_executable(const struct walk *w, const char *path) {
    const struct handler_config *h = w->now->handler;
    return h->build && h->command[0] && strcmp(h->command[0], path) == 0;
}

/* "**" and a slash may stand for nothing. */
static bool pattern_matches(const char *pattern, const char *path) {
    char shorter[4096];
    const char *stars = strstr(pattern, "**/");
    if (fnmatch(pattern, path, 0) == 0) return true;
    if (!stars || strlen(pattern) >= sizeof shorter) return false;
    size_t before = (size_t)(stars - pattern);
    memcpy(shorter, pattern, before);
    strcpy(shorter + before, stars + 3);
    return fnmatch(shorter, path, 0) == 0;
}

/* Editors keep what a file was before. */
static bool is_leftover(const char *name) {
    size_t n = strlen(name);
    return n > 0 && name[n - 1] == '~';
}

static bool walk_wants(const struct walk *w, const char *path, const char *name) {
    if (is_leftover(name)) return false;
    if (is_own_executable(w, path)) return false;
    if (w->pattern) return pattern_matches(w->pattern, path);
    return !w->sources_only || looks_like_source(name);
}

static void walk_folder(struct walk *w, const char *folder, int depth);

static void walk_entry(struct walk *w, const char *folder, const char *name, int depth) {
    struct stat s;
    char *path = xasprintf("%s/%s", folder, name);
    if (lstat(path, &s) == 0 && S_ISDIR(s.st_mode)) {
        if (!has_word(left_out, ARRAY_LEN(left_out), name)) walk_folder(w, path, depth + 1);
    } else if (walk_wants(w, path, name)) {
        walk_file(w, path);
    }
    free(path);
}

/* The first folder of a walk may come, or come back, later; others are found again in those above them. */
static void walk_folder(struct walk *w, const char *folder, int depth) {
    DIR *d = depth <= DEPTH_MOST ? opendir(folder) : NULL;
    if (d || depth == 0) tree_add_folder(w->now, folder);
    if (!d) return;
    for (struct dirent *entry; !w->now->cut && (entry = readdir(d));)
        if (entry->d_name[0] != '.') walk_entry(w, folder, entry->d_name, depth);
    closedir(d);
}

/* --- where walks begin --- */

static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) return xstrdup("/");
    char *folder = xstrdup(path);
    folder[slash - path] = '\0';
    return folder;
}

/* A file, and the folder in which it may come and go. */
static void walk_one(struct walk *w, const char *path) {
    char *folder = folder_of(path);
    tree_add_folder(w->now, folder);
    walk_file(w, path);
    free(folder);
}

static void walk_pattern(struct walk *w, const char *pattern) {
    char *fixed = xstrdup(pattern);
    fixed[strcspn(fixed, "*?[")] = '\0';
    char *folder = folder_of(fixed);
    w->pattern = pattern;
    walk_folder(w, folder, 0);
    w->pattern = NULL;
    free(folder);
    free(fixed);
}

static void walk_source(struct walk *w, const char *source) {
    struct stat s;
    if (stat(source, &s) == 0 && S_ISDIR(s.st_mode))
        walk_folder(w, source, 0);
    else if (strpbrk(source, "*?["))
        walk_pattern(w, source);
    else
        walk_one(w, source);
}

/* The executable, and arguments that are files in the working directory or anywhere. */
static void walk_command(struct walk *w) {
    const struct handler_config *h = w->now->handler;
    if (!h->command[0]) return;
    walk_one(w, h->command[0]);
    for (size_t i = 1; h->command[i]; i++) {
        struct stat s;
        char *path = h->command[i][0] == '/' ? xstrdup(h->command[i])
                                             : xasprintf("%s/%s", h->working_directory, h->command[i]);
        if (stat(path, &s) == 0 && S_ISREG(s.st_mode)) walk_one(w, path);
        free(path);
    }
}

static void walk_all(struct walk *w) {
    const struct handler_config *h = w->now->handler;
    for (size_t i = 0; i < h->source_count; i++) walk_source(w, h->sources[i]);
    w->sources_only = true;
    if (h->build && h->source_count == 0) walk_folder(w, h->working_directory, 0);
    if (!h->build) walk_command(w);
}

/* --- a tree --- */

struct source_tree *source_tree_new(const struct handler_config *h) {
    struct source_tree *t = xcalloc(1, sizeof *t);
    tree_init(t, h);
    source_tree_look(t);
    return t;
}

void source_tree_follow(struct source_tree *t, const struct handler_config *same) {
    t->handler = same;
}

bool source_tree_look(struct source_tree *t) {
    struct source_tree now;
    tree_init(&now, t->handler);
    struct walk w = {.before = t, .now = &now};
    walk_all(&w);
    bool changed = now.sum != t->sum;
    tree_clear(t);
    *t = now;
    return changed;
}

size_t source_tree_folder_count(const struct source_tree *t) {
    return t->folder_count;
}

const char *source_tree_folder(const struct source_tree *t, size_t index) {
    return t->folders[index];
}

bool source_tree_is_cut(const struct source_tree *t) {
    return t->cut;
}

void source_tree_free(struct source_tree *t) {
    if (!t) return;
    tree_clear(t);
    free(t);
}
