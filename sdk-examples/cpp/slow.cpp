// slow.cpp - a job that takes its time and says so: GET /slow?steps=5&ms=400 streams a line per step.
//
// Before each step it asks two questions that every long job should ask: is there time for it before the deadline, and
// is anyone still waiting? It stops by itself rather than being stopped.
#define EXECGATE_IMPLEMENTATION
#include "../execgate.hpp"
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

static long number(const execgate::request &request, const char *name, long otherwise, long most) {
    std::string text = execgate::query(request, name);
    return text.empty() ? otherwise : std::max(0L, std::min(most, std::strtol(text.c_str(), nullptr, 10)));
}

// Sleeps in small parts, so that a client that leaves is noticed; false = stop.
static bool work(const execgate::request &request, long ms) {
    for (; ms > 0; ms -= 50) {
        if (execgate_cancelled(&request)) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(std::min(ms, 50L)));
    }
    return true;
}

static void slow(const execgate::request &request, execgate::response &response) {
    const long steps = number(request, "steps", 5, 1000), ms = number(request, "ms", 400, 60000), reserve = 200;
    execgate_add_header(&response, "Content-Type", "text/plain");
    execgate_add_header(&response, "Cache-Control", "no-store");
    execgate_stream_begin(&response);
    for (long step = 1; step <= steps; step++) {
        if (request.deadline_ms && execgate_remaining_ms(&request) < ms + reserve) {
            execgate_print(&response, "stopped before step %ld of %ld: the deadline is too close\n", step, steps);
            return;
        }
        bool wanted = work(request, ms);
        if (wanted) execgate_print(&response, "step %ld of %ld done\n", step, steps);
        if (!wanted || execgate_stream_write(&response, nullptr, 0)) {
            std::fprintf(stderr, "slow: nobody waits any more, stopped in step %ld\n", step);
            return;
        }
    }
    execgate::print(response, "finished\n");
}

int main() {
    return execgate::run(slow);
}
