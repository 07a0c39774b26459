#include "gateway/source/http/client_address.h"
#include "gateway/base/http_text.h"
#include "gateway/base/memory.h"
#include "gateway/source/http/http_check.h"
#include <arpa/inet.h>

/* --- lists of fields, from the right --- */

struct list_cursor {
    const struct fields *fields;
    struct slice name;
    size_t line;       /* the fields before it were not looked at yet */
    struct slice rest; /* of the field at `line`; absent = all of it was read */
};

static struct list_cursor list_from_right(const struct fields *f, struct slice name) {
    return (struct list_cursor){.fields = f, .name = name, .line = f->count};
}

static bool is_escaped(struct slice s, size_t at) {
    size_t backslashes = 0;
    while (at > backslashes && s.p[at - backslashes - 1] == '\\') backslashes++;
    return backslashes % 2 == 1;
}

/* Cuts the last element off. Quotes are paired from the right, too: one that was opened further left and never closed
 * cannot swallow what the nearest proxies have appended. */
static struct slice cut_last(struct slice *rest) {
    struct slice s = *rest;
    bool quoted = false;
    for (size_t i = s.n; i-- > 0;) {
        if (s.p[i] == '"' && !is_escaped(s, i)) quoted = !quoted;
        if (s.p[i] != ',' || quoted) continue;
        *rest = slice_make(s.p, i);
        return slice_make(s.p + i + 1, s.n - i - 1);
    }
    *rest = SLICE_NONE;
    return s;
}

/* Fields of one name are one list (RFC 9110 5.3); empty elements are none (5.6.1.2). */
static bool list_previous(struct list_cursor *c, struct slice *element) {
    do {
        while (slice_is_none(c->rest)) {
            if (c->line == 0) return false;
            const struct field *f = &c->fields->items[--c->line];
            if (slice_equal_nocase(f->name, c->name) && f->value.n) c->rest = f->value;
        }
        *element = slice_trim(cut_last(&c->rest));
    } while (element->n == 0);
    return true;
}

/* --- one hop --- */

enum hop_kind { HOP_BAD, HOP_HIDDEN, HOP_KNOWN };
struct hop {
    struct address address;
    uint16_t port;
};
enum hop_style {
    HOP_FORWARDED, /* RFC 7239 6: an IPv6 address stands in brackets */
    HOP_LOOSE,     /* it may also stand bare */
};

/* obfnode, obfport (RFC 7239 6.3). */
static bool is_obfuscated(struct slice s) {
    if (s.n < 2 || s.p[0] != '_') return false;
    for (size_t i = 1; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '.' && c != '_' && c != '-') return false;
    }
    return true;
}

/* What follows the name: nothing, or ":" and a port. */
static bool port_parse(struct slice rest, uint16_t *port) {
    uint64_t number;
    *port = 0;
    if (rest.n == 0) return true;
    struct slice text = slice_make(rest.p + 1, rest.n - 1);
    if (rest.p[0] != ':') return false;
    if (is_obfuscated(text)) return true;
    if (text.n > 5 || !slice_to_u64(text, &number) || number > UINT16_MAX) return false;
    *port = (uint16_t)number;
    return true;
}

/* "192.0.2.1:80" -> name "192.0.2.1", rest ":80". */
static bool hop_split(struct slice text, enum hop_style style, struct slice *name, struct slice *rest) {
    ptrdiff_t colon = slice_find(text, ':');
    size_t n = colon < 0 ? text.n : (size_t)colon;
    bool bracketed = text.n && text.p[0] == '[';
    if (bracketed) {
        ptrdiff_t end = slice_find(text, ']');
        if (end < 0) return false;
        *name = slice_make(text.p + 1, (size_t)end - 1);
        n = (size_t)end + 1;
    } else {
        if (style == HOP_LOOSE && n < text.n && memchr(text.p + n + 1, ':', text.n - n - 1)) n = text.n;
        *name = slice_make(text.p, n);
    }
    *rest = slice_make(text.p + n, text.n - n);
    bool has_colon = memchr(name->p, ':', name->n) != NULL;
    return bracketed ? has_colon : !has_colon || style == HOP_LOOSE;
}

