/* execgate.hpp - execgate.h for C++: execgate::run takes anything that can be called.
 *
 *     #define EXECGATE_IMPLEMENTATION
 *     #include "execgate.hpp"
 *     int main() {
 *         return execgate::run([](const execgate::request &request, execgate::response &response) {
 *             execgate::print(response, "Hello, " + execgate::query(request, "name", "world") + "!\n");
 *         });
 *     }
 *
 * An exception that leaves the handler fails that one event, as execgate_fail does; the process goes on. Texts are
 * copied into std::string, so they may outlive the call.
 */
#pragma once
#include "execgate.h"
#include <exception>
#include <string>

namespace execgate {

using request = ::execgate_request;
using response = ::execgate_response;

inline std::string text_or(const char *text, const std::string &otherwise) {
    return text ? std::string(text) : otherwise;
}
inline std::string header(const request &q, const char *name, const std::string &otherwise = "") {
    return text_or(execgate_header(&q, name), otherwise);
}
inline std::string parameter(const request &q, const char *name, const std::string &otherwise = "") {
    return text_or(execgate_parameter(&q, name), otherwise);
}
inline std::string query(const request &q, const char *name, const std::string &otherwise = "") {
    return text_or(execgate_query_value(&q, name), otherwise);
}
inline std::string body(const request &q) {
    return std::string(q.body, q.body_size);
}

inline int print(response &r, const std::string &text) {
    return execgate_write(&r, text.data(), text.size());
}
inline int print_json(response &r, const std::string &text) {
    return execgate_write_json(&r, text.data(), text.size());
}

/* What main returns: 0 after a drain, 1 when there was no gateway. Handler: void(const request &, response &). */
template <class Handler> int run(Handler handler) {
    struct trampoline {
        static void call(const request *q, response *r, void *user) {
            try {
                (*static_cast<Handler *>(user))(*q, *r);
            } catch (const std::exception &e) {
                execgate_fail(r, "UncaughtException", "%s", e.what());
            } catch (...) {
                execgate_fail(r, "UncaughtException", "not a std::exception");
            }
        }
    };
    return execgate_run(&trampoline::call, &handler) == 0 ? 0 : 1;
}

} // namespace execgate
