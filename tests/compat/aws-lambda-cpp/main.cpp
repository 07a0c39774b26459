// A handler on aws-lambda-cpp. The client brings no JSON, so the few members that are needed are cut out of the event's text:
// execgate writes its events without blanks.
#include <aws/lambda-runtime/runtime.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>

using aws::lambda_runtime::invocation_request;
using aws::lambda_runtime::invocation_response;

namespace {

// The raw text of the JSON value that follows a name, or an empty text: a string keeps its quotes and escapes.
std::string member(const std::string &event, const std::string &name) {
    const std::string key = "\"" + name + "\":";
    const auto at = event.find(key);
    if (at == std::string::npos) return "";
    const auto start = at + key.size();
    if (event[start] == '[') return event.substr(start, event.find(']', start) - start + 1);
    if (event[start] != '"') return event.substr(start, event.find_first_of(",}", start) - start);
    auto end = start + 1;
    while (event[end] != '"') end += event[end] == '\\' ? 2 : 1;
    return event.substr(start, end - start + 1);
}

std::string quoted(const std::string &text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + "\"";
}

invocation_response answer(const std::string &members) {
    return invocation_response::success("{\"statusCode\":200," + members + "}", "application/json");
}

std::string or_empty(const std::string &value) { return value.empty() ? "\"\"" : value; }

invocation_response echo(const std::string &event) {
    return answer("\"headers\":{\"Content-Type\":\"text/plain\"},\"body\":" + or_empty(member(event, "body")));
}

invocation_response api(const std::string &event) {
    const std::string seen = "{\"method\":" + member(event, "method") + ",\"path\":" + member(event, "rawPath") + ",\"query\":" +
                             member(event, "rawQueryString") + ",\"cookies\":" + member(event, "cookies") + ",\"color\":" +
                             member(event, "x-color") + ",\"body\":" + or_empty(member(event, "body")) + "}";
    return invocation_response::success("{\"statusCode\":201,\"headers\":{\"Content-Type\":\"application/json\",\"X-Answer\":\"made by a handler\"},"
                                        "\"cookies\":[\"first=1; Path=/\",\"second=2\"],\"body\":" + quoted(seen) + "}", "application/json");
}

invocation_response same_bytes(const std::string &event) {
    return answer("\"headers\":{\"Content-Type\":\"application/octet-stream\"},\"isBase64Encoded\":" + member(event, "isBase64Encoded") +
                  ",\"body\":" + member(event, "body"));
}

invocation_response late(const invocation_request &request) {
    std::cout << "left: " << request.get_time_remaining().count() << " ms" << std::endl;
    std::this_thread::sleep_for(request.get_time_remaining() + std::chrono::minutes(1));
    return answer("\"body\":\"too late\"");
}

[[noreturn]] void leave() {
    std::cerr << "last words" << std::endl;
    std::_Exit(7);
}

invocation_response handle(const invocation_request &request) {
    const std::string &event = request.payload;
    const std::string path = member(event, "rawPath");
    const std::string note = member(event, "x-note");
    if (!note.empty()) std::cout << "note: " << note.substr(1, note.size() - 2) << std::endl;
    const std::map<std::string, invocation_response (*)(const std::string &)> plain = {
        {"/echo\"", echo}, {"/api\"", api}, {"/binary\"", same_bytes}};
    const std::string last = path.substr(path.rfind('/'));
    if (const auto found = plain.find(last); found != plain.end()) return found->second(event);
    if (last == "/error\"") return invocation_response::failure("refused by the handler", "Handler.Refused", "");
    if (last == "/panic\"") throw std::runtime_error("broken in the handler");
    if (last == "/exit\"") leave();
    if (last == "/timeout\"") return late(request);
    return answer("\"body\":\"nothing here\"");
}

} // namespace

int main() {
    aws::lambda_runtime::run_handler(handle);
    return 0;
}
