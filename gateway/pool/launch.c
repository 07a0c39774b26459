#include "gateway/pool/transport.h"
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#define LAUNCH_PATH "/usr/local/bin:/usr/bin:/bin"

void launch_init(struct launch *l, const struct handler_config *handler) {
    *l = (struct launch){
        .argv = handler->command,
        .directory = handler->working_directory,
        .stdin_fd = -1,
        .stdout_fd = -1,
        .inherited_fd = -1,
    };
}

void launch_set(struct launch *l, const char *name, const char *value) {
    buf_append_text(&l->environment, name);
    buf_append_char(&l->environment, '=');
    buf_append(&l->environment, value, strlen(value) + 1);
}

void launch_set_format(struct launch *l, const char *name, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    buf_append_text(&l->environment, name);
    buf_append_char(&l->environment, '=');
    buf_vprintf(&l->environment, format, arguments);
    buf_append_char(&l->environment, '\0');
    va_end(arguments);
}

void launch_add_defaults(struct launch *l, const struct handler_config *handler) {
    for (size_t i = 0; i < handler->environment_count; i++)
        launch_set(l, handler->environment[i].name, handler->environment[i].value);
    launch_set(l, "PATH", LAUNCH_PATH);
    launch_set(l, "LANG", "C.UTF-8");
}

static struct slice variable_name(struct slice variable) {
    ptrdiff_t end = slice_find(variable, '=');
    return slice_make(variable.p, end < 0 ? variable.n : (size_t)end);
}

static bool vector_has(char *const *vector, size_t count, struct slice name) {
    for (size_t i = 0; i < count; i++)
        if (slice_equal(variable_name(slice_of(vector[i])), name)) return true;
    return false;
}

char **launch_environment(const struct launch *l) {
    struct slice rest = buf_slice(&l->environment);
    struct slice variable;
    size_t count = 0, most = 1;
    for (size_t i = 0; i < rest.n; i++) most += rest.p[i] == '\0';
    char **vector = xcalloc(most, sizeof *vector);
    while (slice_next(&rest, '\0', &variable)) {
        if (variable.n == 0 || vector_has(vector, count, variable_name(variable))) continue;
        vector[count++] = (char *)variable.p;
    }
    return vector;
}

static void launch_close(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

void launch_discard(struct launch *l) {
    launch_close(&l->stdin_fd);
    launch_close(&l->stdout_fd);
    launch_close(&l->inherited_fd);
    buf_free(&l->environment);
}
