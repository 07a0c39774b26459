#include "gateway/command/serve/handler_output.h"
#include <stdio.h>
#include <unistd.h>

static void on_plain(void *context, const struct worker *w, enum output_stream stream, struct slice line) {
    (void)context, (void)w, (void)stream;
    fwrite(line.p, 1, line.n, stderr);
    fputc('\n', stderr);
}

static void on_named(void *context, const struct worker *w, enum output_stream stream, struct slice line) {
    fprintf(stderr, "%s | ", w->handler->name);
    on_plain(context, w, stream, line);
}

void handler_output_show(struct gateway *g) {
    gateway_on_output(g, isatty(STDERR_FILENO) ? on_named : on_plain, NULL);
}
