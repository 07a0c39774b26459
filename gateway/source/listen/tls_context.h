/* tls_context.h - everything that one https listener needs for handshakes, loaded from its files at one moment.
 *
 * An immutable set of OpenSSL contexts, one per certificate, and the host names that choose among them. A reload builds
 * a second set beside it; connections hold the set they began with, so that nothing changes under a handshake.
 *
 * What is spoken is Mozilla's "intermediate" configuration: TLS 1.2 and 1.3, forward-secret authenticated ciphers, the
 * client's order of them; no compression, no renegotiation, no early data. Sessions are resumed by tickets alone,
 * sealed with a random key that never leaves the process and is replaced now and then.
 */
#pragma once
#include "gateway/base/log.h"
#include "gateway/blueprint/model.h"

struct ssl_st;
struct tls_context;
/* NULL with the reason when a file cannot be read or does not fit. What is merely unwise goes to `log`. */
struct tls_context *tls_context_load(const struct tls_config *c, struct log *log, struct error *e);
struct tls_context *tls_context_hold(struct tls_context *t);
void tls_context_release(struct tls_context *t); /* NULL is fine */
/* A server's session that has not begun; the context must be held for as long as it lives. NULL when memory is out. */
struct ssl_st *tls_context_session(struct tls_context *t);
/* Tickets from before are no longer understood; their clients make a full handshake. */
void tls_context_renew_tickets(struct tls_context *t);
/* Which certificate serves this host name, as its number in the configuration: exact names first, then wildcards of one
 * label (RFC 6125 6.4.3), else the first. */
size_t tls_context_choose(const struct tls_context *t, struct slice host);