static enum hop_kind hop_parse(struct slice text, enum hop_style style, struct hop *out) {
    struct slice name, rest;
    if (text.n == 0 || !hop_split(text, style, &name, &rest) || !port_parse(rest, &out->port)) return HOP_BAD;
    if (slice_equal_nocase(name, SLICE("unknown")) || is_obfuscated(name)) return HOP_HIDDEN;
    /* "unix:" is our own word; nobody else's. */
    return address_parse(name, &out->address) && out->address.family != ADDRESS_LOCAL ? HOP_KNOWN : HOP_BAD;
}

/* --- one element of Forwarded --- */

struct forwarded {
    struct slice node, proto, host; /* absent = not told */
    unsigned seen;                  /* of the four names, a bit each */
};

static struct slice skip_blanks(struct slice s) {
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) s = slice_make(s.p + 1, s.n - 1);
    return s;
}

static size_t token_length(struct slice s) {
    size_t n = 0;
    while (n < s.n && http_is_token(slice_make(s.p + n, 1))) n++;
    return n;
}

static struct slice unescaped(struct slice s, struct arena *a) {
    if (slice_find(s, '\\') < 0) return s;
    char *text = arena_alloc(a, s.n);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\') i++;
        text[n++] = s.p[i];
    }
    return slice_make(text, n);
}

/* The rest begins with a quote. */
static bool take_quoted(struct slice *rest, struct slice *value, struct arena *a) {
    for (size_t i = 1; i < rest->n; i++) {
        if (rest->p[i] == '\\') {
            i++;
            continue;
        }
        if (rest->p[i] != '"') continue;
        *value = unescaped(slice_make(rest->p + 1, i - 1), a);
        *rest = slice_make(rest->p + i + 1, rest->n - i - 1);
        return true;
    }
    return false;
}

static bool take_value(struct slice *rest, struct slice *value, struct arena *a) {
    if (rest->n && rest->p[0] == '"') return take_quoted(rest, value, a);
    size_t n = token_length(*rest);
    *value = slice_make(rest->p, n);
    *rest = slice_make(rest->p + n, rest->n - n);
    return n > 0;
}

/* No parameter may be told twice (RFC 7239 4); those we do not know are extensions. */
static bool forwarded_set(struct forwarded *e, struct slice name, struct slice value) {
    struct slice ignored;
    struct {
        struct slice name;
        struct slice *value;
    } known[] = {
        {SLICE("for"), &e->node}, {SLICE("proto"), &e->proto}, {SLICE("host"), &e->host}, {SLICE("by"), &ignored}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (!slice_equal_nocase(name, known[i].name)) continue;
        if (e->seen & 1u << i) return false;
        e->seen |= 1u << i;
        *known[i].value = value;
    }
    return true;
}

/* [ pair ] *( ";" [ pair ] ) (RFC 7239 4); blanks around ";" are borne with. */
static bool forwarded_parse(struct slice text, struct forwarded *out, struct arena *a) {
    *out = (struct forwarded){0};
    for (struct slice rest = text; rest.n;) {
        struct slice value;
        rest = skip_blanks(rest);
        size_t n = token_length(rest);
        if (n) {
            struct slice name = slice_make(rest.p, n);
            if (n == rest.n || rest.p[n] != '=') return false;
            rest = slice_make(rest.p + n + 1, rest.n - n - 1);
            if (!take_value(&rest, &value, a) || !forwarded_set(out, name, value)) return false;
            rest = skip_blanks(rest);
        }
        if (rest.n && rest.p[0] != ';') return false;
        if (rest.n) rest = slice_make(rest.p + 1, rest.n - 1);
    }
    return true;
}

/* --- the walk --- */

struct walk {
    struct client_view *view;
    const struct client_proxies *proxies;
    const struct fields *fields;
    struct arena *arena;
};

static bool is_trusted(const struct client_proxies *p, const struct address *address) {
    return cidr_list_contains(p->trusted, p->count, address);
}

