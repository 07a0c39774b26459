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
 *
 * Messages of queues come several to an event. Those whose function throws come again, the others are done:
 *
 *     execgate::each_message(request, response, [](const execgate::message &order) {
 *         if (order.body.empty()) throw execgate::error("NoOrder", "it is empty").no_retry();
 *         ship(order.body);
 *     });
 *
 * and are sent at once, or with the answer: when the handler has succeeded they are put on disk together, and only then
 * its answer counts.
 *
 *     execgate::send(request, "orders", execgate::message("a teapot").group("kitchen"));
 *     execgate::send_with_answer(request, "orders", execgate::message("a teapot"));
 *
 * WebSocket connections, and groups of them, are told things from any handler:
 *
 *     execgate::connection here(request);
 *     execgate::group tea(request, "tea");
 *     tea.join(here);
 *     tea.send("somebody came", here.id()); // to all but the one who came
 */
#pragma once
#include "execgate.h"
#include <chrono>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

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

/* Of an event of a schedule, the moment that is meant; else the clock's epoch. */
inline std::chrono::system_clock::time_point scheduled_time(const request &q) {
    return std::chrono::system_clock::time_point(std::chrono::milliseconds(execgate_scheduled_ms(&q)));
}

/* Fails an event with a type of one's own; of events from queues it may say when their messages come again. */
class error : public std::runtime_error {
  public:
    error(std::string type, const std::string &text) : std::runtime_error(text), type_(std::move(type)) {}

    /* The messages come again after this time, and not after the queue's policy. */
    error &retry_after(std::chrono::milliseconds delay) {
        retry_ = std::to_string(delay.count() > 0 ? delay.count() : 0) + "ms";
        return *this;
    }
    /* The message shall not come again: it goes to the queue's dead letters at once. The other messages of the event
     * come again, one by one. */
    error &no_retry() {
        retry_ = "false";
        return *this;
    }

    const std::string &type() const { return type_; }
    void report(response &r) const {
        execgate_fail(&r, type_.c_str(), "%s", what());
        if (!retry_.empty()) execgate_retry(&r, retry_.c_str());
    }

  private:
    std::string type_, retry_;
};

/* A message of a queue: taken from an event, or made to be sent. */
struct message {
    std::string body, content_type, group_id, dedup_id;
    std::vector<std::pair<std::string, std::string>> attributes;
    /* What one that was taken knows besides. */
    std::string id;                  /* the same in every attempt */
    unsigned long receive_count = 0; /* 1 in the first attempt */
    std::chrono::system_clock::time_point sent;
    long long delay_ms = 0; /* for sending: 0 is the queue's own delay, less is none at all */

    message() = default;
    explicit message(std::string text) : body(std::move(text)) {}

    message &type(std::string text) { return content_type = std::move(text), *this; }
    message &group(std::string text) { return group_id = std::move(text), *this; }
    message &dedup(std::string text) { return dedup_id = std::move(text), *this; }
    message &delay(std::chrono::milliseconds time) { return delay_ms = time.count() > 0 ? time.count() : -1, *this; }
    message &attribute(std::string name, std::string value) {
        attributes.emplace_back(std::move(name), std::move(value));
        return *this;
    }
    std::string get(const std::string &name, const std::string &otherwise = "") const {
        for (const auto &one : attributes)
            if (one.first == name) return one.second;
        return otherwise;
    }
};

/* What an event from a queue brings. */
inline std::vector<message> messages(const request &q) {
    std::vector<message> all;
    execgate_message one = execgate_message();
    while (execgate_message_next(&q, &one)) {
        message m(std::string(one.body, one.body_size));
        m.type(one.content_type).group(one.group).dedup(one.dedup_id);
        m.id = one.id;
        m.receive_count = one.attempt;
        m.sent = std::chrono::system_clock::time_point(std::chrono::milliseconds(one.sent_ms));
        const char *name = nullptr;
        for (std::size_t i = 0; const char *value = execgate_message_attribute_at(&q, i, &name); i++)
            m.attribute(name, value);
        all.push_back(std::move(m));
    }
    return all;
}

