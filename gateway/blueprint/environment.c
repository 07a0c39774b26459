#include "gateway/blueprint/environment.h"
#include "gateway/base/memory.h"

#define EVERY_MODE (-1)

static const struct reserved {
    struct slice name;
    bool is_prefix;
    int mode;
    const char *why;
} reserved_names[] = {
    {{"AWS_LAMBDA_", 11}, true, EVERY_MODE, "execgate tells each process its runtime API and limits in it"},
    {{"EXECGATE_", 9}, true, EVERY_MODE, "execgate's own variables begin so"},
    {{"_HANDLER", 8}, false, EVERY_MODE, "execgate sets it to the handler's name"},
    {{"LAMBDA_TASK_ROOT", 16}, false, EVERY_MODE, "execgate sets it to the working directory"},
    {{"LAMBDA_RUNTIME_DIR", 18}, false, EVERY_MODE, "execgate sets it for runtime clients"},
    {{"LISTEN_", 7}, true, EVERY_MODE, "it announces inherited sockets"},
    {{"PORT", 4}, false, HANDLER_SERVER, "execgate chooses each server process's port"},
    {{"HTTP_", 5}, true, HANDLER_ONCE, "it holds a request's header field (RFC 3875 4.1.18)"},
    {{"REQUEST_", 8}, true, HANDLER_ONCE, "it describes the request (RFC 3875)"},
    {{"REMOTE_", 7}, true, HANDLER_ONCE, "it describes the client (RFC 3875)"},
    {{"SERVER_", 7}, true, HANDLER_ONCE, "it describes the gateway (RFC 3875)"},
    {{"CONTENT_", 8}, true, HANDLER_ONCE, "it describes the body (RFC 3875)"},
    {{"GATEWAY_INTERFACE", 17}, false, HANDLER_ONCE, "it tells a process that it runs as CGI (RFC 3875)"},
    {{"QUERY_STRING", 12}, false, HANDLER_ONCE, "it holds the request's query (RFC 3875)"},
    {{"PATH_INFO", 9}, false, HANDLER_ONCE, "it holds the request's path (RFC 3875)"},
    {{"PATH_TRANSLATED", 15}, false, HANDLER_ONCE, "it holds the request's path (RFC 3875)"},
    {{"SCRIPT_NAME", 11}, false, HANDLER_ONCE, "it holds the request's path (RFC 3875)"},
    {{"AUTH_TYPE", 9}, false, HANDLER_ONCE, "it tells how the client was authenticated (RFC 3875)"},
};

const char *environment_reserved(struct slice name, enum handler_mode mode) {
    for (size_t i = 0; i < ARRAY_LEN(reserved_names); i++) {
        const struct reserved *r = &reserved_names[i];
        if (r->mode != EVERY_MODE && r->mode != (int)mode) continue;
        if (r->is_prefix ? slice_starts_with(name, r->name) : slice_equal(name, r->name)) return r->why;
    }
    return NULL;
}