/* True when the next hop, beyond this one, is to be believed as well. */
static bool walk_to(struct walk *w, enum hop_kind kind, const struct hop *hop) {
    if (kind != HOP_KNOWN) return false;
    int family = hop->address.family == ADDRESS_IPV4 ? AF_INET : AF_INET6;
    inet_ntop(family, hop->address.bytes, w->view->address, sizeof w->view->address);
    w->view->port = hop->port;
    return is_trusted(w->proxies, &hop->address);
}

/* Some proxies tell the WebSocket's scheme. */
static void tell_scheme(struct walk *w, struct slice proto) {
    static const struct {
        const char *name, *scheme;
    } rows[] = {{"https", "https"}, {"http", "http"}, {"wss", "https"}, {"ws", "http"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (slice_equal_nocase(proto, slice_of(rows[i].name))) w->view->scheme = slice_of(rows[i].scheme);
}

static void tell_host(struct walk *w, struct slice host) {
    if (http_is_host(host)) w->view->host = host;
}

/* The element of the hop that was believed last; the list may be shorter. */
static struct slice list_at_most(const struct fields *f, struct slice name, size_t hops) {
    struct list_cursor c = list_from_right(f, name);
    struct slice element, found = SLICE_NONE;
    for (size_t i = 0; i < hops && list_previous(&c, &element); i++) found = element;
    return found;
}

/* The peer itself vouches for one element of the other lists, even when it names no address. */
static void walk_loose(struct walk *w) {
    struct list_cursor c = list_from_right(w->fields, SLICE("X-Forwarded-For"));
    struct slice element;
    size_t hops = 0;
    bool on = true;
    while (on && list_previous(&c, &element)) {
        struct hop hop;
        enum hop_kind kind = hop_parse(element, HOP_LOOSE, &hop);
        hops += kind != HOP_BAD;
        on = walk_to(w, kind, &hop);
    }
    if (hops == 0) hops = 1;
    tell_scheme(w, list_at_most(w->fields, SLICE("X-Forwarded-Proto"), hops));
    tell_host(w, list_at_most(w->fields, SLICE("X-Forwarded-Host"), hops));
}

static void walk_forwarded(struct walk *w) {
    struct list_cursor c = list_from_right(w->fields, SLICE("Forwarded"));
    struct slice element;
    bool on = true;
    while (on && list_previous(&c, &element)) {
        struct forwarded e;
        struct hop hop;
        if (!forwarded_parse(element, &e, w->arena)) return;
        enum hop_kind kind = slice_is_none(e.node) ? HOP_HIDDEN : hop_parse(e.node, HOP_FORWARDED, &hop);
        if (kind == HOP_BAD) return;
        tell_scheme(w, e.proto);
        tell_host(w, e.host);
        on = walk_to(w, kind, &hop);
    }
}

/* --- for callers --- */

static bool has_loose_fields(const struct fields *f) {
    static const char *const names[] = {"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (!slice_is_none(fields_get(f, slice_of(names[i])))) return true;
    return false;
}

bool client_view_find(struct client_view *out, const struct client_proxies *proxies, const struct client_view *peer,
                      const struct fields *f, struct arena *a) {
    struct address address;
    if (proxies->count == 0 || !address_parse(slice_of(peer->address), &address) || !is_trusted(proxies, &address))
        return false;
    *out = *peer;
    struct walk w = {out, proxies, f, a};
    if (has_loose_fields(f))
        walk_loose(&w);
    else
        walk_forwarded(&w);
    return true;
}

static bool is_about_clients(struct slice name) {
    return slice_starts_with_nocase(name, SLICE("X-Forwarded-")) || slice_equal_nocase(name, SLICE("Forwarded")) ||
           slice_equal_nocase(name, SLICE("X-Real-IP"));
}

void client_fields_drop(struct fields *f) {
    size_t kept = 0;
    for (size_t i = 0; i < f->count; i++)
        if (!is_about_clients(f->items[i].name)) f->items[kept++] = f->items[i];
    f->count = kept;
}
