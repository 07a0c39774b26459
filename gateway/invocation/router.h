/* router.h - from method and path to a route.
 *
 * A trie over decoded path segments: at each segment a static child beats the parameter, which
 * beats the catch-all; a named method beats ANY; GET serves HEAD. The search goes back to a less
 * specific branch when the more specific one has no route for the path and method. No value is ever
 * empty, a catch-all's neither; "/a/" ends in a static empty segment and is not "/a". Cost depends on the
 * number of segments, not of routes. Immutable once built; routes are owned by whoever added them.
 */
#pragma once
#include "gateway/base/error.h"
#include "gateway/base/slice.h"
#include "gateway/base/url.h"

struct executor;
struct handler_config;
struct http_trigger_config;

struct route {
    const struct handler_config *handler;
    const struct http_trigger_config *trigger;
    struct executor *executor; /* where its invocations run */
    struct slice key;          /* "GET /items/{id}" */
    struct slice *parameter_names;
    size_t parameter_count;
};

struct router;
struct router *router_new(void);
void router_free(struct router *r); /* NULL is fine */
/* Fills route->parameter_names (they live as long as the router) and parameter_count. Refuses bad patterns and a second
 * route of equal rank. Static segments are compared decoded, so "/a%20b" and "/a b" are the same pattern. */
int router_add(struct router *r, struct slice method, struct slice pattern, struct route *route,
               struct error *e) MUST_CHECK;

enum router_result { ROUTER_FOUND, ROUTER_NO_PATH, ROUTER_NO_METHOD };
struct router_match {
    const struct route *route;
    struct slice *values; /* caller's array of INVOCATION_MAX_PARAMETERS; a catch-all's value is the rest, decoded per
                             segment, joined by '/' */
    char allow[128];      /* for ROUTER_NO_METHOD: "GET, HEAD, POST" */
};
enum router_result router_match(const struct router *r, struct slice method, const struct url *url, struct arena *a,
                                struct router_match *match);
