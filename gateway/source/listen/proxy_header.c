#include "gateway/source/listen/proxy_header.h"
#include "gateway/base/memory.h"
#include <arpa/inet.h>

#define LINE_MAX_SIZE 107 /* version 1, with CRLF */
#define FIXED_SIZE 16     /* version 2, up to the addresses */

static const struct slice signature_1 = {"PROXY ", 6};
static const struct slice signature_2 = {"\r\n\r\n\0\r\nQUIT\n", 12};

static enum proxy_progress bad(struct proxy_header *out, const char *flaw) {
    out->flaw = flaw;
    return PROXY_HEADER_BAD;
}

/* As far as both go. */
static bool begins_alike(struct slice bytes, struct slice signature) {
    size_t n = bytes.n < signature.n ? bytes.n : signature.n;
    return n == 0 || memcmp(bytes.p, signature.p, n) == 0;
}

/* --- version 1 --- */

/* inet_pton takes neither blanks nor leading zeros, but needs an end. */
static bool read_address(struct slice text, int family, void *bytes) {
    char copy[INET6_ADDRSTRLEN];
    if (text.n == 0 || text.n >= sizeof copy || memchr(text.p, '\0', text.n)) return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    return inet_pton(family, copy, bytes) == 1;
}

static bool read_port(struct slice text, uint16_t *port) {
    uint64_t number = 0;
    if (text.n == 0 || text.n > 5 || (text.n > 1 && text.p[0] == '0')) return false;
    if (!slice_to_u64(text, &number) || number > UINT16_MAX) return false;
    *port = (uint16_t)number;
    return true;
}

/* "192.0.2.1 198.51.100.2 56324 443": source and destination address, source and destination port. */
static enum proxy_progress read_line_addresses(struct slice rest, int family, struct proxy_header *out) {
    struct slice words[4];
    unsigned char source[16], destination[16];
    uint16_t source_port = 0, destination_port = 0;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (!slice_next(&rest, ' ', &words[i])) return bad(out, "its line ends too early");
    if (!slice_is_none(rest)) return bad(out, "its line is too long");
    if (!read_address(words[0], family, source) || !read_address(words[1], family, destination))
        return bad(out, "an address is none of its family");
    if (!read_port(words[2], &source_port) || !read_port(words[3], &destination_port))
        return bad(out, "a port is no number from 0 to 65535");
    out->names_client = true;
    if (family == AF_INET)
        peer_set_ipv4(&out->client, source, source_port);
    else
        peer_set_ipv6(&out->client, source, source_port);
    return PROXY_HEADER_DONE;
}

static enum proxy_progress parse_line(struct slice bytes, struct proxy_header *out) {
    if (bytes.n < signature_1.n) return PROXY_HEADER_MORE;
    size_t most = bytes.n < LINE_MAX_SIZE ? bytes.n : LINE_MAX_SIZE;
    const char *end = memchr(bytes.p, '\n', most);
    if (!end) return bytes.n < LINE_MAX_SIZE ? PROXY_HEADER_MORE : bad(out, "its line is longer than 107 bytes");
    if (end[-1] != '\r') return bad(out, "its line does not end with CRLF");
    out->size = (size_t)(end - bytes.p) + 1;
    struct slice rest = slice_make(bytes.p + signature_1.n, out->size - signature_1.n - 2);
    struct slice family;
    if (!slice_next(&rest, ' ', &family)) return bad(out, "its line ends too early");
    if (slice_equal(family, SLICE("UNKNOWN"))) return PROXY_HEADER_DONE;
    if (slice_equal(family, SLICE("TCP4"))) return read_line_addresses(rest, AF_INET, out);
    if (slice_equal(family, SLICE("TCP6"))) return read_line_addresses(rest, AF_INET6, out);
    return bad(out, "its family is none of TCP4, TCP6 and UNKNOWN");
}

/* --- version 2 --- */

enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 };
enum { OVER_TCP4 = 0x11, OVER_TCP6 = 0x21, OVER_UNIX_STREAM = 0x31 };
enum { FAMILY_LAST = 3, PROTOCOL_LAST = 2 };
enum { SIZE_TCP4 = 12, SIZE_TCP6 = 36, SIZE_UNIX = 216 };

static uint16_t read_u16(const unsigned char *p) {
    return (uint16_t)(p[0] << 8 | p[1]);
}

static enum proxy_progress read_binary_addresses(const unsigned char *p, size_t n, int over, struct proxy_header *out) {
    size_t needed = over == OVER_TCP4          ? SIZE_TCP4
                    : over == OVER_TCP6        ? SIZE_TCP6
                    : over == OVER_UNIX_STREAM ? SIZE_UNIX
                                               : 0;
    if (n < needed) return bad(out, "it is too short for its addresses");
    out->names_client = needed > 0;
    if (over == OVER_TCP4) peer_set_ipv4(&out->client, p, read_u16(p + 8));
    if (over == OVER_TCP6) peer_set_ipv6(&out->client, p, read_u16(p + 32));
    if (over == OVER_UNIX_STREAM) peer_set_local(&out->client);
    return PROXY_HEADER_DONE;
}

static enum proxy_progress parse_binary(struct slice bytes, struct proxy_header *out) {
    if (bytes.n < FIXED_SIZE) return PROXY_HEADER_MORE;
    const unsigned char *p = (const unsigned char *)bytes.p;
    int command = p[12], over = p[13];
    size_t rest = read_u16(p + 14);
    if (command != COMMAND_LOCAL && command != COMMAND_PROXY) return bad(out, "its version or command is unknown");
    if (over >> 4 > FAMILY_LAST || (over & 15) > PROTOCOL_LAST) return bad(out, "its family or protocol is unknown");
    if (FIXED_SIZE + rest > PROXY_HEADER_MAX) return bad(out, "it is longer than 4096 bytes");
    if (bytes.n < FIXED_SIZE + rest) return PROXY_HEADER_MORE;
    out->size = FIXED_SIZE + rest;
    if (command == COMMAND_LOCAL) return PROXY_HEADER_DONE;
    return read_binary_addresses(p + FIXED_SIZE, rest, over, out);
}

enum proxy_progress proxy_header_parse(struct slice bytes, struct proxy_header *out) {
    *out = (struct proxy_header){0};
    if (bytes.n == 0) return PROXY_HEADER_MORE;
    if (begins_alike(bytes, signature_1)) return parse_line(bytes, out);
    if (begins_alike(bytes, signature_2)) return parse_binary(bytes, out);
    return bad(out, "there is none");
}
