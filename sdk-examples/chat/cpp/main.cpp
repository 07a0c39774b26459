// The chat's talk, on the SDK in ../../execgate.hpp.
//
//   {"action": "say", "room": "tea", "text": "..."}    goes to all in the room, the speaker among them
//
// and every message that no handler of the chat takes.
#define EXECGATE_IMPLEMENTATION
#include "execgate.hpp"
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

using nlohmann::json;

static constexpr std::size_t longest = 1000; // characters

// A text among the members of what clients send, which may be anything; empty when there is none.
static std::string text_of(const json &object, const char *name) {
    const auto found = object.is_object() ? object.find(name) : object.end();
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

static std::size_t characters(const std::string &text) {
    std::size_t count = 0;
    for (const char c : text) count += (c & 0xc0) != 0x80; // those that begin one in UTF-8
    return count;
}

// The gateway has seen to it that it is UTF-8. Lines may end, but nothing rings a bell.
static bool is_speech(const std::string &text) {
    for (const char c : text)
        if ((static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\t') || c == 0x7f) return false;
    return text.find_first_not_of(" \t\n") != std::string::npos && characters(text) <= longest;
}

static void refuse(execgate::response &response, const char *why) {
    execgate::print(response, json{{"type", "refused"}, {"why", why}}.dump());
}

// The claim name, or else the subject: $connect has seen to it that there is one.
static std::string name_of(const execgate::request &request) {
    const json claims = json::parse(execgate::header(request, "Execgate-Claims"), nullptr, false);
    const std::string name = text_of(claims, "name");
    return name.empty() ? text_of(claims, "sub") : name;
}

// A seat is a connection's name among people: the end of its id, too short to guess the rest by.
static std::string seat_of(const std::string &id) {
    return id.substr(id.size() < 8 ? 0 : id.size() - 8);
}

static std::int64_t now_ms() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

static void say(const execgate::request &request, execgate::response &response) {
    const json said = json::parse(execgate::body(request), nullptr, false);
    const std::string room = text_of(said, "room"), text = text_of(said, "text");
    if (room.empty() || !execgate::in_group(request, room)) return refuse(response, "You are not in that room");
    if (!is_speech(text)) return refuse(response, "Say something, in at most 1000 characters");
    const json told = {
        {"type", "said"},           {"room", room}, {"seat", seat_of(execgate::connection(request).id())},
        {"name", name_of(request)}, {"text", text}, {"at", now_ms()}};
    execgate::group(request, room).send(told.dump());
}

int main() {
    return execgate::run([](const execgate::request &request, execgate::response &response) {
        execgate_add_header(&response, "Content-Type", "text/plain; charset=utf-8");
        if (execgate::header(request, "Execgate-Websocket-Route") == "say") return say(request, response);
        refuse(response, "Send an action: rooms, join, leave, who or say");
    });
}
