#pragma once
#include <algorithm>
#include <cstdlib>
#include <string>

// Reads the one body that a client may send, {"url": "..."}: a string's escapes are of JSON (RFC 8259), everything else
// is not needed here.
class WantedURL {
  public:
    // The URL of a body that asks for a link; empty when it does not.
    static std::string of(const std::string &body) {
        WantedURL reader(body);
        std::string name, url;
        bool one = reader.take('{') && reader.string(name) && reader.take(':') && reader.string(url) &&
                   reader.take('}');
        return one && reader.at_end() && name == "url" && is_url(url) ? url : "";
    }

  private:
    static constexpr std::size_t longest = 2000;

    explicit WantedURL(const std::string &text) : text_(text) {}

    static bool is_url(const std::string &url) {
        std::size_t start = url.compare(0, 8, "https://") == 0 ? 8 : url.compare(0, 7, "http://") == 0 ? 7 : url.size();
        for (char c : url)
            if (c <= ' ' || c > '~') return false;
        return start < url.size() && url.size() <= longest;
    }

    void skip() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }
    bool at_end() {
        skip();
        return at_ == text_.size();
    }
    bool take(char c) {
        if (at_end() || text_[at_] != c) return false;
        at_++;
        return true;
    }

    bool string(std::string &out) {
        if (!take('"')) return false;
        for (; at_ < text_.size() && text_[at_] != '"'; at_++)
            if (text_[at_] != '\\')
                out += text_[at_];
            else if (!escape(out))
                return false;
        return at_++ < text_.size();
    }

    // Behind a backslash. No escape but those of printable ASCII can be in a URL.
    bool escape(std::string &out) {
        at_++;
        if (at_ < text_.size() && std::string("\"\\/").find(text_[at_]) != std::string::npos) {
            out += text_[at_];
            return true;
        }
        std::string digits = text_.substr(std::min(at_ + 1, text_.size()), 4);
        if (at_ >= text_.size() || text_[at_] != 'u' || digits.size() != 4 ||
            digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
            return false;
        unsigned long code = std::strtoul(digits.c_str(), nullptr, 16);
        at_ += 4;
        out += static_cast<char>(code);
        return code > ' ' && code <= '~';
    }

    const std::string &text_;
    std::size_t at_ = 0;
};