/* Names a message as failed: it comes again, and with `reportFailures: true` in the blueprint only those that were
 * named. */
inline int fail(response &r, const message &m) {
    return execgate_message_fail(&r, m.id.c_str());
}

/* Calls handle(message) for one after the other. Those for which it throws come again, the others are done: with
 * `batch` above 1 the trigger needs `reportFailures: true` for that. An error of several messages cannot say when,
 * since nobody knew which was meant: each first comes again alone, and is asked then. */
template <class Handle> void each_message(const request &q, response &r, Handle handle) {
    const std::vector<message> all = messages(q);
    if (all.empty()) throw error("NoMessages", "the event has no messages of a queue");
    if (all.size() == 1) return (void)handle(all.front());
    for (const message &m : all) {
        try {
            handle(m);
        } catch (const std::exception &e) {
            std::fprintf(stderr, "execgate: message %s: %s\n", m.id.c_str(), e.what());
            fail(r, m);
        }
    }
}

/* What the queue says of a message that was sent. */
struct receipt {
    std::string id;
    bool duplicate; /* nothing was kept: the id is that of the first with this dedup id */
};

namespace detail {
/* The C view of messages, which must outlive it. */
class outgoing {
  public:
    explicit outgoing(const std::vector<message> &all) : attributes_(all.size()) {
        for (std::size_t i = 0; i < all.size(); i++) add(all[i], attributes_[i]);
    }
    const execgate_outgoing *data() const { return list_.data(); }
    std::size_t size() const { return list_.size(); }

  private:
    void add(const message &m, std::vector<const char *> &attributes) {
        for (const auto &one : m.attributes) {
            attributes.push_back(one.first.c_str());
            attributes.push_back(one.second.c_str());
        }
        attributes.push_back(nullptr);
        execgate_outgoing out = execgate_outgoing();
        out.body = m.body.data();
        out.body_size = m.body.size();
        out.content_type = m.content_type.c_str();
        out.group = m.group_id.c_str();
        out.dedup_id = m.dedup_id.c_str();
        out.attributes = attributes.data();
        out.delay_ms = m.delay_ms;
        list_.push_back(out);
    }

    std::vector<std::vector<const char *>> attributes_;
    std::vector<execgate_outgoing> list_;
};
} // namespace detail

/* All of them or none, at most 1000; on disk when it returns. It throws `error` when they are refused, and when nothing
 * is known: the connection was lost, or the event's deadline has passed. Who wants to be sure sends again with the same
 * dedup id. */
inline std::vector<receipt> send(const request &q, const std::string &queue, const std::vector<message> &all) {
    const detail::outgoing out(all);
    if (execgate_send(&q, queue.c_str(), out.data(), out.size())) throw error("NotSent", execgate_send_problem(&q));
    std::vector<receipt> receipts;
    int is_duplicate = 0;
    for (std::size_t i = 0; i < all.size(); i++) {
        const char *id = execgate_sent_id(&q, i, &is_duplicate);
        receipts.push_back(receipt{text_or(id, ""), is_duplicate != 0});
    }
    return receipts;
}
inline receipt send(const request &q, const std::string &queue, const message &one) {
    return send(q, queue, std::vector<message>(1, one)).front();
}

/* Put on disk, in one transaction with all else that was sent so, when the handler has succeeded, and forgotten when it
 * fails. Throws as send does. */
inline void send_with_answer(const request &q, const std::string &queue, const std::vector<message> &all) {
    const detail::outgoing out(all);
    if (execgate_send_with_answer(&q, queue.c_str(), out.data(), out.size()))
        throw error("NotSent", execgate_send_problem(&q));
}
inline void send_with_answer(const request &q, const std::string &queue, const message &one) {
    send_with_answer(q, queue, std::vector<message>(1, one));
}

