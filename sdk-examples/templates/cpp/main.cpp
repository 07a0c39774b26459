#define EXECGATE_IMPLEMENTATION
#include "execgate.hpp"

/* Throwing fails this one event; the process goes on. */
static void handle(const execgate::request &request, execgate::response &response) {
    const std::string name = execgate::parameter(request, "name");
    execgate_add_header(&response, "Content-Type", "text/plain; charset=utf-8");
    execgate::print(response, name.empty() ? "This is @NAME@. Try /hello/you\n" : "Hello, " + name + "!\n");
}

int main() {
    return execgate::run(handle);
}
