/* welcome.c - the page at / of the blueprints that come with execgate: what there is to try. */
#define EXECGATE_IMPLEMENTATION
#include "../execgate.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct entry {
    const char *command, *shows;
};

static const struct entry everywhere[] = {
    {"curl localhost:8080/echo", "a C handler; ?bytes=N for a larger answer"},
    {"curl -d '{\"name\":\"teapot\"}' localhost:8080/items", "a JSON resource in C: then GET, PUT, DELETE /items/1"},
    {"curl localhost:8080/files/execgate.h", "a file, streamed from C"},
    {"curl -d 'buy milk' localhost:8080/notes", "notes in a file, C++: then GET /notes"},
    {"curl -N 'localhost:8080/slow?steps=5'", "a slow job in C++ that reports while it works"},
    {"curl -i localhost:8080/crash/segv", "a handler that crashes; also exit, hang, error, midway"},
    {"curl 'localhost:8080/lambda?name=you'", "the AWS Lambda runtime API on bare sockets, C"},
    {"curl localhost:8080/disk", "a shell script as a CGI program"},
    {"curl -d 'make me loud' localhost:8080/upper", "a filter from stdin to stdout"},
};
static const struct entry languages[] = {
    {"curl -X POST localhost:8080/counters/visits", "Go, standard library only, AWS Lambda runtime API"},
    {"curl -d 'so much depends upon' localhost:8080/statistics", "Rust, standard library only, native runtime API"},
    {"curl localhost:8080/cgi/any/path?x=1", "Python as a CGI program"},
    {"curl -N localhost:8080/server/ticks", "a Python HTTP server that execgate starts and proxies"},
};

static void write_escaped(struct execgate_response *response, const char *text) {
    for (; *text; text++) {
        const char *entity = *text == '<' ? "&lt;" : *text == '&' ? "&amp;" : *text == '"' ? "&quot;" : NULL;
        if (entity)
            execgate_write(response, entity, strlen(entity));
        else
            execgate_write(response, text, 1);
    }
}

static void write_entries(struct execgate_response *response, const struct entry *entries, size_t count) {
    for (size_t i = 0; i < count; i++) {
        execgate_print(response, "<dt><code>");
        write_escaped(response, entries[i].command);
        execgate_print(response, "</code></dt><dd>");
        write_escaped(response, entries[i].shows);
        execgate_print(response, "</dd>\n");
    }
}

static void welcome(const struct execgate_request *request, struct execgate_response *response, void *user) {
    const char *application = getenv("EXECGATE_APPLICATION");
    (void)request;
    (void)user;
    execgate_add_header(response, "Content-Type", "text/html; charset=utf-8");
    execgate_print(response, "<!doctype html>\n<html lang=\"en\"><title>execgate</title>\n<style>body{font:16px/1.5 "
                             "system-ui;max-width:46em;margin:3em auto}code{background:#eee;padding:.1em .3em}"
                             "dd{margin:0 0 .7em 1em;color:#555}</style>\n<h1>It runs.</h1>\n");
    execgate_print(response, "<p>This page was written by process %d, a plain C program, one of the handlers of ",
                   (int)getpid());
    execgate_print(response, "the blueprint <b>");
    write_escaped(response, application ? application : "");
    execgate_print(response, "</b>. Try in a terminal:</p>\n<dl>\n");
    write_entries(response, everywhere, sizeof everywhere / sizeof *everywhere);
    if (application && strcmp(application, "polyglot") == 0)
        write_entries(response, languages, sizeof languages / sizeof *languages);
    execgate_print(response, "</dl></html>\n");
}

int main(void) {
    return execgate_run(welcome, NULL) == 0 ? 0 : 1;
}
