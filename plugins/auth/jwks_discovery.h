/* jwks_discovery.h - where an issuer publishes its keys; pure.
 *
 * An issuer is a URL. Its metadata, one JSON document, names the URL of its key set. The document may be in several
 * places, which are tried in this order:
 *
 *   ISSUER/.well-known/openid-configuration                    OpenID Connect Discovery 4
 *   HOST/.well-known/oauth-authorization-server/PATH           RFC 8414 3: put in before the issuer's path
 *   ISSUER/.well-known/oauth-authorization-server              the same behind it, as some issuers have it
 *
 * A document counts only if its `issuer` is the one that was asked for, byte by byte (OpenID Connect Discovery 4.3, RFC
 * 8414 3.3): otherwise whoever can put a document on a shared host would choose the keys (RFC 8725 3.8).
 *
 * URLs are https. Plain http is for an issuer on the machine itself (127.0.0.0/8, [::1], localhost), and only such an
 * issuer may name a key set that is fetched so.
 */
#pragma once
#include "gateway/base/arena.h"
#include "gateway/base/error.h"

enum jwks_place { JWKS_PLACE_KEYS, JWKS_PLACE_ISSUER };
/* NULL, or why keys are not fetched from there, for people. An issuer has no query (RFC 8414 2). */
const char *jwks_url_objection(struct slice url, enum jwks_place place);

#define JWKS_METADATA_PLACES 3
/* The places of an issuer's metadata, without objection; returns how many. */
size_t jwks_metadata_urls(struct slice issuer, struct arena *a, const char *urls[JWKS_METADATA_PLACES]);
/* *keys_url is in the arena. 0, or -ERROR_FORMAT. */
int jwks_metadata_read(struct slice json, struct slice issuer, struct arena *a, const char **keys_url,
                       struct error *e) MUST_CHECK;
