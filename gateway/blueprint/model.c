#include "gateway/blueprint/model.h"
#include "gateway/base/buf.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/build.h"
#include "gateway/blueprint/check.h"
#include "gateway/blueprint/variables.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOWHERE ((struct position){0, 0})

static const struct blueprint_options plain_reading = {.check = BLUEPRINT_CHECK_TEXT};

/* One run of the loader. */
struct load {
    struct blueprint *blueprint;
    struct substitution substitution;
    struct binder binder;
    const struct blueprint_options *options;
};

static const char *directory_of(struct arena *a, const char *file) {
    const char *slash = strrchr(file, '/');
    char resolved[PATH_MAX];
    size_t length = slash && slash > file ? (size_t)(slash - file) : 1;
    const char *name = slash ? arena_text(a, slice_make(file, length)) : ".";
    if (realpath(name, resolved)) return arena_text(a, slice_of(resolved));
    if (name[0] == '/' || !getcwd(resolved, sizeof resolved)) return name;
    return arena_printf(a, "%s/%s", resolved, name).p;
}

static struct blueprint *blueprint_new(const char *file) {
    struct blueprint *b = xcalloc(1, sizeof *b);
    b->references = 1;
    arena_init(&b->arena, 16384);
    b->file = arena_text(&b->arena, slice_of(file));
    b->directory = directory_of(&b->arena, file);
    return b;
}

/* In another version other keys are valid, so complaints about them would mislead. */
static bool version_is_known(struct load *l, const struct node *root) {
    const struct node *version = node_get(root, "blueprint");
    if (!version || version->kind != NODE_SCALAR || !version->plain) return true;
    uint64_t number = BLUEPRINT_VERSION;
    if (!slice_to_u64(version->text, &number) || number == BLUEPRINT_VERSION) return true;
    problems_add(l->binder.problems, version->at,
                 "blueprint: version %s of the format is unknown; this execgate reads version %d", version->text.p,
                 BLUEPRINT_VERSION);
    return false;
}

static void load_tree(struct load *l, struct node *root) {
    struct arena *arena = &l->blueprint->arena;
    struct composition composed;
    if (!version_is_known(l, root)) return;
    composition_init(&composed, l->options, arena);
    struct blueprint_document *document = arena_zalloc(arena, composed.blueprint.size);
    schema_clear(&composed.blueprint, document);
    variables_load(&l->binder, root, l->options->overrides, l->options->override_count);
    schema_bind(&l->binder, &composed.blueprint, root, document);
    document_complete(&composed, arena, document);
    blueprint_build(&composed, &l->binder, document, l->blueprint);
    check_consistency(l->binder.problems, document, l->blueprint);
    if (l->options->check == BLUEPRINT_CHECK_FILES) {
        check_files(l->binder.problems, document, l->blueprint);
        check_listener_tls(l->binder.problems, document, l->blueprint, l->options->check_tls);
    }
    composition_check(&composed, &l->binder, document, l->blueprint);
}

/* Without a tree nobody knows which lines define secrets, so none is quoted when one may. */
static void hide_possible_secrets(struct problems *p, struct slice text) {
    if (text.n && memmem(text.p, text.n, "secret", 6)) problems_hide_lines(p, 0, INT_MAX);
}

static struct blueprint *load_text(struct load *l, struct slice text, const char *file, struct problems *problems) {
    l->blueprint = blueprint_new(file);
    struct arena *arena = &l->blueprint->arena;
    l->substitution = (struct substitution){.arena = arena, .problems = problems, .directory = l->blueprint->directory};
    l->binder = (struct binder){.arena = arena, .problems = problems, .substitution = &l->substitution};
    problems_begin(problems, file, text);
    struct node *root = tree_parse(text, arena, problems);
    if (root)
        load_tree(l, root);
    else
        hide_possible_secrets(problems, text);
    problems_finish(problems);
    if (problems->count == 0) return l->blueprint;
    blueprint_release(l->blueprint);
    return NULL;
}

struct blueprint *blueprint_parse(struct slice text, const char *file, const struct blueprint_options *options,
                                  struct problems *problems) {
    struct load l = {.options = options ? options : &plain_reading};
    return load_text(&l, text, file, problems);
}

/* A descriptor or -errno. O_NONBLOCK, because opening a named pipe would wait for its writer. */
static int open_blueprint(const char *file, enum blueprint_origin origin) {
    struct stat s;
    int fd = open(file, O_RDONLY | O_CLOEXEC | (origin == BLUEPRINT_FROM_FILE ? O_NONBLOCK : 0));
    if (fd < 0) return -errno;
    if (origin == BLUEPRINT_FROM_WHATEVER || fstat(fd, &s) != 0 || S_ISREG(s.st_mode)) return fd;
    close(fd);
    return S_ISDIR(s.st_mode) ? -EISDIR : -ESPIPE;
}

/* Reads one byte more than a blueprint may have, so that the tree can refuse it. 0 or -errno. */
static int read_blueprint(const char *file, enum blueprint_origin origin, struct buf *out) {
    int fd = open_blueprint(file, origin);
    int result = fd < 0 ? fd : 0;
    while (result == 0 && out->n <= TREE_MAX_SIZE) {
        size_t room = TREE_MAX_SIZE + 1 - out->n;
        ssize_t got = read(fd, buf_reserve(out, room), room);
        if (got == 0) break;
        if (got > 0)
            out->n += (size_t)got;
        else if (errno != EINTR)
            result = -errno;
    }
    if (fd >= 0) close(fd);
    return result;
}

struct blueprint *blueprint_load(const char *file, const struct blueprint_options *options, struct problems *problems) {
    struct load l = {.options = options ? options : &plain_reading};
    struct buf text = {0};
    struct blueprint *b = NULL;
    int result = read_blueprint(file, l.options->origin, &text);
    if (result == 0) {
        b = load_text(&l, buf_slice(&text), file, problems);
    } else {
        problems_begin(problems, file, SLICE(""));
        problems_add(problems, NOWHERE, "cannot read the blueprint: %s%s",
                     result == -ESPIPE ? "it is no regular file any more" : strerror(-result),
                     result == -EISDIR ? "; name the file in it" : "");
    }
    buf_free(&text);
    return b;
}

const struct queue_config *blueprint_queue(const struct blueprint *b, struct slice name) {
    for (size_t i = 0; i < b->queue_count; i++)
        if (slice_equal(slice_of(b->queues[i].name), name)) return &b->queues[i];
    return NULL;
}

const struct websocket_config *blueprint_websocket(const struct blueprint *b, struct slice path) {
    for (size_t i = 0; i < b->websocket_count; i++)
        if (slice_equal(slice_of(b->websockets[i].path), path)) return &b->websockets[i];
    return NULL;
}

struct blueprint *blueprint_hold(struct blueprint *b) {
    b->references++;
    return b;
}

void blueprint_release(struct blueprint *b) {
    if (!b) return;
    assert(b->references > 0);
    if (--b->references > 0) return;
    arena_free(&b->arena);
    free(b);
}
