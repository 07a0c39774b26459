/* Whatever proxies and clients write about addresses. The answer is an address; what stands left of the first hop that
 * is not trusted cannot change it; and nothing changes when the peer is a stranger. Each line is a field: `f`
 * Forwarded, `x` X-Forwarded-For, `p` X-Forwarded-Proto, `h` X-Forwarded-Host, then its value. */
#include "gateway/source/http/client_address.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
    if (!condition) abort();
}

static struct slice field_name(char c) {
    switch (c) {
    case 'f': return SLICE("Forwarded");
    case 'x': return SLICE("X-Forwarded-For");
    case 'p': return SLICE("X-Forwarded-Proto");
    case 'h': return SLICE("X-Forwarded-Host");
    default: return SLICE("Accept");
    }
}

static void read_fields(struct slice text, struct fields *f, struct arena *a) {
    struct slice line;
    while (slice_next(&text, '\n', &line))
        if (line.n) fields_add(f, a, field_name(line.p[0]), slice_make(line.p + 1, line.n - 1));
}

/* As a client would: in front of everything, in every list. */
static void forge(struct fields *to, const struct fields *from, struct arena *a) {
    fields_add(to, a, SLICE("X-Forwarded-For"), SLICE("203.0.113.66, \"203.0.113.67"));
    for (size_t i = 0; i < from->count; i++) fields_add(to, a, from->items[i].name, from->items[i].value);
}

static bool is_reached(const struct client_view *view, const struct client_proxies *proxies) {
    struct address address;
    require(address_parse(slice_of(view->address), &address) && address.family != ADDRESS_LOCAL);
    return !cidr_list_contains(proxies->trusted, proxies->count, &address);
}

static void require_same(const struct client_view *a, const struct client_view *b) {
    require(strcmp(a->address, b->address) == 0 && a->port == b->port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct cidr trusted = {.family = ADDRESS_IPV4, .bytes = {10}, .bits = 8};
    const struct client_proxies proxies = {&trusted, 1};
    const struct client_view peer = {.address = "10.0.0.1", .port = 1}, stranger = {.address = "192.0.2.1"};
    struct client_view view, again;
    struct fields f = {0}, forged = {0};
    struct arena a;
    arena_init(&a, 4096);
    read_fields(slice_make((const char *)data, size), &f, &a);
    require(!client_view_find(&view, &proxies, &stranger, &f, &a));
    require(client_view_find(&view, &proxies, &peer, &f, &a));
    bool reached = is_reached(&view, &proxies);
    require(slice_is_none(view.scheme) || slice_equal(view.scheme, SLICE("http")) ||
            slice_equal(view.scheme, SLICE("https")));
    require(slice_is_none(view.host) || view.host.n > 0);
    forge(&forged, &f, &a);
    require(client_view_find(&again, &proxies, &peer, &forged, &a));
    if (reached && fields_count(&f, SLICE("X-Forwarded-For")) > 0) require_same(&view, &again);
    client_fields_drop(&forged);
    require(client_view_find(&again, &proxies, &peer, &forged, &a));
    require_same(&again, &peer);
    arena_free(&a);
    return 0;
}
