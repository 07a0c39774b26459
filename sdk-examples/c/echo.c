/* echo.c - the smallest handler: a line of text, the request's own body back, or as many bytes as ?bytes= asks for. */
#define EXECGATE_IMPLEMENTATION
#include "../execgate.h"
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES (1024 * 1024)

static void write_filler(struct execgate_response *response, size_t bytes) {
    static const char line[] = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopq\n";
    size_t step = sizeof line - 1;
    for (; bytes >= step; bytes -= step) execgate_write(response, line, step);
    execgate_write(response, line, bytes);
}

static void echo(const struct execgate_request *request, struct execgate_response *response, void *user) {
    const char *type = execgate_header(request, "Content-Type"), *bytes = execgate_query_value(request, "bytes");
    (void)user;
    if (request->body_size > 0) {
        execgate_add_header(response, "Content-Type", type ? type : "application/octet-stream");
        execgate_write(response, request->body, request->body_size);
        return;
    }
    execgate_add_header(response, "Content-Type", "text/plain");
    if (!bytes) {
        execgate_write(response, "hello\n", 6);
        return;
    }
    unsigned long wanted = strtoul(bytes, NULL, 10);
    write_filler(response, wanted < MAX_BYTES ? wanted : MAX_BYTES);
}

int main(void) {
    return execgate_run(echo, NULL) == 0 ? 0 : 1;
}
