#include "gateway/blueprint/substitute.h"
#include <arpa/inet.h>
#include <sys/un.h>

static int listener_parse_unix(struct slice path, const char *directory, struct arena *a, struct listener_config *out,
                               struct error *e) {
    if (path.n == 0) return error_set(e, ERROR_BLUEPRINT, "a path is missing after unix:");
    out->kind = LISTENER_UNIX;
    out->path = path_resolve(a, directory, path);
    size_t most = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    if (strlen(out->path) <= most) return 0;
    return error_set(e, ERROR_BLUEPRINT, "the socket's path has %zu bytes, but the system allows %zu: %s",
                     strlen(out->path), most, out->path);
}

static bool host_is_address(const char *host, bool is_bracketed) {
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(is_bracketed ? AF_INET6 : AF_INET, host, address) == 1;
}

/* `localhost` could mean either family; the IPv4 one is what every client tries. */
static const char *host_resolve(struct arena *a, struct slice host, bool is_bracketed) {
    if (host.n == 0 && !is_bracketed) return "0.0.0.0";
    if (slice_equal(host, SLICE("localhost"))) return "127.0.0.1";
    const char *text = arena_text(a, host);
    return host_is_address(text, is_bracketed) ? text : NULL;
}

static int listener_parse_tcp(struct slice text, struct arena *a, struct listener_config *out, struct error *e) {
    const char *colon = text.n ? memrchr(text.p, ':', text.n) : NULL;
    if (!colon) {
        return error_set(e, ERROR_BLUEPRINT,
                         "expected host:port, :port, [v6]:port or unix:path, found \"" SLICE_FMT "\"", SLICE_ARG(text));
    }
    struct slice host = slice_make(text.p, (size_t)(colon - text.p));
    struct slice port = slice_make(colon + 1, text.n - host.n - 1);
    bool is_bracketed = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (is_bracketed) host = slice_make(host.p + 1, host.n - 2);
    uint64_t number = 0;
    if (!slice_to_u64(port, &number) || number > UINT16_MAX) {
        return error_set(e, ERROR_BLUEPRINT, "\"" SLICE_FMT "\" is no port; expected a number from 0 to 65535",
                         SLICE_ARG(port));
    }
    out->kind = LISTENER_TCP;
    out->port = (uint16_t)number;
    out->host = host_resolve(a, host, is_bracketed);
    if (out->host) return 0;
    bool is_bare_v6 = slice_find(host, ':') >= 0 && !is_bracketed;
    return error_set(e, ERROR_BLUEPRINT, "\"" SLICE_FMT "\" is no numeric address%s", SLICE_ARG(host),
                     is_bare_v6 ? "; put an IPv6 address in brackets: [::1]:8080"
                                : "; expected one such as 127.0.0.1, 0.0.0.0 or [::]");
}

int listener_parse(struct slice text, const char *directory, struct arena *a, struct listener_config *out,
                   struct error *e) {
    *out = (struct listener_config){.text = arena_text(a, text)};
    struct slice copy = slice_of(out->text);
    if (slice_starts_with(copy, SLICE("unix:"))) {
        return listener_parse_unix(slice_make(copy.p + 5, copy.n - 5), directory, a, out, e);
    }
    return listener_parse_tcp(copy, a, out, e);
}

/* 127.0.0.0/8 (RFC 1122 3.2.1.3) and ::1 (RFC 4291 2.5.3). */
static bool host_is_loopback(const char *host) {
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

int listener_parse_admin(struct slice text, const char *directory, struct arena *a, struct listener_config *out,
                         struct error *e) {
    int status = listener_parse(text, directory, a, out, e);
    if (status < 0 || out->kind == LISTENER_UNIX || host_is_loopback(out->host)) return status;
    return error_set(e, ERROR_BLUEPRINT,
                     "\"%s\" can be reached from other machines, and whoever reaches it passes all guards; expected "
                     "127.0.0.1:PORT, [::1]:PORT or unix:PATH",
                     out->text);
}
