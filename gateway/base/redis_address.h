/* redis_address.h - redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], read once.
 *
 * User and password may be percent-encoded. Errors and `where` never show them. `rediss://` (TLS) is refused with words
 * on what to do instead: Debian's hiredis has none.
 */
#pragma once
#include "gateway/base/arena.h"
#include "gateway/base/error.h"

#define REDIS_PORT_DEFAULT 6379
struct redis_address {
    const char *host; /* a name or a number, without brackets */
    int port;
    struct slice user;     /* absent = Redis' default user */
    struct slice password; /* absent = no AUTH */
    unsigned database;
    const char *where; /* "HOST:PORT", for people */
};
/* All of it is in the arena. */
int redis_address_parse(struct redis_address *address, struct arena *a, struct slice url, struct error *e) MUST_CHECK;
