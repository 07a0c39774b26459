#include "plugins/cors/cors_origin.h"
#include "gateway/base/map.h"
#include "gateway/base/memory.h"
#include <stdlib.h>

#define LABEL_MAX 63
#define HOST_MAX 253
#define ORIGIN_MAX 320 /* the longest host, a scheme and a port */

struct cors_origins {
    bool anyone;
    struct map *exact;
    struct map *wildcards; /* by "https://.shop.example" */
    size_t deepest;        /* labels of the longest wildcard's host */
};

struct origin_parts {
    struct slice scheme; /* with "://" */
    struct slice host;
    struct slice port; /* with ':'; empty when there is none */
};

static bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* The bytes of `s` before `from` and those after. */
static struct slice slice_before(struct slice s, size_t from) {
    return slice_make(s.p, from);
}
static struct slice slice_after(struct slice s, size_t from) {
    return slice_make(s.p + from, s.n - from);
}

static size_t scheme_size(struct slice s) {
    size_t n = 0;
    while (n < s.n && (is_lower(s.p[n]) || (n && (is_digit(s.p[n]) || strchr("+-.", s.p[n])))) && s.p[n]) n++;
    return n && slice_starts_with(slice_after(s, n), SLICE("://")) ? n + 3 : 0;
}

/* Where the port begins: at the last colon, but within no bracket. */
static size_t host_size(struct slice authority) {
    size_t n = authority.n;
    while (n && is_digit(authority.p[n - 1])) n--;
    return n && authority.p[n - 1] == ':' ? n - 1 : authority.n;
}

static bool origin_split(struct slice text, struct origin_parts *out) {
    size_t scheme = scheme_size(text);
    struct slice authority = slice_after(text, scheme);
    size_t host = host_size(authority);
    *out = (struct origin_parts){slice_before(text, scheme), slice_before(authority, host),
                                 slice_after(authority, host)};
    return scheme > 0;
}

static bool label_is_valid(struct slice label) {
    for (size_t i = 0; i < label.n; i++)
        if (!is_lower(label.p[i]) && !is_digit(label.p[i]) && label.p[i] != '-' && label.p[i] != '_') return false;
    return label.n > 0 && label.n <= LABEL_MAX;
}

/* Names and IPv4 addresses. */
static bool host_is_labels(struct slice host) {
    struct slice label;
    if (host.n == 0 || host.n > HOST_MAX) return false;
    while (slice_next(&host, '.', &label))
        if (!label_is_valid(label)) return false;
    return true;
}

static bool host_is_ipv6(struct slice host) {
    if (host.n < 4 || host.p[0] != '[' || host.p[host.n - 1] != ']') return false;
    for (size_t i = 1; i + 1 < host.n; i++) {
        char c = host.p[i];
        if (!is_digit(c) && !(c >= 'a' && c <= 'f') && c != ':') return false;
    }
    return true;
}

static size_t host_labels(struct slice host) {
    size_t count = 1;
    for (size_t i = 0; i < host.n; i++) count += host.p[i] == '.';
    return count;
}

static bool is_wildcard(const struct origin_parts *parts) {
    return slice_starts_with(parts->host, SLICE("*."));
}

/* --- what a list may hold --- */

static const char *port_objection(const struct origin_parts *parts) {
    uint64_t number;
    if (parts->port.n == 0) return NULL;
    struct slice digits = slice_after(parts->port, 1);
    if (!slice_to_u64(digits, &number) || digits.p[0] == '0' || number > UINT16_MAX) return "the port is not valid";
    bool is_default = (number == 80 && slice_equal(parts->scheme, SLICE("http://"))) ||
                      (number == 443 && slice_equal(parts->scheme, SLICE("https://")));
    return is_default ? "browsers leave the scheme's own port out; leave it out here, too" : NULL;
}

static const char *wildcard_objection(struct slice below) {
    ptrdiff_t dot = -1;
    for (size_t i = 0; i < below.n; i++)
        if (below.p[i] == '.') dot = (ptrdiff_t)i;
    uint64_t number;
    if (slice_to_u64(slice_after(below, (size_t)(dot + 1)), &number)) return "nothing is below an address";
    if (dot < 0 && !slice_equal(below, SLICE("localhost")))
        return "a wildcard below a single label trusts hosts of strangers; name two labels at least, as in "
               "https://*.shop.example";
    return NULL;
}

