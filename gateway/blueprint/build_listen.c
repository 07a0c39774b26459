/* From `listen:` and `trustedProxies:` to the model. */
#include "gateway/base/memory.h"
#include "gateway/blueprint/build.h"
#include "gateway/blueprint/executable.h"

static const struct scheme_key {
    const char *name;
    enum listener_scheme scheme;
} scheme_keys[] = {
    {"certificate", LISTENER_HTTPS},        {"key", LISTENER_HTTPS},        {"certificates", LISTENER_HTTPS},
    {"clientCertificates", LISTENER_HTTPS}, {"minVersion", LISTENER_HTTPS}, {"redirect", LISTENER_HTTP},
};

static const char *scheme_name(enum listener_scheme scheme) {
    return scheme == LISTENER_HTTPS ? "https" : "http";
}

static void check_scheme_keys(struct binder *b, const struct listener_document *d, enum listener_scheme scheme) {
    for (size_t i = 0; i < ARRAY_LEN(scheme_keys); i++) {
        const struct node *value = node_get(d->origin, scheme_keys[i].name);
        if (!value || scheme_keys[i].scheme == scheme) continue;
        problems_add(b->problems, value->at, "%s: only a listener with `%s` takes it; remove it", scheme_keys[i].name,
                     scheme_name(scheme_keys[i].scheme));
    }
}

static struct certificate_config certificate_of(const struct node *certificate, const struct node *key,
                                                struct blueprint *out) {
    const char *path = path_resolve(&out->arena, out->directory, certificate->text);
    return (struct certificate_config){path, key ? path_resolve(&out->arena, out->directory, key->text) : path};
}

/* A certificate is written in one of two ways, not both. */
static void check_certificates(struct binder *b, const struct listener_document *d) {
    const struct node *one = node_get(d->origin, "certificate"), *several = node_get(d->origin, "certificates");
    const struct node *key = node_get(d->origin, "key");
    if (!one && !several)
        problems_add(
            b->problems, d->https->at,
            "https: a certificate is missing, for example `certificate: tls/shop.pem` and `key: tls/shop.key`");
    if (one && several)
        problems_add(b->problems, one->at, "certificate: there are `certificates` too; put it into that list");
    if (key && several && !one)
        problems_add(b->problems, key->at, "key: each of the `certificates` has its own; put it there");
}

static void build_certificates(const struct listener_document *d, struct tls_config *tls, struct blueprint *out) {
    const struct certificate_document *documents = d->certificates.items;
    struct certificate_config *all = arena_zalloc(&out->arena, (d->certificates.count + 1) * sizeof *all);
    tls->certificates = all;
    if (d->certificate) all[tls->certificate_count++] = certificate_of(d->certificate, d->key, out);
    for (size_t i = 0; !d->certificate && i < d->certificates.count; i++) {
        if (!documents[i].certificate) continue;
        all[tls->certificate_count++] = certificate_of(documents[i].certificate, documents[i].key, out);
    }
}

static struct tls_config *build_tls(struct binder *b, const struct listener_document *d, struct blueprint *out) {
    const struct client_certificates_document *clients = &d->client_certificates;
    struct tls_config *tls = arena_zalloc(&out->arena, sizeof *tls);
    check_certificates(b, d);
    build_certificates(d, tls, out);
    tls->min_version = (enum listener_tls_version)d->min_version;
    if (!clients->authority) return tls;
    tls->client_authority = path_resolve(&out->arena, out->directory, clients->authority->text);
    tls->client_certificates = clients->mode == 0 ? CLIENT_CERTIFICATES_OPTIONAL : CLIENT_CERTIFICATES_REQUIRED;
    return tls;
}

static bool listeners_are_equal(const struct listener_config *l, const struct listener_config *r) {
    if (l->kind != r->kind) return false;
    if (l->kind == LISTENER_UNIX) return strcmp(l->path, r->path) == 0;
    return l->port != 0 && l->port == r->port && strcmp(l->host, r->host) == 0;
}

static bool is_new_listener(const struct blueprint *out, const struct listener_config *l) {
    for (size_t i = 0; i < out->listener_count; i++) {
        if (listeners_are_equal(&out->listeners[i], l)) return false;
    }
    return true;
}

static void build_listener(struct binder *b, const struct listener_document *d, struct blueprint *out) {
    enum listener_scheme scheme = d->https ? LISTENER_HTTPS : LISTENER_HTTP;
    const struct node *address = d->https ? d->https : d->http;
    struct listener_config l;
    struct error e;
    if (!address) return;
    if (listener_parse(address->text, out->directory, &out->arena, &l, &e) < 0) {
        problems_add(b->problems, address->at, "%s: %s", scheme_name(scheme), e.message);
        return;
    }
    if (!is_new_listener(out, &l)) {
        problems_add(b->problems, address->at, "%s: %s is listened on twice; remove one", scheme_name(scheme), l.text);
        return;
    }
    check_scheme_keys(b, d, scheme);
    l.scheme = scheme;
    l.tls = d->https ? build_tls(b, d, out) : NULL;
    l.proxy_protocol = d->proxy_protocol == 1;
    l.redirect = !d->https && d->redirect != VALUE_UNSET;
    out->listeners[out->listener_count++] = l;
}

