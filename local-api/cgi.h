/* cgi.h - an http event as the meta-variables of CGI/1.1 (RFC 3875 section 4.1).
 *
 * A trigger that ends in a catch-all is a mount: SCRIPT_NAME is the path before it and PATH_INFO what it took. Any
 * other trigger is mounted at the root: SCRIPT_NAME is empty and PATH_INFO is the whole path. Both are decoded;
 * REQUEST_URI has the target as it came.
 *
 * A request field becomes HTTP_NAME only if its name consists of letters, digits and hyphens: `X_A` and `X-A` would be
 * the same variable, and one of them may be the one that a proxy in front has checked. `Proxy` never does, because
 * HTTP_PROXY means something else to most HTTP clients. Neither do hop-by-hop fields, and none that begins with
 * `Execgate-`.
 */
#pragma once
#include "gateway/pool/transport.h"

/* Sets them all; the request's body is complete. deadline_ms: Unix time. */
void cgi_environment_set(struct launch *l, const struct invocation *inv, uint64_t deadline_ms);
