#include "gateway/blueprint/substitute.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct reference_kind {
    struct slice prefix;
    int (*resolve)(struct substitution *s, struct node *n, struct slice rest, struct buf *out);
};

const char *path_resolve(struct arena *a, const char *directory, struct slice path) {
    if (path.n > 0 && path.p[0] == '/') return arena_text(a, path);
    while (slice_starts_with(path, SLICE("./"))) path = slice_make(path.p + 2, path.n - 2);
    if (path.n == 0 || slice_equal(path, SLICE("."))) return directory;
    bool is_root = strcmp(directory, "/") == 0;
    return arena_printf(a, "%s/" SLICE_FMT, is_root ? "" : directory, SLICE_ARG(path)).p;
}

static bool is_environment_name(struct slice name) {
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        if (!is_letter && !(i > 0 && c >= '0' && c <= '9')) return false;
    }
    return name.n > 0;
}

/* What stands between the braces, for messages; a secret may hold anything there. */
static struct slice shown_reference(const struct node *n, struct slice text) {
    return n->secret ? SLICE("(secret)") : text;
}

static int resolve_environment(struct substitution *s, struct node *n, struct slice rest, struct buf *out) {
    const char *mark = rest.n ? memmem(rest.p, rest.n, ":-", 2) : NULL;
    struct slice name = mark ? slice_make(rest.p, (size_t)(mark - rest.p)) : rest;
    if (!is_environment_name(name)) {
        problems_add(s->problems, n->at, "\"" SLICE_FMT "\" is no name of an environment variable (letters, digits, _)",
                     SLICE_ARG(shown_reference(n, name)));
        return -ERROR_BLUEPRINT;
    }
    const char *value = getenv(arena_text(s->arena, name));
    if (mark && (!value || !*value)) {
        buf_append(out, mark + 2, rest.n - name.n - 2);
        return 0;
    }
    if (value) {
        buf_append_text(out, value);
        return 0;
    }
    problems_add(s->problems, n->at,
                 "the environment variable " SLICE_FMT " is not set; set it, or give a default: ${env." SLICE_FMT
                 ":-value}",
                 SLICE_ARG(name), SLICE_ARG(name));
    return -ERROR_BLUEPRINT;
}

/* Appends at most SUBSTITUTE_MAX_FILE + 1 bytes; 0 or -errno. */
static int read_descriptor(int fd, struct buf *out) {
    size_t start = out->n;
    while (out->n - start <= SUBSTITUTE_MAX_FILE) {
        size_t room = SUBSTITUTE_MAX_FILE + 1 - (out->n - start);
        ssize_t got = read(fd, buf_reserve(out, room), room);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -errno;
        if (got == 0) break;
        out->n += (size_t)got;
    }
    return 0;
}

static int read_file(const char *path, struct buf *out) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return -errno;
    int result = read_descriptor(fd, out);
    close(fd);
    return result;
}

static int resolve_file(struct substitution *s, struct node *n, struct slice rest, struct buf *out) {
    const char *path = path_resolve(s->arena, s->directory, rest);
    size_t start = out->n;
    n->secret = true;
    int result = rest.n ? read_file(path, out) : -ENOENT;
    if (result < 0) {
        problems_add(s->problems, n->at, "cannot read %s for ${file:" SLICE_FMT "}: %s", path, SLICE_ARG(rest),
                     strerror(-result));
        return -ERROR_BLUEPRINT;
    }
    if (out->n - start > SUBSTITUTE_MAX_FILE) {
        problems_add(s->problems, n->at, "%s is larger than 1MiB, too large for ${file:...}", path);
        return -ERROR_BLUEPRINT;
    }
    if (out->n > start && memchr(out->p + start, '\0', out->n - start)) {
        problems_add(s->problems, n->at, "%s holds a NUL byte; only text can be substituted", path);
        return -ERROR_BLUEPRINT;
    }
    if (out->n > start && out->p[out->n - 1] == '\n') out->n--;
    if (out->n > start && out->p[out->n - 1] == '\r') out->n--;
    return 0;
}

static const char *variable_nearest(const struct substitution *s, struct slice name) {
    const char **names = xcalloc(s->variable_count + 1, sizeof *names);
    for (size_t i = 0; i < s->variable_count; i++) names[i] = s->variables[i].name.p;
    const char *nearest = text_nearest(name, names, s->variable_count);
    free(names);
    return nearest;
}

static struct variable *variable_find(const struct substitution *s, struct slice name) {
    for (size_t i = 0; i < s->variable_count; i++) {
        if (slice_equal(s->variables[i].name, name)) return &s->variables[i];
    }
    return NULL;
}

