#include "gateway/source/http/http_redirect.h"
#include <stdio.h>

/* Without the port, which is that of the listener in the clear. An IPv6 address keeps its brackets and its colons. */
static struct slice host_without_port(struct slice host) {
    const char *colon = host.n ? memrchr(host.p, ':', host.n) : NULL;
    if (!colon || host.p[host.n - 1] == ']') return host;
    return slice_make(host.p, (size_t)(colon - host.p));
}

struct outcome http_redirect(struct invocation *inv, uint16_t port) {
    const struct request *r = &inv->request;
    struct slice host = host_without_port(r->host);
    if (host.n == 0) return outcome_failure(inv, FAILURE_BAD_REQUEST, "no host to send to https");
    struct slice query = r->url.query;
    char number[8] = "";
    if (port != HTTPS_PORT) snprintf(number, sizeof number, ":%u", (unsigned)port);
    struct slice place = arena_printf(&inv->arena, "https://" SLICE_FMT "%s" SLICE_FMT "%s" SLICE_FMT, SLICE_ARG(host),
                                      number, SLICE_ARG(r->url.path), slice_is_none(query) ? "" : "?",
                                      SLICE_ARG(query));
    struct outcome o = {.status = 308};
    fields_add(&o.headers, &inv->arena, SLICE("Location"), place);
    return o;
}
