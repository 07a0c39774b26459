// What test_sdk_websocket.py asks of a handler, on execgate.hpp.
#define EXECGATE_IMPLEMENTATION
#include "execgate.hpp"
#include <cstring>

// What follows the text up to a quote, wherever it stands.
static std::string all_after(const std::string &json, const char *text) {
    std::string found;
    for (const char *at = json.c_str(); (at = std::strstr(at, text));) {
        at += std::strlen(text);
        found += std::string(at, std::strcspn(at, "\"")) + " ";
    }
    return found;
}

static std::string told(bool is_open) {
    return is_open ? "done 0" : "gone";
}

static std::string show(const execgate::connection &c) {
    const std::string json = c.show(), path = all_after(json, "\"path\":\"");
    const bool in_none = json.find("\"groups\":[]") != std::string::npos;
    return json.empty() ? "gone" : path + (in_none ? "0" : "1");
}

static std::string did(const std::string &what, const execgate::connection &c, const execgate::group &g,
                       const std::string &body) {
    if (what == "send") return told(c.send(body));
    if (what == "send-bytes") return told(c.send_bytes(body));
    if (what == "close") return told(c.close(4321, body));
    if (what == "show") return show(c);
    if (what == "join") return told(g.join(c));
    if (what == "leave") return told(g.leave(c));
    if (what == "all") return "done " + std::to_string(g.send(body, c.id()));
    if (what == "all-bytes") return "done " + std::to_string(g.send_bytes(body, c.id()));
    if (what == "size") return "done " + std::to_string(g.size());
    return all_after(g.show(2), "\"connectionId\":\"");
}

static void groups(const execgate::request &request, execgate::response &response) {
    const std::vector<std::string> all = execgate::groups(request);
    std::string text = "groups " + std::to_string(all.size()) + " [";
    for (std::size_t i = 0; i < all.size(); i++) text += (i ? " " : "") + all[i];
    if (!all.empty() && (!execgate::in_group(request, all.back()) || execgate::in_group(request, "elsewhere")))
        text += " (wrong)";
    execgate::print(response, text + "] of " + execgate::connection(request).id());
}

static void hold(const execgate::request &request, execgate::response &response) {
    execgate::hold(response, execgate::query(request, "group"));
    execgate::hold(response, "others");
    execgate::print(response, "data: hello\n\n");
}

int main() {
    return execgate::run([](const execgate::request &request, execgate::response &response) {
        if (std::string(request.trigger) == "websocket") return groups(request, response);
        if (execgate::parameter(request, "what") == "hold") return hold(request, response);
        const execgate::connection c(request, execgate::query(request, "id"));
        const execgate::group g(request, execgate::query(request, "group"));
        execgate::print(response, did(execgate::parameter(request, "what"), c, g, execgate::body(request)));
    });
}
