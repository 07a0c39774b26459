// notes.cpp - notes that survive a restart: an index in memory over an append-only log file.
//
//   GET /notes            all, newest last        POST /notes         text in, 201 and a Location out
//   GET /notes/{id}       one                     DELETE /notes/{id}  204
//
// A record of the log is a line "+ID SIZE" followed by SIZE bytes and a newline, or a line "-ID". A note exists once
// its record is on disk (fdatasync); a torn record at the end, left by a crash, is cut off at the next start.
#define EXECGATE_IMPLEMENTATION
#include "../execgate.hpp"
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <map>
#include <stdexcept>
#include <sys/file.h>
#include <system_error>

class NoteLog {
  public:
    explicit NoteLog(const std::string &path)
        : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {
        if (fd_ < 0) throw std::system_error(errno, std::generic_category(), path);
        // Two processes would each believe in their own index.
        if (::flock(fd_, LOCK_EX) != 0) throw std::system_error(errno, std::generic_category(), path);
        load(path);
        if (::ftruncate(fd_, size_) != 0) throw std::system_error(errno, std::generic_category(), path);
    }
    ~NoteLog() { ::close(fd_); }
    NoteLog(const NoteLog &) = delete;
    NoteLog &operator=(const NoteLog &) = delete;

    const std::map<unsigned long, std::string> &all() const { return notes_; }

    unsigned long add(const std::string &text) {
        unsigned long id = last_id_ + 1;
        append("+" + std::to_string(id) + " " + std::to_string(text.size()) + "\n" + text + "\n");
        notes_[id] = text;
        return last_id_ = id;
    }

    bool remove(unsigned long id) {
        if (notes_.count(id) == 0) return false;
        append("-" + std::to_string(id) + "\n");
        notes_.erase(id);
        return true;
    }

  private:
    void load(const std::string &path) {
        std::ifstream in(path, std::ios::binary);
        while (load_record(in)) size_ = static_cast<off_t>(in.tellg());
    }

    // False at the end, and at a record that is not complete.
    bool load_record(std::istream &in) {
        char kind = 0;
        unsigned long id = 0;
        if (!in.get(kind) || !(in >> id)) return false;
        if (kind == '-') {
            if (in.get() != '\n') return false;
            notes_.erase(id);
            return true;
        }
        std::size_t size = 0;
        if (kind != '+' || !(in >> size) || in.get() != '\n') return false;
        std::string text(size, '\0');
        if (!in.read(&text[0], static_cast<std::streamsize>(size)) || in.get() != '\n') return false;
        notes_[id] = text;
        last_id_ = id > last_id_ ? id : last_id_;
        return true;
    }

    void append(const std::string &record) {
        ssize_t written = ::write(fd_, record.data(), record.size());
        bool whole = written == static_cast<ssize_t>(record.size()) && ::fdatasync(fd_) == 0;
        if (whole) {
            size_ += static_cast<off_t>(record.size());
            return;
        }
        int cut = ::ftruncate(fd_, size_);
        throw std::runtime_error(cut == 0 ? "the note could not be saved" : "the log is damaged");
    }

    int fd_;
    off_t size_ = 0;
    unsigned long last_id_ = 0;
    std::map<unsigned long, std::string> notes_;
};

static void write_note(execgate::response &response, unsigned long id, const std::string &text) {
    execgate_print(&response, "{\"id\":%lu,\"text\":", id);
    execgate::print_json(response, text);
    execgate::print(response, "}");
}

static void answer_note(execgate::response &response, unsigned long id, const std::string &text) {
    execgate_add_header(&response, "Content-Type", "application/json");
    write_note(response, id, text);
    execgate::print(response, "\n");
}

static void problem(execgate::response &response, int status, const char *title) {
    execgate_status(&response, status);
    execgate_add_header(&response, "Content-Type", "application/problem+json");
    execgate_print(&response, "{\"status\":%d,\"title\":\"%s\"}\n", status, title);
}

static void list(const NoteLog &log, execgate::response &response) {
    const char *separator = "";
    execgate_add_header(&response, "Content-Type", "application/json");
    execgate::print(response, "[");
    for (const auto &[id, text] : log.all()) {
        execgate::print(response, separator);
        write_note(response, id, text);
        separator = ",\n";
    }
    execgate::print(response, "]\n");
}

static void create(NoteLog &log, const execgate::request &request, execgate::response &response) {
    std::string text = execgate::body(request);
    if (text.empty()) return problem(response, 400, "A note needs a text");
    unsigned long id = log.add(text);
    execgate_status(&response, 201);
    execgate_add_header(&response, "Location", ("/notes/" + std::to_string(id)).c_str());
    answer_note(response, id, text);
}

static void one(NoteLog &log, const std::string &id_text, const std::string &method, execgate::response &response) {
    auto note = log.all().find(std::strtoul(id_text.c_str(), nullptr, 10));
    if (note == log.all().end()) return problem(response, 404, "There is no such note");
    if (method != "DELETE") return answer_note(response, note->first, note->second);
    log.remove(note->first);
    execgate_status(&response, 204);
}

int main() try {
    const char *file = std::getenv("NOTES_FILE");
    NoteLog log(file ? file : "notes.log");
    return execgate::run([&log](const execgate::request &request, execgate::response &response) {
        std::string method = request.method, id = execgate::parameter(request, "id");
        if (!id.empty())
            one(log, id, method, response);
        else if (method == "POST")
            create(log, request, response);
        else
            list(log, response);
    });
} catch (const std::exception &e) {
    std::fprintf(stderr, "notes: %s\n", e.what());
    return 1;
}
