#include "gateway/blueprint/text_rules.h"
#include "gateway/base/http_text.h"

#define NAME_MAX_SIZE 64

bool character_is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool character_is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool name_accepts(struct slice s) {
    for (size_t i = 0; i < s.n; i++) {
        bool is_word = (s.p[i] >= 'a' && s.p[i] <= 'z') || character_is_digit(s.p[i]);
        if (!is_word && !(i > 0 && s.p[i] == '-')) return false;
    }
    return s.n > 0 && s.n <= NAME_MAX_SIZE;
}

static bool variable_name_accepts(struct slice s) {
    for (size_t i = 0; i < s.n; i++) {
        bool is_inner = character_is_digit(s.p[i]) || s.p[i] == '_' || s.p[i] == '-';
        if (!character_is_letter(s.p[i]) && !(i > 0 && is_inner)) return false;
    }
    return s.n > 0 && s.n <= NAME_MAX_SIZE;
}

static bool environment_name_accepts(struct slice s) {
    for (size_t i = 0; i < s.n; i++) {
        bool is_word = character_is_letter(s.p[i]) || s.p[i] == '_';
        if (!is_word && !(i > 0 && character_is_digit(s.p[i]))) return false;
    }
    return s.n > 0;
}

static bool any_text_accepts(struct slice s) {
    return s.n > 0;
}

static bool is_network_character(char c) {
    return character_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' || c == '.';
}

static bool network_accepts(struct slice s) {
    size_t address = 0, digits = 0;
    if (slice_equal(s, SLICE("unix"))) return true;
    while (address < s.n && is_network_character(s.p[address])) address++;
    if (address == 0) return false;
    if (address == s.n) return true;
    for (size_t i = address + 1; i < s.n && character_is_digit(s.p[i]); i++) digits++;
    return s.p[address] == '/' && digits >= 1 && digits <= 3 && address + 1 + digits == s.n;
}

static bool redis_key_accepts(struct slice s) {
    return s.n >= 1 && s.n <= 256;
}

const struct text_rule rule_name = {
    "a name (lower-case letters, digits and '-', beginning with a letter or digit, at most 64)",
    "^[a-z0-9][a-z0-9-]{0,63}$",
    name_accepts,
};
const struct text_rule rule_redis_key = {
    "a key of Redis (1 to 256 bytes)",
    "^.{1,256}$",
    redis_key_accepts,
};
const struct text_rule rule_variable_name = {
    "a variable's name (letters, digits, '_' and '-', beginning with a letter, at most 64)",
    "^[A-Za-z][A-Za-z0-9_-]{0,63}$",
    variable_name_accepts,
};
const struct text_rule rule_environment_name = {
    "the name of an environment variable (letters, digits and '_', not beginning with a digit)",
    "^[A-Za-z_][A-Za-z0-9_]*$",
    environment_name_accepts,
};
const struct text_rule rule_path = {"a path", "^.+$", any_text_accepts};
const struct text_rule rule_network = {
    "a network such as 10.0.0.0/8, 2001:db8::/32 or unix",
    "^(unix|[0-9A-Fa-f:.]+(/[0-9]{1,3})?)$",
    network_accepts,
};
/* These two are parsed later, with better messages than a rule can give. */
const struct text_rule rule_listener = {
    "host:port, :port, [v6]:port or unix:path",
    "^(unix:.+|.*:[0-9]{1,5})$",
    any_text_accepts,
};
static bool subprotocol_accepts(struct slice text) {
    return http_is_token(text);
}
static bool websocket_path_accepts(struct slice text) {
    return text.n > 0 && text.p[0] == '/';
}
const struct text_rule rule_subprotocol = {"a subprotocol: a name without blanks and separators",
                                           "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", subprotocol_accepts};
const struct text_rule rule_websocket_path = {"a path such as `/chat`", "^/[^ ?#%]*$", websocket_path_accepts};
const struct text_rule rule_route = {
    "a method and a pattern such as `GET /items/{id}`",
    "^[A-Z][A-Z-]* +/[^ ?#%]*$",
    any_text_accepts,
};
