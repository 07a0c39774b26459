#include "plugins/auth/jwks_discovery.h"
#include "plugins/auth/jose.h"
#include <arpa/inet.h>

#define URL_SIZE_MAX 2048

struct parts {
    bool secure;
    struct slice origin; /* scheme and authority */
    struct slice host;   /* with the brackets of an IPv6 address */
    struct slice path;   /* with the query; may be empty */
};

/* RFC 3986 2, without '#': a fragment is never sent. Libraries differ about everything else, so it is refused. */
static bool is_url_char(char c) {
    bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return is_word || (c && strchr("-._~:/?[]@!$&'()*+,;=%", c));
}

static bool is_port(struct slice s) {
    uint64_t number;
    return s.n == 0 || (s.p[0] == ':' && slice_to_u64(slice_make(s.p + 1, s.n - 1), &number) && number <= UINT16_MAX);
}

/* Splits the authority into host and port; false for anything else, a user's name too. */
static bool split_authority(struct slice authority, struct slice *host) {
    ptrdiff_t end = authority.n && authority.p[0] == '[' ? slice_find(authority, ']') + 1 : slice_find(authority, ':');
    size_t n = end > 0 ? (size_t)end : authority.n;
    *host = slice_make(authority.p, n);
    return n > 0 && end != 0 && slice_find(authority, '@') < 0 && is_port(slice_make(authority.p + n, authority.n - n));
}

static const char *split(struct slice url, struct parts *p) {
    struct slice rest = url;
    p->secure = slice_starts_with(url, SLICE("https://"));
    if (!p->secure && !slice_starts_with(url, SLICE("http://"))) return "it does not begin with https://";
    if (url.n > URL_SIZE_MAX) return "it is too long";
    for (size_t i = 0; i < url.n; i++)
        if (!is_url_char(url.p[i])) return "it holds a character that has no place in a URL";
    rest.p += p->secure ? 8 : 7;
    rest.n -= p->secure ? 8 : 7;
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?') n++;
    if (!split_authority(slice_make(rest.p, n), &p->host)) return "it does not name a host";
    p->origin = slice_make(url.p, (size_t)(rest.p - url.p) + n);
    p->path = slice_make(rest.p + n, rest.n - n);
    return NULL;
}

static bool is_loopback(struct slice host) {
    char text[INET_ADDRSTRLEN];
    struct in_addr address;
    if (slice_equal(host, SLICE("localhost")) || slice_equal(host, SLICE("[::1]"))) return true;
    if (host.n >= sizeof text) return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    return inet_pton(AF_INET, text, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

const char *jwks_url_objection(struct slice url, enum jwks_place place) {
    struct parts p;
    const char *why = split(url, &p);
    if (why) return why;
    if (!p.secure && !is_loopback(p.host)) return "plain http is for issuers on this machine only; use https://";
    bool has_query = slice_find(p.path, '?') >= 0;
    return place == JWKS_PLACE_ISSUER && has_query ? "an issuer has no query" : NULL;
}

size_t jwks_metadata_urls(struct slice issuer, struct arena *a, const char *urls[JWKS_METADATA_PLACES]) {
    struct parts p;
    size_t count = 0;
    if (split(issuer, &p)) return 0;
    if (p.path.n && p.path.p[p.path.n - 1] == '/') p.path.n--;
    urls[count++] = arena_printf(a, SLICE_FMT SLICE_FMT "/.well-known/openid-configuration", SLICE_ARG(p.origin),
                                 SLICE_ARG(p.path))
                        .p;
    urls[count++] = arena_printf(a, SLICE_FMT "/.well-known/oauth-authorization-server" SLICE_FMT, SLICE_ARG(p.origin),
                                 SLICE_ARG(p.path))
                        .p;
    if (p.path.n)
        urls[count++] = arena_printf(a, SLICE_FMT SLICE_FMT "/.well-known/oauth-authorization-server",
                                     SLICE_ARG(p.origin), SLICE_ARG(p.path))
                            .p;
    return count;
}

/* What an issuer that is reached over https names is https, too. */
static const char *keys_url_objection(struct slice url, struct slice issuer) {
    const char *why = jwks_url_objection(url, JWKS_PLACE_KEYS);
    bool mixed = slice_starts_with(issuer, SLICE("https:")) && !slice_starts_with(url, SLICE("https:"));
    return why || !mixed ? why : "the issuer is https, its keys are not";
}

int jwks_metadata_read(struct slice json, struct slice issuer, struct arena *a, const char **keys_url,
                       struct error *e) {
    struct jose_object o;
    struct slice named, url;
    const char *why = jose_object_read(&o, json, a);
    if (why) return error_set(e, ERROR_FORMAT, "it cannot be read: %s", why);
    if (jose_object_text(&o, SLICE("issuer"), a, &named) != JOSE_TEXT_FOUND)
        return error_set(e, ERROR_FORMAT, "it names no issuer");
    if (!slice_equal(named, issuer))
        return error_set(e, ERROR_FORMAT, "it is of another issuer, \"" SLICE_FMT "\"",
                         (int)(named.n < 200 ? named.n : 200), named.p);
    if (jose_object_text(&o, SLICE("jwks_uri"), a, &url) != JOSE_TEXT_FOUND)
        return error_set(e, ERROR_FORMAT, "it has no jwks_uri");
    why = keys_url_objection(url, issuer);
    if (why) return error_set(e, ERROR_FORMAT, "its jwks_uri cannot be used: %s", why);
    *keys_url = arena_text(a, url);
    return 0;
}
