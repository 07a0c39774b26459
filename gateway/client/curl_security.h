/* curl_security.h - what is the same for every request that leaves the gateway, whoever makes it; within this room.
 *
 * http and https only, no redirects followed, no credentials in URLs; https verified, name and chain, with TLS 1.2 at
 * least; a proxy for https only.
 */
#pragma once

/* `easy` is libcurl's handle. `ca_file` is believed besides the system's folder; NULL = none. */
void curl_set_security(void *easy, const char *ca_file, const char *url);
