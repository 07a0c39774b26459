#pragma once
#include <cctype>
#include <cstdlib>
#include <string>
#include <utility>

// The texts among the members of a JSON object (RFC 8259); all else is passed over. For what clients send, which may be
// anything, and for claims.
class JsonTexts {
  public:
    // What the member says; false when there is none, when it is no text, and when this is no JSON.
    static bool find(const std::string &json, const std::string &name, std::string &out) {
        JsonTexts reader(json);
        std::string found;
        bool is_there = false;
        const bool whole = reader.object([&](const std::string &member) {
            if (member != name || !reader.begins('"')) return reader.value(deepest);
            found.clear();
            return is_there = reader.text(found);
        });
        if (whole && reader.at_end() && is_there) out = std::move(found);
        return whole && reader.at_end() && is_there;
    }

  private:
    static constexpr int deepest = 32;

    explicit JsonTexts(const std::string &text) : text_(text) {}

    void skip() {
        while (at_ < text_.size() && std::string(" \t\r\n").find(text_[at_]) != std::string::npos) at_++;
    }
    bool at_end() {
        skip();
        return at_ == text_.size();
    }
    bool begins(char c) { return !at_end() && text_[at_] == c; }
    bool take(char c) {
        if (!begins(c)) return false;
        at_++;
        return true;
    }

    // The items between brackets.
    template <class Item> bool list(char first, char last, Item item) {
        if (!take(first)) return false;
        if (take(last)) return true;
        do
            if (!item()) return false;
        while (take(','));
        return take(last);
    }
    template <class Member> bool object(Member member) {
        return list('{', '}', [&] {
            std::string name;
            return text(name) && take(':') && member(name);
        });
    }

    bool value(int depth) {
        std::string unused;
        if (depth == 0 || at_end()) return false;
        if (begins('"')) return text(unused);
        if (begins('{')) return object([&](const std::string &) { return value(depth - 1); });
        if (begins('[')) return list('[', ']', [&] { return value(depth - 1); });
        return word();
    }
    // A number, true, false or null: whoever needs those brings a library.
    bool word() {
        const std::size_t from = at_;
        while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '-' ||
                                      text_[at_] == '+' || text_[at_] == '.'))
            at_++;
        return at_ > from;
    }

    bool text(std::string &out) {
        if (!take('"')) return false;
        for (; at_ < text_.size() && text_[at_] != '"'; at_++) {
            if (static_cast<unsigned char>(text_[at_]) < ' ') return false;
            if (text_[at_] != '\\')
                out += text_[at_];
            else if (!escape(out))
                return false;
        }
        return at_++ < text_.size();
    }
    // Behind a backslash; ends on the escape's last character.
    bool escape(std::string &out) {
        static const std::string letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
        if (++at_ >= text_.size()) return false;
        const std::size_t which = letters.find(text_[at_]);
        if (which != std::string::npos) {
            out += meanings[which];
            return true;
        }
        unsigned long code = 0, low = 0;
        if (text_[at_] != 'u' || !unit(code)) return false;
        if (code >= 0xdc00 && code < 0xe000) return false;
        if (code >= 0xd800 && code < 0xdc00) {
            if (text_.compare(at_ + 1, 2, "\\u") != 0) return false;
            at_ += 2;
            if (!unit(low) || low < 0xdc00 || low >= 0xe000) return false;
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        append(out, code);
        return true;
    }
    // The four digits behind a `u`.
    bool unit(unsigned long &code) {
        const std::string digits = text_.substr(at_ + 1, 4);
        if (digits.size() != 4 || digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) return false;
        code = std::strtoul(digits.c_str(), nullptr, 16);
        at_ += 4;
        return true;
    }
    // UTF-8 (RFC 3629 section 3).
    static void append(std::string &out, unsigned long code) {
        const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((code >> shift) & 0x3f)); };
        if (code < 0x80) {
            out += static_cast<char>(code);
        } else if (code < 0x800) {
            out += static_cast<char>(0xc0 | (code >> 6));
            tail(0);
        } else if (code < 0x10000) {
            out += static_cast<char>(0xe0 | (code >> 12));
            tail(6), tail(0);
        } else {
            out += static_cast<char>(0xf0 | (code >> 18));
            tail(12), tail(6), tail(0);
        }
    }

    const std::string &text_;
    std::size_t at_ = 0;
};
