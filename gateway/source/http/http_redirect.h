/* http_redirect.h - the answer of a listener that only sends clients to https. */
#pragma once
#include "gateway/invocation/invocation.h"

#define HTTPS_PORT 443

/* 308 (method and body stay, RFC 9110 15.4.9) to the same host, path and query; 400 when the request names no host. */
struct outcome http_redirect(struct invocation *inv, uint16_t port);
