/* proxy_fields.h - the header fields of a proxied request.
 *
 * The client's own in their order, less those that end at the gateway, less every claim about where the request came
 * from: X-Forwarded-*, Forwarded and X-Real-IP are ours to write, from what the gateway believes of them
 * (gateway/source/http/client_address.h). Then the event's own fields (docs/runtime-api.md). Nothing is invented: what
 * libcurl would add by itself is held back.
 */
#pragma once
#include "gateway/invocation/invocation.h"

struct curl_slist;
enum proxy_payload { PROXY_NO_BODY, PROXY_EMPTY_BODY, PROXY_KNOWN_LENGTH, PROXY_CHUNKED };
/* A list for CURLOPT_HTTPHEADER. deadline_ms: Unix time. */
struct curl_slist *proxy_fields_new(const struct invocation *inv, enum proxy_payload payload, uint64_t deadline_ms);
