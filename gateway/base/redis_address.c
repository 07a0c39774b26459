#include "gateway/base/redis_address.h"
#include "gateway/base/url.h"

#define DATABASE_MAX 65535

static const char form[] = "write redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]";

static int bad(struct error *e, const char *what) {
    return error_set(e, ERROR_FORMAT, "the Redis URL %s: %s", what, form);
}

static int scheme_cut(struct slice *rest, struct error *e) {
    static const struct slice plain = {"redis://", 8}, tls = {"rediss://", 9};
    if (slice_starts_with_nocase(*rest, tls))
        return error_set(
            e, ERROR_FORMAT,
            "rediss:// (TLS) cannot be used: Debian's hiredis has no TLS. Keep Redis on a private network, "
            "or give the address of a local stunnel with redis://");
    if (!slice_starts_with_nocase(*rest, plain)) return bad(e, "does not begin with redis://");
    *rest = slice_make(rest->p + plain.n, rest->n - plain.n);
    return 0;
}

/* "USER:PASSWORD@", the last @ being the one that counts. */
static void login_cut(struct redis_address *address, struct arena *a, struct slice *rest) {
    size_t at = rest->n;
    while (at > 0 && rest->p[at - 1] != '@') at--;
    if (at == 0) return;
    struct slice password = slice_make(rest->p, at - 1), user = SLICE_NONE;
    if (!slice_next(&password, ':', &user) || slice_is_none(password)) {
        password = user; /* one word alone is the password */
        user = SLICE_NONE;
    }
    if (user.n) address->user = url_decode(a, user, URL_PLUS_LITERAL);
    address->password = url_decode(a, password, URL_PLUS_LITERAL);
    *rest = slice_make(rest->p + at, rest->n - at);
}

static int database_cut(struct redis_address *address, struct slice *rest, struct error *e) {
    struct slice host = SLICE_NONE;
    uint64_t number;
    slice_next(rest, '/', &host);
    struct slice database = *rest;
    *rest = host;
    if (database.n == 0) return 0;
    if (!slice_to_u64(database, &number) || number > DATABASE_MAX)
        return bad(e, "has no number of a database at its end");
    address->database = (unsigned)number;
    return 0;
}

/* "[::1]:6379", "host:6379" or "host"; what is left of *rest is ":PORT" or nothing. */
static struct slice host_cut(struct slice *rest) {
    ptrdiff_t end = rest->n && rest->p[0] == '[' ? slice_find(*rest, ']') : -1;
    size_t skip = end > 0 ? 1 : 0;
    if (end < 0) end = slice_find(*rest, ':');
    if (end < 0) end = (ptrdiff_t)rest->n;
    struct slice host = slice_make(rest->p + skip, (size_t)end - skip);
    size_t taken = (size_t)end + skip;
    *rest = slice_make(rest->p + taken, rest->n - taken);
    return host;
}

static int host_read(struct redis_address *address, struct arena *a, struct slice rest, struct error *e) {
    uint64_t port = REDIS_PORT_DEFAULT;
    struct slice host = host_cut(&rest);
    if (host.n == 0 || memchr(host.p, '\0', host.n)) return bad(e, "names no host");
    if (rest.n &&
        (rest.p[0] != ':' || !slice_to_u64(slice_make(rest.p + 1, rest.n - 1), &port) || port == 0 || port > 65535))
        return bad(e, "has no valid port");
    address->host = arena_text(a, host);
    address->port = (int)port;
    const char *brackets = slice_find(host, ':') < 0 ? "" : "[]";
    address->where = arena_printf(a, "%.1s%s%s:%d", brackets, address->host, brackets[0] ? "]" : "", address->port).p;
    return 0;
}

int redis_address_parse(struct redis_address *address, struct arena *a, struct slice url, struct error *e) {
    *address = (struct redis_address){.host = ""};
    struct slice rest = url;
    int status = scheme_cut(&rest, e);
    if (status < 0) return status;
    login_cut(address, a, &rest);
    status = database_cut(address, &rest, e);
    return status < 0 ? status : host_read(address, a, rest, e);
}
