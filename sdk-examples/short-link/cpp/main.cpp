// Short links, on the SDK in ../../execgate.hpp.
//
//   POST /links           {"url": "https://..."} in; 201 and a code out
//   GET  /links/{code}    the link and how often it was followed
//   GET  /{code}          302 to the URL
//   GET  /hosts           how many links lead to each host
//
// The counts are those of messages: each link that is made goes to the queue `created`, which a process of this program
// takes for itself.
#define EXECGATE_IMPLEMENTATION
#include "execgate.hpp"
#include "store.hpp"
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

using nlohmann::json;

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

static bool is_url(const std::string &url) {
    const std::size_t start = url.rfind("https://", 0) == 0 ? 8 : url.rfind("http://", 0) == 0 ? 7 : url.size();
    for (const char c : url)
        if (c <= ' ' || c > '~') return false;
    return start < url.size() && url.size() <= 2000;
}

// The URL of a body that asks for a link; empty when it does not.
static std::string wanted(const std::string &body) {
    const json asked = json::parse(body, nullptr, false);
    if (!asked.is_object() || asked.size() != 1 || !asked.contains("url") || !asked["url"].is_string()) return "";
    const std::string url = asked["url"];
    return is_url(url) ? url : "";
}

static void create(Store &store, const execgate::request &request, execgate::response &response) {
    std::string url = wanted(execgate::body(request));
    if (url.empty())
        return problem(response, 400, "Send an object with an http or https url of at most 2000 characters");
    Link made = store.create(url);
    // The message is kept before the client hears of the link, and not at all when the client hears of a failure.
    execgate::send_with_answer(request, "created",
                               execgate::message(url).type("text/plain").attribute("code", made.code));
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

// What stands between the scheme and the path, "-" when nothing does.
static std::string host_of(const std::string &url) {
    const std::string rest = url.substr(url.find("://") + 3), host = rest.substr(0, rest.find_first_of("/?#"));
    return host.empty() ? "-" : host;
}

static void tally(Store &hosts, execgate::response &response) {
    const char *before = "{";
    execgate_add_header(&response, "Content-Type", "application/json");
    for (const auto &[host, count] : hosts.tally()) {
        execgate_print(&response, "%s", before);
        execgate::print_json(response, host);
        execgate_print(&response, ":%lu", count);
        before = ",";
    }
    execgate_print(&response, "%s}\n", *before == '{' ? before : "");
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

static void serve_links(const char *links_file, const char *hosts_file) {
    Store store(links_file), hosts(hosts_file);
    if (execgate::run([&](const execgate::request &request, execgate::response &response) {
            if (std::string(request.route) == "GET /hosts") return tally(hosts, response);
            answer(store, request, response);
        }))
        throw std::runtime_error("there is no gateway");
}

// A message may come twice: a link is counted once.
static void serve_messages(const char *hosts_file) {
    Store hosts(hosts_file);
    if (execgate::run([&](const execgate::request &request, execgate::response &response) {
            execgate::each_message(request, response, [&](const execgate::message &made) {
                hosts.count(made.get("code"), host_of(made.body));
            });
        }))
        throw std::runtime_error("there is no gateway");
}

// The process that counts has no use for links.
int main() try {
    const char *links = std::getenv("LINKS_FILE"), *hosts = std::getenv("HOSTS_FILE");
    if (!hosts) throw std::runtime_error("HOSTS_FILE is not set");
    links ? serve_links(links, hosts) : serve_messages(hosts);
    return 0;
} catch (const std::exception &e) {
    std::fprintf(stderr, "short-link: %s\n", e.what());
    return 1;
}
