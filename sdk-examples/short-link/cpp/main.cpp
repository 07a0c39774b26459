// Short links, on the SDK in ../../execgate.hpp.
//
//   POST /links           {"url": "https://..."} in; 201 and a code out
//   GET  /links/{code}    the link and how often it was followed
//   GET  /{code}          302 to the URL
#define EXECGATE_IMPLEMENTATION
#include "execgate.hpp"
#include "store.hpp"
#include "wanted.hpp"
#include <cstdio>
#include <cstdlib>

static void problem(execgate::response &response, int status, const char *title) {
    execgate_status(&response, status);
    execgate_add_header(&response, "Content-Type", "application/problem+json");
    execgate_print(&response, "{\"status\":%d,\"title\":\"%s\"}\n", status, title);
}

static void show(execgate::response &response, const Link &link) {
    execgate_add_header(&response, "Content-Type", "application/json");
    execgate_print(&response, "{\"code\":\"%s\",\"url\":", link.code.c_str());
    execgate::print_json(response, link.url);
    execgate_print(&response, ",\"hits\":%lu}\n", link.hits);
}

static void create(Store &store, const execgate::request &request, execgate::response &response) {
    std::string url = WantedURL::of(execgate::body(request));
    if (url.empty())
        return problem(response, 400, "Send an object with an http or https url of at most 2000 characters");
    Link made = store.create(url);
    // An event "link created" would be sent to a queue here, once the link is safe and before the client hears of it.
    execgate_status(&response, 201);
    execgate_add_header(&response, "Location", ("/" + made.code).c_str());
    show(response, made);
}

// Not to be stored anywhere: each visit is to be counted.
static void lead(execgate::response &response, const Link &link) {
    execgate_status(&response, 302);
    execgate_add_header(&response, "Location", link.url.c_str());
    execgate_add_header(&response, "Cache-Control", "no-store");
}

static void answer(Store &store, const execgate::request &request, execgate::response &response) {
    const std::string route = request.route, method = request.method, code = execgate::parameter(request, "code");
    Link link;
    if (route == "POST /links") return create(store, request, response);
    const bool follows = route == "GET /{code}" && method != "HEAD"; // who asks about a link does not follow it
    const bool found = follows ? store.follow(code, link) : store.find(code, link);
    if (!found) return problem(response, 404, "There is no such link");
    return route == "GET /links/{code}" ? show(response, link) : lead(response, link);
}

int main() try {
    const char *file = std::getenv("LINKS_FILE");
    Store store(file ? file : "");
    return execgate::run(
        [&store](const execgate::request &request, execgate::response &response) { answer(store, request, response); });
} catch (const std::exception &e) {
    std::fprintf(stderr, "short-link: %s\n", e.what());
    return 1;
}