/* Where a redirect leads: a listener that clients can reach over the network. */
static bool has_https(const struct blueprint *out) {
    for (size_t i = 0; i < out->listener_count; i++) {
        if (out->listeners[i].scheme == LISTENER_HTTPS && out->listeners[i].kind == LISTENER_TCP) return true;
    }
    return false;
}

static void check_redirects(struct binder *b, const struct blueprint_document *d, const struct blueprint *out) {
    const struct listener_document *listeners = d->listen.items;
    for (size_t i = 0; i < d->listen.count; i++) {
        const struct node *redirect = node_get(listeners[i].origin, "redirect");
        if (!redirect || listeners[i].redirect == VALUE_UNSET || has_https(out)) continue;
        problems_add(b->problems, redirect->at,
                     "redirect: no listener with `https` and a port to redirect to; add one");
    }
}

void build_listeners(struct binder *b, const struct blueprint_document *d, struct blueprint *out) {
    static struct node preset = {.kind = NODE_SCALAR, .text = {"127.0.0.1:8080", 14}};
    const struct listener_document unwritten = {.http = &preset, .redirect = VALUE_UNSET};
    const struct listener_document *listeners = d->listen.items;
    out->listeners = arena_zalloc(&out->arena, (d->listen.count + 1) * sizeof *out->listeners);
    for (size_t i = 0; i < d->listen.count; i++) build_listener(b, &listeners[i], out);
    if (!d->listen.node) build_listener(b, &unwritten, out);
    check_redirects(b, d, out);
}

void build_admin(struct binder *b, const struct blueprint_document *d, struct blueprint *out) {
    struct error e;
    if (!d->admin) return;
    out->admin = arena_zalloc(&out->arena, sizeof *out->admin);
    if (listener_parse_admin(d->admin->text, out->directory, &out->arena, out->admin, &e) < 0)
        problems_add(b->problems, d->admin->at, "admin: %s", e.message);
    else if (!is_new_listener(out, out->admin))
        problems_add(b->problems, d->admin->at, "admin: %s is listened on already; choose another", out->admin->text);
}

/* Without the proxies' addresses every client could write a header, and be whom it likes. */
static void check_proxy_headers(struct binder *b, const struct blueprint_document *d) {
    const struct listener_document *listeners = d->listen.items;
    for (size_t i = 0; i < d->listen.count && !d->trusted_proxies.node; i++) {
        const struct node *key = node_get(listeners[i].origin, "proxyProtocol");
        if (!key || listeners[i].proxy_protocol != 1) continue;
        problems_add(b->problems, key->at,
                     "proxyProtocol: nobody may send a PROXY header yet; name the proxies in `trustedProxies:`, as in "
                     "[10.0.0.0/8]");
    }
}

void build_trusted_proxies(struct binder *b, const struct blueprint_document *d, struct blueprint *out) {
    struct node *const *networks = d->trusted_proxies.items;
    out->trusted_proxies = arena_zalloc(&out->arena, (d->trusted_proxies.count + 1) * sizeof *out->trusted_proxies);
    for (size_t i = 0; i < d->trusted_proxies.count; i++) {
        struct error e;
        if (!networks[i]) continue;
        if (cidr_parse(networks[i]->text, &out->trusted_proxies[out->trusted_proxy_count], &e) == 0)
            out->trusted_proxy_count++;
        else
            problems_add(b->problems, networks[i]->at, "trustedProxies: %s", e.message);
    }
    check_proxy_headers(b, d);
}

static void check_file(struct problems *p, const struct node *n, const char *key, struct blueprint *model) {
    struct error e;
    if (!n || file_check(path_resolve(&model->arena, model->directory, n->text), &e) == 0) return;
    problems_add(p, n->at, "%s: %s", key, e.message);
}

void check_listener_files(struct problems *p, const struct blueprint_document *d, struct blueprint *model) {
    const struct listener_document *listeners = d->listen.items;
    for (size_t i = 0; i < d->listen.count; i++) {
        const struct certificate_document *certificates = listeners[i].certificates.items;
        check_file(p, listeners[i].certificate, "certificate", model);
        check_file(p, listeners[i].key, "key", model);
        check_file(p, listeners[i].client_certificates.authority, "authority", model);
        for (size_t k = 0; k < listeners[i].certificates.count; k++) {
            check_file(p, certificates[k].certificate, "certificate", model);
            check_file(p, certificates[k].key, "key", model);
        }
    }
}

void check_listener_tls(struct problems *p, const struct blueprint_document *d, const struct blueprint *model,
                        int (*check)(const struct tls_config *c, struct error *e)) {
    const struct listener_document *listeners = d->listen.items;
    struct error e;
    if (!check || p->count || model->listener_count != d->listen.count) return;
    for (size_t i = 0; i < d->listen.count; i++) {
        const struct tls_config *tls = model->listeners[i].tls;
        if (tls && check(tls, &e) < 0) problems_add(p, listeners[i].https->at, "https: %s", e.message);
    }
}
