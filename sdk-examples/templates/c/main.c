#define EXECGATE_IMPLEMENTATION
#include "execgate.h"

/* What a request points to ends when this returns. */
static void handle(const struct execgate_request *request, struct execgate_response *response, void *user) {
    const char *name = execgate_parameter(request, "name");
    (void)user;
    execgate_add_header(response, "Content-Type", "text/plain; charset=utf-8");
    if (name)
        execgate_print(response, "Hello, %s!\n", name);
    else
        execgate_print(response, "This is @NAME@. Try /hello/you\n");
}

int main(void) {
    return execgate_run(handle, NULL) == 0 ? 0 : 1;
}