static const char *host_objection(const struct origin_parts *parts) {
    struct slice host = parts->host;
    bool wild = is_wildcard(parts);
    if (wild) host = slice_after(host, 2);
    if (slice_find(host, '*') >= 0)
        return "a wildcard stands for whole labels at the left, once, as in https://*.shop.example";
    for (size_t i = 0; i < host.n; i++)
        if (host.p[i] & (char)0x80) return "browsers send international names in ASCII (xn--...); write it so";
    if (host_is_ipv6(host)) return wild ? "nothing is below an address" : NULL;
    if (!host_is_labels(host)) return "the host is not valid";
    return wild ? wildcard_objection(host) : NULL;
}

const char *cors_origin_objection(struct slice text) {
    struct origin_parts parts;
    if (slice_equal(text, SLICE("*")) || slice_equal(text, SLICE("null"))) return NULL;
    if (text.n > ORIGIN_MAX) return "it is too long";
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] >= 'A' && text.p[i] <= 'Z') return "browsers send origins in lower case; write it so";
    if (!origin_split(text, &parts)) return "expected scheme://host[:port], scheme://*.host, null or *";
    for (size_t i = parts.scheme.n; i < text.n; i++) {
        if (text.p[i] == '@') return "an origin names no user";
        if (strchr("/?#\\", text.p[i])) return "an origin has no path, not even a slash at its end";
    }
    const char *objection = host_objection(&parts);
    return objection ? objection : port_objection(&parts);
}

/* --- the set --- */

struct cors_origins *cors_origins_new(void) {
    struct cors_origins *o = xcalloc(1, sizeof *o);
    o->exact = map_new();
    o->wildcards = map_new();
    return o;
}

void cors_origins_free(struct cors_origins *o) {
    if (!o) return;
    map_free(o->exact);
    map_free(o->wildcards);
    free(o);
}

struct wildcard_key {
    char text[ORIGIN_MAX + 1];
    size_t n;
};

static void key_append(struct wildcard_key *key, struct slice s) {
    if (s.n) memcpy(key->text + key->n, s.p, s.n);
    key->n += s.n;
}

/* `below` begins with a dot. All parts are of one text that is no longer than ORIGIN_MAX. */
static struct slice wildcard_key(struct wildcard_key *key, const struct origin_parts *parts, struct slice below) {
    key->n = 0;
    key_append(key, parts->scheme);
    key_append(key, below);
    key_append(key, parts->port);
    return slice_make(key->text, key->n);
}

static void add_wildcard(struct cors_origins *o, const struct origin_parts *parts) {
    struct wildcard_key key;
    size_t labels = host_labels(slice_after(parts->host, 2));
    map_put(o->wildcards, wildcard_key(&key, parts, slice_after(parts->host, 1)), o);
    if (labels > o->deepest) o->deepest = labels;
}

void cors_origins_add(struct cors_origins *o, struct slice text) {
    struct origin_parts parts;
    if (slice_equal(text, SLICE("*")))
        o->anyone = true;
    else if (origin_split(text, &parts) && is_wildcard(&parts))
        add_wildcard(o, &parts);
    else
        map_put(o->exact, text, o);
}

/* From the shortest tail of the host to the longest that any wildcard has; the first label alone is never a tail. */
static bool matches_wildcard(const struct cors_origins *o, struct slice origin) {
    struct origin_parts parts;
    struct wildcard_key key;
    size_t labels = 0;
    if (!origin_split(origin, &parts) || !host_is_labels(parts.host)) return false;
    for (size_t at = parts.host.n; at-- > 1 && labels < o->deepest;) {
        if (parts.host.p[at] != '.') continue;
        labels++;
        if (map_get(o->wildcards, wildcard_key(&key, &parts, slice_after(parts.host, at)))) return true;
    }
    return false;
}

enum cors_verdict cors_origins_match(const struct cors_origins *o, struct slice origin) {
    if (o->anyone) return CORS_ANYONE;
    if (origin.n == 0 || origin.n > ORIGIN_MAX) return CORS_REFUSED;
    if (map_get(o->exact, origin)) return CORS_LISTED;
    return o->deepest && matches_wildcard(o, origin) ? CORS_LISTED : CORS_REFUSED;
}
