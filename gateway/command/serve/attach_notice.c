#include "gateway/command/serve/attach_notice.h"
#include "gateway/base/memory.h"
#include <stdio.h>
#include <stdlib.h>

static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("_-./:,@+%", c));
}

/* One word for a shell: in single quotes unless every character is plain. */
static void append_word(struct buf *out, struct slice word) {
    bool plain = word.n > 0;
    for (size_t i = 0; i < word.n; i++) plain = plain && is_plain(word.p[i]);
    if (plain) {
        buf_append_slice(out, word);
        return;
    }
    buf_append_char(out, '\'');
    for (size_t i = 0; i < word.n; i++) {
        if (word.p[i] == '\'')
            buf_append_text(out, "'\\''");
        else
            buf_append_char(out, word.p[i]);
    }
    buf_append_char(out, '\'');
}

static const struct environment_variable *variable_of(const struct handler_config *h, struct slice name) {
    for (size_t i = 0; i < h->environment_count; i++)
        if (slice_equal(slice_of(h->environment[i].name), name)) return &h->environment[i];
    return NULL;
}

/* A shell has a better PATH of its own. */
static bool is_wanted(const struct handler_config *h, struct slice name) {
    return variable_of(h, name) || (!slice_equal(name, SLICE("PATH")) && !slice_equal(name, SLICE("LANG")));
}

static void append_export(struct buf *out, const struct handler_config *h, struct slice variable) {
    struct slice value = variable, name;
    slice_next(&value, '=', &name);
    if (!is_wanted(h, name)) return;
    const struct environment_variable *own = variable_of(h, name);
    if (own && own->secret) {
        buf_printf(out, "  # " SLICE_FMT " is a secret of the blueprint: export it yourself\n", SLICE_ARG(name));
        return;
    }
    buf_printf(out, "  export " SLICE_FMT "=", SLICE_ARG(name));
    append_word(out, value);
    buf_append_char(out, '\n');
}

/* Arguments may be secret, so only the executable is named. */
static void append_command(struct buf *out, const struct handler_config *h) {
    buf_append_text(out, "  cd ");
    append_word(out, slice_of(h->working_directory));
    buf_append_char(out, '\n');
    if (!h->command[0]) return;
    buf_append_text(out, "  ");
    append_word(out, slice_of(h->command[0]));
    buf_append_text(out, h->command[1] ? " ...\n" : "\n");
}

void attach_notice_write(struct buf *out, const struct handler_config *h, const struct launch *launch) {
    char **environment = launch_environment(launch);
    for (size_t i = 0; environment[i]; i++) append_export(out, h, slice_of(environment[i]));
    append_command(out, h);
    free(environment);
}

void attach_notice_tell(struct log *log, const struct handler_config *h, const struct launch *launch) {
    struct buf out = {0};
    attach_notice_write(&out, h, launch);
    if (log_format_of(log) == LOG_FORMAT_JSON) {
        log_event(log, LOG_INFO, "waiting for a process to attach", LOG_TEXT("handler", h->name),
                  LOG_SLICE("start", buf_slice(&out)));
    } else {
        log_flush(log);
        fprintf(stderr, "\n%s waits for a process that you start, in a debugger perhaps:\n\n" SLICE_FMT "\n", h->name,
                SLICE_ARG(buf_slice(&out)));
    }
    buf_free(&out);
}