static void report_unknown_variable(struct substitution *s, struct node *n, struct slice name) {
    const char *nearest = variable_nearest(s, name);
    if (memmem(name.p, name.n, ":-", 2)) {
        problems_add(s->problems, n->at,
                     "${var...} takes no default; a variable's default stands in the `variables:` section");
    } else if (nearest) {
        problems_add(s->problems, n->at, "no variable is named \"" SLICE_FMT "\"; did you mean \"%s\"?",
                     SLICE_ARG(name), nearest);
    } else {
        problems_add(s->problems, n->at,
                     "no variable is named \"" SLICE_FMT "\"; declare it in the `variables:` section", SLICE_ARG(name));
    }
}

static int resolve_variable(struct substitution *s, struct node *n, struct slice rest, struct buf *out) {
    if (!s->variables) {
        problems_add(s->problems, n->at,
                     "a variable cannot refer to another one; use ${env.NAME} or ${file:path} here");
        return -ERROR_BLUEPRINT;
    }
    struct variable *v = variable_find(s, rest);
    if (!v) {
        report_unknown_variable(s, n, rest);
        return -ERROR_BLUEPRINT;
    }
    if (n->confidential && !v->secret) {
        problems_add(s->problems, n->at,
                     "the variable \"" SLICE_FMT "\" may be shown, and this value may not; mark it `secret: true`",
                     SLICE_ARG(rest));
        return -ERROR_BLUEPRINT;
    }
    n->secret |= v->secret;
    if (!slice_is_none(v->value)) {
        buf_append_slice(out, v->value);
        return 0;
    }
    if (!v->reported) {
        problems_add(s->problems, n->at,
                     "the variable \"" SLICE_FMT "\" has no value; run with --var " SLICE_FMT
                     "=VALUE, or give it a `default:`",
                     SLICE_ARG(rest), SLICE_ARG(rest));
    }
    v->reported = true;
    return -ERROR_BLUEPRINT;
}

static const struct reference_kind reference_kinds[] = {
    {{"env.", 4}, resolve_environment},
    {{"file:", 5}, resolve_file},
    {{"var.", 4}, resolve_variable},
};

static int resolve_reference(struct substitution *s, struct node *n, struct slice reference, struct buf *out) {
    if (reference.n && memmem(reference.p, reference.n, "${", 2)) {
        problems_add(s->problems, n->at, "a ${...} inside another one is not allowed");
        return -ERROR_BLUEPRINT;
    }
    for (size_t i = 0; i < ARRAY_LEN(reference_kinds); i++) {
        struct slice prefix = reference_kinds[i].prefix;
        if (!slice_starts_with(reference, prefix)) continue;
        return reference_kinds[i].resolve(s, n, slice_make(reference.p + prefix.n, reference.n - prefix.n), out);
    }
    problems_add(s->problems, n->at,
                 "\"${" SLICE_FMT
                 "}\" is unknown; expected ${env.NAME}, ${env.NAME:-default}, ${file:path} or ${var.name} "
                 "(write $${ for a literal ${)",
                 SLICE_ARG(shown_reference(n, reference)));
    return -ERROR_BLUEPRINT;
}

size_t substitute_span(struct slice text) {
    if (slice_starts_with(text, SLICE("$${"))) return 3;
    if (!slice_starts_with(text, SLICE("${"))) return 0;
    ptrdiff_t end = slice_find(text, '}');
    return end < 0 ? text.n : (size_t)end + 1;
}

bool substitute_is_needed(struct slice text) {
    return text.n >= 2 && memmem(text.p, text.n, "${", 2);
}

static int resolve_span(struct substitution *s, struct node *n, struct slice span, struct buf *out) {
    if (span.p[1] == '$') {
        buf_append_text(out, "${");
        return 0;
    }
    n->substituted = true;
    if (span.p[span.n - 1] == '}') return resolve_reference(s, n, slice_make(span.p + 2, span.n - 3), out);
    problems_add(s->problems, n->at, "a ${ is never closed with }; write $${ for a literal ${");
    return -ERROR_BLUEPRINT;
}

static int resolve_text(struct substitution *s, struct node *n, struct buf *out) {
    struct slice rest = n->text;
    int result = 0;
    while (rest.n > 0) {
        size_t span = substitute_span(rest);
        if (span == 0)
            buf_append_char(out, rest.p[0]);
        else if (resolve_span(s, n, slice_make(rest.p, span), out) < 0)
            result = -ERROR_BLUEPRINT;
        size_t taken = span ? span : 1;
        rest = slice_make(rest.p + taken, rest.n - taken);
    }
    return result;
}

bool substitute_node(struct substitution *s, struct node *n) {
    if (n->kind != NODE_SCALAR || n->state == NODE_RESOLVED) return true;
    if (n->state == NODE_BROKEN) return false;
    n->state = NODE_RESOLVED;
    if (!substitute_is_needed(n->text)) return true;
    struct buf out = {0};
    if (resolve_text(s, n, &out) < 0) n->state = NODE_BROKEN;
    n->text = slice_make(arena_text(s->arena, buf_slice(&out)), out.n);
    buf_free(&out);
    return n->state == NODE_RESOLVED;
}
