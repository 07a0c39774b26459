// The chat's talk, on the SDK in ../../execgate.hpp.
//
//   {"action": "say", "room": "tea", "text": "..."}    goes to all in the room, the speaker among them
//
// and every message that no handler of the chat takes.
#define EXECGATE_IMPLEMENTATION
#include "execgate.hpp"
#include "json.hpp"
#include <chrono>
#include <string>

static constexpr std::size_t longest = 1000; // characters

static std::string quoted(const std::string &text) {
    static const char digits[] = "0123456789abcdef";
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\')
            out += std::string("\\") + c;
        else if (static_cast<unsigned char>(c) >= ' ')
            out += c;
        else
            out += std::string("\\u00") + digits[c >> 4 & 15] + digits[c & 15];
    }
    return out + "\"";
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
    execgate::print(response, "{\"type\":\"refused\",\"why\":" + quoted(why) + "}");
}

// The claim name, or else the subject: $connect has seen to it that there is one.
static std::string name_of(const execgate::request &request) {
    const std::string claims = execgate::header(request, "Execgate-Claims");
    std::string name = "somebody";
    if (!JsonTexts::find(claims, "name", name)) JsonTexts::find(claims, "sub", name);
    return name;
}

// A seat is a connection's name among people: the end of its id, too short to guess the rest by.
static std::string seat_of(const std::string &id) {
    return id.substr(id.size() < 8 ? 0 : id.size() - 8);
}

static std::string now_ms() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

static void say(const execgate::request &request, execgate::response &response) {
    const std::string said = execgate::body(request);
    std::string room, text;
    if (!JsonTexts::find(said, "room", room) || !execgate::in_group(request, room))
        return refuse(response, "You are not in that room");
    if (!JsonTexts::find(said, "text", text) || !is_speech(text))
        return refuse(response, "Say something, in at most 1000 characters");
    const std::string seat = seat_of(execgate::connection(request).id());
    execgate::group(request, room)
        .send("{\"type\":\"said\",\"room\":" + quoted(room) + ",\"seat\":" + quoted(seat) +
              ",\"name\":" + quoted(name_of(request)) + ",\"text\":" + quoted(text) + ",\"at\":" + now_ms() + "}");
}

int main() {
    return execgate::run([](const execgate::request &request, execgate::response &response) {
        execgate_add_header(&response, "Content-Type", "text/plain; charset=utf-8");
        if (execgate::header(request, "Execgate-Websocket-Route") == "say") return say(request, response);
        refuse(response, "Send an action: rooms, join, leave, who or say");
    });
}
