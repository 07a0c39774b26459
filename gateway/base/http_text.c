#include "gateway/base/http_text.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include <time.h>

/* Bits of byte_kinds. */
enum { TCHAR = 1, VALUE = 2 };

/* tchar (RFC 9110 5.6.2); VCHAR, obs-text, SP and HTAB (RFC 9110 5.5). */
static const unsigned char byte_kinds[256] = {
    ['\t'] = VALUE,
    [' '] = VALUE,
    ['!'] = TCHAR | VALUE,
    ['"'] = VALUE,
    ['#' ... '\''] = TCHAR | VALUE,
    ['(' ... ')'] = VALUE,
    ['*' ... '+'] = TCHAR | VALUE,
    [','] = VALUE,
    ['-' ... '.'] = TCHAR | VALUE,
    ['/'] = VALUE,
    ['0' ... '9'] = TCHAR | VALUE,
    [':' ... '@'] = VALUE,
    ['A' ... 'Z'] = TCHAR | VALUE,
    ['[' ... ']'] = VALUE,
    ['^' ... 'z'] = TCHAR | VALUE,
    ['{'] = VALUE,
    ['|'] = TCHAR | VALUE,
    ['}'] = VALUE,
    ['~'] = TCHAR | VALUE,
    [0x80 ... 0xff] = VALUE,
};

/* No early end: the common answer is yes, and the loop has no branch. */
static bool all_of_kind(struct slice s, unsigned kind) {
    unsigned kinds = kind;
    for (size_t i = 0; i < s.n; i++) kinds &= byte_kinds[(unsigned char)s.p[i]];
    return kinds != 0;
}

bool http_is_token(struct slice s) {
    return s.n && all_of_kind(s, TCHAR);
}

static inline bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/* Without the words of eight bytes at the start that hold neither controls nor DEL, which is nearly always all of it.
 */
static struct slice skip_visible_words(struct slice s) {
    const uint64_t ones = 0x0101010101010101u;
    uint64_t word;
    for (; s.n >= sizeof word; s.p += sizeof word, s.n -= sizeof word) {
        memcpy(&word, s.p, sizeof word);
        uint64_t del = word ^ ones * 0x7f;
        if ((((word - ones * 0x20) & ~word) | ((del - ones) & ~del)) & ones * 0x80) break;
    }
    return s;
}

bool http_is_field_value(struct slice s) {
    if (s.n == 0) return true;
    return !is_blank(s.p[0]) && !is_blank(s.p[s.n - 1]) && all_of_kind(skip_visible_words(s), VALUE);
}

