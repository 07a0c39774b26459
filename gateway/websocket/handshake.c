#include "gateway/websocket/handshake.h"
#include "gateway/base/base64.h"
#include "gateway/base/http_text.h"
#include <openssl/sha.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 1.3 */

static bool list_has(const struct fields *headers, struct slice name, struct slice token) {
    for (size_t i = 0; i < headers->count; i++)
        if (slice_equal_nocase(headers->items[i].name, name) && http_list_has(headers->items[i].value, token))
            return true;
    return false;
}

bool handshake_is_asked(const struct fields *headers) {
    return list_has(headers, SLICE("Connection"), SLICE("upgrade")) &&
           list_has(headers, SLICE("Upgrade"), SLICE("websocket"));
}

/* 16 bytes in base64 (RFC 6455 4.1, 7). */
static bool key_is_valid(struct slice key) {
    char bytes[HANDSHAKE_KEY_SIZE];
    return key.n == HANDSHAKE_KEY_SIZE && base64_decode(key, bytes) == 16;
}

static struct handshake_verdict refuse(enum failure f, const char *detail) {
    return (struct handshake_verdict){f, detail};
}

struct handshake_verdict handshake_check(const struct handshake_request *r) {
    const struct fields *f = r->headers;
    if (!slice_equal(r->method, SLICE("GET")) || !r->asked)
        return refuse(FAILURE_UPGRADE_REQUIRED, "this path speaks WebSocket: ask with GET, Connection: Upgrade and "
                                                "Upgrade: websocket");
    if (!slice_equal(r->version, SLICE("HTTP/1.1"))) return refuse(FAILURE_BAD_REQUEST, "a WebSocket needs HTTP/1.1");
    struct slice version = fields_get(f, SLICE("Sec-WebSocket-Version"));
    if (slice_is_none(version)) return refuse(FAILURE_BAD_REQUEST, "there is no Sec-WebSocket-Version");
    if (fields_count(f, SLICE("Sec-WebSocket-Version")) != 1 || !slice_equal(version, SLICE("13")))
        return refuse(FAILURE_UPGRADE_REQUIRED, "the only Sec-WebSocket-Version here is 13");
    if (fields_count(f, SLICE("Sec-WebSocket-Key")) != 1 || !key_is_valid(fields_get(f, SLICE("Sec-WebSocket-Key"))))
        return refuse(FAILURE_BAD_REQUEST, "Sec-WebSocket-Key is not 16 bytes in base64, given once");
    return refuse(FAILURE_NONE, NULL);
}

void handshake_accept(const struct fields *headers, char accept[HANDSHAKE_ACCEPT_SIZE + 1]) {
    struct slice key = fields_get(headers, SLICE("Sec-WebSocket-Key"));
    unsigned char text[HANDSHAKE_KEY_SIZE + sizeof GUID - 1], digest[SHA_DIGEST_LENGTH];
    memcpy(text, key.p, HANDSHAKE_KEY_SIZE);
    memcpy(text + HANDSHAKE_KEY_SIZE, GUID, sizeof GUID - 1);
    SHA1(text, sizeof text, digest);
    base64_encode(digest, sizeof digest, accept);
    accept[HANDSHAKE_ACCEPT_SIZE] = '\0';
}

/* Subprotocols are compared byte by byte (RFC 6455 1.9), unlike tokens of HTTP. */
bool handshake_offers(const struct fields *headers, struct slice protocol) {
    struct slice name;
    for (size_t i = 0; i < headers->count; i++) {
        struct slice list = headers->items[i].value;
        if (!slice_equal_nocase(headers->items[i].name, SLICE("Sec-WebSocket-Protocol"))) continue;
        while (slice_next(&list, ',', &name))
            if (slice_equal(slice_trim(name), protocol)) return true;
    }
    return false;
}

struct slice handshake_choose(const struct fields *headers, const struct slice *protocols, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (handshake_offers(headers, protocols[i])) return protocols[i];
    return SLICE_NONE;
}

bool handshake_same_origin(struct slice origin, struct slice scheme, struct slice host) {
    const struct slice between = SLICE("://");
    if (!slice_starts_with(origin, scheme)) return false;
    origin = slice_make(origin.p + scheme.n, origin.n - scheme.n);
    if (!slice_starts_with(origin, between)) return false;
    return slice_equal_nocase(slice_make(origin.p + between.n, origin.n - between.n), host);
}