/* The answer is an event stream that goes on without the handler, in this group; the body is its beginning. */
inline int hold(response &r, const std::string &group) {
    return execgate_hold(&r, group.c_str());
}

/* The groups that the event's connection is in, or was in when it ended. */
inline std::vector<std::string> groups(const request &q) {
    std::vector<std::string> all;
    while (const char *name = execgate_group_at(&q, all.size())) all.emplace_back(name);
    return all;
}
inline bool in_group(const request &q, const std::string &name) {
    return execgate_in_group(&q, name.c_str()) != 0;
}

namespace detail {
inline bool done(const request &q, int result) {
    if (result < 0) throw error("NotDone", execgate_send_problem(&q));
    return result == 0;
}
inline std::size_t counted(const request &q, long long result) {
    if (result < 0) throw error("NotDone", execgate_send_problem(&q));
    return static_cast<std::size_t>(result);
}
} // namespace detail

/* A WebSocket connection: the event's own, or that of an id. False: it is not open (any more). They throw `error` when
 * nothing was done, and when nothing is known. */
class connection {
  public:
    explicit connection(const request &q) : connection(q, text_or(execgate_connection(&q), "")) {}
    connection(const request &q, std::string id) : request_(q), id_(std::move(id)) {}

    const std::string &id() const { return id_; }
    bool send(const std::string &text) const {
        return detail::done(request_, execgate_connection_send(&request_, id_.c_str(), text.data(), text.size()));
    }
    bool send_bytes(const std::string &bytes) const {
        return detail::done(request_,
                            execgate_connection_send_bytes(&request_, id_.c_str(), bytes.data(), bytes.size()));
    }
    bool close(int code = 1000, const std::string &reason = "") const {
        return detail::done(request_, execgate_connection_close(&request_, id_.c_str(), code, reason.c_str()));
    }
    /* JSON; empty when it is not open. */
    std::string show() const { return text_or(execgate_connection_show(&request_, id_.c_str()), ""); }

  private:
    const request &request_;
    std::string id_;
};

/* A group of connections, there while somebody is in it. Throws as connection does. */
class group {
  public:
    group(const request &q, std::string name) : request_(q), name_(std::move(name)) {}

    bool join(const connection &who) const {
        return detail::done(request_, execgate_group_join(&request_, name_.c_str(), who.id().c_str()));
    }
    bool leave(const connection &who) const {
        return detail::done(request_, execgate_group_leave(&request_, name_.c_str(), who.id().c_str()));
    }
    /* To all in it, perhaps but the connection of an id. How many it went to. */
    std::size_t send(const std::string &text, const std::string &except = "") const {
        return detail::counted(request_,
                               execgate_group_send(&request_, name_.c_str(), except.c_str(), text.data(), text.size()));
    }
    std::size_t send_bytes(const std::string &bytes, const std::string &except = "") const {
        return detail::counted(
            request_, execgate_group_send_bytes(&request_, name_.c_str(), except.c_str(), bytes.data(), bytes.size()));
    }
    std::size_t size() const { return detail::counted(request_, execgate_group_size(&request_, name_.c_str())); }
    /* {"connections": [...]}, the first so many. */
    std::string show(unsigned limit = 1000) const {
        const char *text = execgate_group_show(&request_, name_.c_str(), limit);
        if (!text) throw error("NotDone", execgate_send_problem(&request_));
        return text;
    }

  private:
    const request &request_;
    std::string name_;
};

/* What main returns: 0 after a drain, 1 when there was no gateway. Handler: void(const request &, response &). */
template <class Handler> int run(Handler handler) {
    struct trampoline {
        static void call(const request *q, response *r, void *user) {
            try {
                (*static_cast<Handler *>(user))(*q, *r);
            } catch (const error &e) {
                e.report(*r);
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
