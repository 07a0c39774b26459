// What test_sdk_queues.py asks of a handler, on execgate.hpp.
#define EXECGATE_IMPLEMENTATION
#include "execgate.hpp"
#include <iostream>

using std::chrono::seconds;

// A line that the tests look for.
static void tell(const std::string &text) {
    std::cerr << text + "\n" << std::flush;
}

static void take(const execgate::message &m) {
    tell("took " + m.body + " attempt " + std::to_string(m.receive_count) + " group " + m.group_id + " colour " +
         m.get("colour", "none"));
    if (m.body == "bad" && m.receive_count == 1) throw execgate::error("Bad", "the first time");
    if (m.body == "later")
        throw execgate::error("Later", "not yet").retry_after(seconds(86400));
    if (m.body == "never") throw execgate::error("Never", "for good").no_retry();
}

static execgate::message made(const std::string &body) {
    return execgate::message(body).type("text/plain").group("g h").attribute("colour", "dark blue");
}

static void send(const execgate::request &request, execgate::response &response) {
    const std::string body = execgate::body(request);
    const auto receipts = execgate::send(request, "orders", {made(body), made("second").dedup("d" + body)});
    const auto again = execgate::send(request, "orders", made("second").dedup("d" + body));
    execgate::print(response, again.duplicate && again.id == receipts[1].id ? "sent" : "not known again");
}

static void answer(const execgate::request &request, execgate::response &response) {
    const std::string trigger = request.trigger, what = execgate::parameter(request, "what");
    if (trigger == "queue") return execgate::each_message(request, response, take);
    if (trigger == "schedule") {
        const auto at = execgate::scheduled_time(request).time_since_epoch();
        return tell("scheduled " + std::to_string(std::chrono::duration_cast<seconds>(at).count()));
    }
    if (what == "send") return send(request, response);
    if (what == "nowhere") execgate::send(request, "nowhere", made("x"));
    execgate::send_with_answer(request, "orders", {made("one of " + what), made("two of " + what)});
    if (what == "fails") throw execgate::error("Bad", "after all");
    execgate::print(response, "held");
}

int main() {
    return execgate::run(answer);
}
