/* credential.h - where in a request a token or a key stands, and how it gets out of there.
 *
 * A place is written `header:NAME`, `cookie:NAME`, `query:NAME` or `protocol:NAME`: a WebSocket client in a browser can
 * set no fields, but offer the subprotocol `NAME.CREDENTIAL`. A credential that is given twice in one place is
 * nobody's: whoever reads the first and whoever reads the last would disagree about who the client is.
 */
#pragma once
#include "gateway/base/error.h"
#include "gateway/invocation/invocation.h"

enum credential_kind { CREDENTIAL_HEADER, CREDENTIAL_COOKIE, CREDENTIAL_QUERY, CREDENTIAL_PROTOCOL };
struct credential_place {
    enum credential_kind kind;
    struct slice name;
};
struct credential_places {
    const struct credential_place *items; /* tried in order */
    size_t count;
};

/* The name is a slice of the text. */
int credential_place_parse(struct slice text, struct credential_place *p, struct error *e) MUST_CHECK;
const char *credential_kind_name(enum credential_kind k);

enum credential_found { CREDENTIAL_ABSENT, CREDENTIAL_FOUND, CREDENTIAL_REPEATED };
/* The value at the first place that has one. Of the Authorization field it is what follows `scheme` and a blank
 * (compared without case, RFC 9110 11.1); a field of another scheme is no credential. An absent scheme: the whole
 * field. The credential of a TRIGGER_CREDENTIAL invocation is found whatever the places are.
 */
enum credential_found credential_find(const struct credential_places *places, struct invocation *inv,
                                      struct slice scheme, struct slice *value);
/* Takes it out of the request: the field, the cookie, the parameter, the subprotocol. */
void credential_strip(const struct credential_place *p, struct invocation *inv);
