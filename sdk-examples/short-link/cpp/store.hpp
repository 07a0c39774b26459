#pragma once
#include <cerrno>
#include <fcntl.h>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

struct Link {
    std::string code, url;
    unsigned long hits = 0;
};

// An index in memory over a log that several processes append to: "link CODE URL" and "hit CODE" lines, or "host
// CODE HOST" lines. Whoever holds the file's lock first reads what others have appended, so that all know the same.
class Store {
  public:
    explicit Store(const std::string &path) : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {
        if (fd_ < 0) throw std::system_error(errno, std::generic_category(), path);
    }
    ~Store() { ::close(fd_); }
    Store(const Store &) = delete;
    Store &operator=(const Store &) = delete;

    // Returns once the link is on disk.
    Link create(const std::string &url) {
        Locked locked(*this);
        std::string code = new_code();
        while (links_.count(code)) code = new_code();
        add("link " + code + " " + url);
        check(::fdatasync(fd_), "fdatasync");
        return links_[code];
    }

    // False when there is no such link.
    bool find(const std::string &code, Link &found) {
        Locked locked(*this);
        return copy(code, found);
    }

    // Counts a hit. It survives this process but, unlike a link, perhaps not a power cut.
    bool follow(const std::string &code, Link &found) {
        Locked locked(*this);
        if (links_.count(code)) add("hit " + code);
        return copy(code, found);
    }

    // Returns once it is on disk that the link leads there.
    void count(const std::string &code, const std::string &host) {
        Locked locked(*this);
        if (seen_.count(code)) return;
        add("host " + code + " " + host);
        check(::fdatasync(fd_), "fdatasync");
    }

    // How many links lead to each host.
    std::map<std::string, unsigned long> tally() {
        Locked locked(*this);
        return hosts_;
    }

  private:
    struct Locked {
        explicit Locked(Store &store) : fd(store.fd_) {
            check(::flock(fd, LOCK_EX), "flock");
            try {
                store.catch_up();
            } catch (...) {
                ::flock(fd, LOCK_UN);
                throw;
            }
        }
        ~Locked() { ::flock(fd, LOCK_UN); }
        int fd;
    };

    static void check(int result, const char *what) {
        if (result < 0) throw std::system_error(errno, std::generic_category(), what);
    }

    void catch_up() {
        struct stat now;
        check(::fstat(fd_, &now), "fstat");
        if (now.st_size < offset_) throw std::runtime_error("the log became shorter: start anew");
        std::string news(static_cast<std::size_t>(now.st_size - offset_), '\0');
        if (::pread(fd_, &news[0], news.size(), offset_) != static_cast<ssize_t>(news.size()))
            throw std::runtime_error("the log cannot be read");
        std::size_t whole = news.rfind('\n') + 1; // npos + 1 is 0
        std::istringstream lines(news.substr(0, whole));
        for (std::string line; std::getline(lines, line);) learn(line);
        offset_ += static_cast<off_t>(whole);
        // Nobody writes now, so a crash has left half a line.
        if (whole < news.size()) check(::ftruncate(fd_, offset_), "ftruncate");
    }

    void learn(const std::string &line) {
        std::istringstream words(line);
        std::string kind, code, url;
        words >> kind >> code >> url;
        if (kind == "link" && !url.empty()) links_[code] = Link{code, url, 0};
        if (kind == "host" && !url.empty() && seen_.insert(code).second) hosts_[url]++;
        if (kind == "hit" && links_.count(code)) links_[code].hits++;
    }

    void add(const std::string &line) {
        std::string record = line + "\n";
        if (::write(fd_, record.data(), record.size()) != static_cast<ssize_t>(record.size())) {
            check(::ftruncate(fd_, offset_), "ftruncate");
            throw std::runtime_error("the log cannot be written");
        }
        offset_ += static_cast<off_t>(record.size());
        learn(line);
    }

    bool copy(const std::string &code, Link &found) const {
        auto known = links_.find(code);
        if (known == links_.end()) return false;
        found = known->second;
        return true;
    }

    // Seven letters of 5 bits, without those that look alike.
    std::string new_code() {
        std::string code;
        for (int i = 0; i < 7; i++) code += "0123456789abcdefghjkmnpqrstvwxyz"[random_() & 31];
        return code;
    }

    int fd_;
    off_t offset_ = 0; // how much of the log the index knows
    std::map<std::string, Link> links_;
    std::set<std::string> seen_; // codes that are counted
    std::map<std::string, unsigned long> hosts_;
    std::random_device random_;
};