bool http_is_hop_by_hop(struct slice name) {
    static const struct slice names[] = {
        {"connection", 10}, {"keep-alive", 10}, {"te", 2}, {"trailer", 7}, {"transfer-encoding", 17}, {"upgrade", 7},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (name.n == names[i].n && slice_equal_nocase(name, names[i])) return true;
    return slice_starts_with_nocase(name, SLICE("proxy-"));
}

char http_variable_character(char c) {
    if (c >= 'a' && c <= 'z') return (char)(c - 'a' + 'A');
    bool plain = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return plain ? c : '_';
}

bool http_name_reads_from(struct slice name, struct slice prefix) {
    if (name.n < prefix.n) return false;
    for (size_t i = 0; i < prefix.n; i++)
        if (http_variable_character(name.p[i]) != http_variable_character(prefix.p[i])) return false;
    return true;
}

bool http_name_reads_as(struct slice name, struct slice own) {
    return name.n == own.n && http_name_reads_from(name, own);
}

bool http_is_named_by_connection(const struct fields *f, struct slice name) {
    for (size_t i = 0; i < f->count; i++) {
        if (!slice_equal_nocase(f->items[i].name, SLICE("connection"))) continue;
        if (http_list_has(f->items[i].value, name)) return true;
    }
    return false;
}

/* Where the element ends: at a comma that stands outside of a quoted string (RFC 9110 5.6.4). */
static size_t list_element_size(struct slice list) {
    bool quoted = false;
    size_t i = 0;
    for (; i < list.n && (quoted || list.p[i] != ','); i++) {
        if (list.p[i] == '"') quoted = !quoted;
        if (quoted && list.p[i] == '\\' && i + 1 < list.n) i++;
    }
    return i;
}

bool http_list_has(struct slice list, struct slice token) {
    while (list.n) {
        size_t n = list_element_size(list);
        struct slice element = slice_trim(slice_make(list.p, n));
        if (element.n && slice_equal_nocase(element, token)) return true;
        if (n == list.n) return false;
        list = slice_make(list.p + n + 1, list.n - n - 1);
    }
    return false;
}

void http_vary_add(struct fields *f, struct arena *a, struct slice name) {
    struct field *first = NULL;
    for (size_t i = 0; i < f->count; i++) {
        struct field *field = &f->items[i];
        if (!slice_equal_nocase(field->name, SLICE("Vary"))) continue;
        if (http_list_has(field->value, name) || http_list_has(field->value, SLICE("*"))) return;
        if (!first && field->value.n) first = field;
    }
    if (first)
        first->value = arena_printf(a, SLICE_FMT ", " SLICE_FMT, SLICE_ARG(first->value), SLICE_ARG(name));
    else
        fields_add(f, a, SLICE("Vary"), name);
}

size_t http_fields_remove_prefixed(struct fields *f, struct slice prefix) {
    size_t kept = 0;
    for (size_t i = 0; i < f->count; i++)
        if (!slice_starts_with_nocase(f->items[i].name, prefix)) f->items[kept++] = f->items[i];
    size_t removed = f->count - kept;
    f->count = kept;
    return removed;
}

/* The IANA registry of HTTP status codes. */
static const char *const reasons[] = {
    [100] = "Continue",
    [101] = "Switching Protocols",
    [102] = "Processing",
    [103] = "Early Hints",
    [200] = "OK",
    [201] = "Created",
    [202] = "Accepted",
    [203] = "Non-Authoritative Information",
    [204] = "No Content",
    [205] = "Reset Content",
    [206] = "Partial Content",
    [207] = "Multi-Status",
    [208] = "Already Reported",
    [226] = "IM Used",
    [300] = "Multiple Choices",
    [301] = "Moved Permanently",
    [302] = "Found",
    [303] = "See Other",
    [304] = "Not Modified",
    [305] = "Use Proxy",
    [307] = "Temporary Redirect",
    [308] = "Permanent Redirect",
    [400] = "Bad Request",
    [401] = "Unauthorized",
    [402] = "Payment Required",
    [403] = "Forbidden",
    [404] = "Not Found",
    [405] = "Method Not Allowed",
    [406] = "Not Acceptable",
    [407] = "Proxy Authentication Required",
    [408] = "Request Timeout",
    [409] = "Conflict",
    [410] = "Gone",
    [411] = "Length Required",
    [412] = "Precondition Failed",
    [413] = "Content Too Large",
    [414] = "URI Too Long",
    [415] = "Unsupported Media Type",
    [416] = "Range Not Satisfiable",
    [417] = "Expectation Failed",
    [421] = "Misdirected Request",
    [422] = "Unprocessable Content",
    [423] = "Locked",
    [424] = "Failed Dependency",
    [425] = "Too Early",
    [426] = "Upgrade Required",
    [428] = "Precondition Required",
    [429] = "Too Many Requests",
    [431] = "Request Header Fields Too Large",
    [451] = "Unavailable For Legal Reasons",
    [500] = "Internal Server Error",
    [501] = "Not Implemented",
    [502] = "Bad Gateway",
    [503] = "Service Unavailable",
    [504] = "Gateway Timeout",
    [505] = "HTTP Version Not Supported",
    [506] = "Variant Also Negotiates",
    [507] = "Insufficient Storage",
    [508] = "Loop Detected",
    [511] = "Network Authentication Required",
};

const char *http_reason(int status) {
    if (status < 0 || (size_t)status >= ARRAY_LEN(reasons) || !reasons[status]) return "";
    return reasons[status];
}

static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static struct tm utc_of(uint64_t wall_ms) {
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm t = {0};
    gmtime_r(&seconds, &t);
    return t;
}

static void put_time(char *at, const struct tm *t) {
    text_put_2(at, t->tm_hour);
    text_put_2(at + 3, t->tm_min);
    text_put_2(at + 6, t->tm_sec);
}

void http_date(uint64_t wall_ms, char text[30]) {
    struct tm t = utc_of(wall_ms);
    memcpy(text, "Sun, 00 Jan 0000 00:00:00 GMT", 30);
    memcpy(text, days[t.tm_wday], 3);
    text_put_2(text + 5, t.tm_mday);
    memcpy(text + 8, months[t.tm_mon], 3);
    text_put_4(text + 12, t.tm_year + 1900);
    put_time(text + 17, &t);
}

void http_common_log_time(uint64_t wall_ms, char text[27]) {
    struct tm t = utc_of(wall_ms);
    memcpy(text, "00/Jan/0000:00:00:00 +0000", 27);
    text_put_2(text, t.tm_mday);
    memcpy(text + 3, months[t.tm_mon], 3);
    text_put_4(text + 7, t.tm_year + 1900);
    put_time(text + 12, &t);
}
