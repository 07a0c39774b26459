/* tls.h - the TLS of one https listener: certificates that follow their files.
 *
 * When the files change (base/file.h), all are loaded into a new context beside the old one, and new handshakes use
 * that; open connections do not notice. When loading fails, the old context stays, and the log says why, once per
 * change.
 */
#pragma once
#include "gateway/loop/loop.h"
#include "gateway/source/listen/tls_context.h"

struct tls;
/* Loads the files. `c` must outlive it. NULL with the reason. */
struct tls *tls_open(const struct tls_config *c, struct loop *l, struct log *log, struct error *e);
/* Lends the context for new handshakes. */
struct tls_context *tls_current(const struct tls *t);
/* The same settings in another place, which must outlive it from now on. */
void tls_follow(struct tls *t, const struct tls_config *same);
/* How often the files have been loaded anew. */
uint64_t tls_reloads(const struct tls *t);
void tls_close(struct tls *t); /* NULL is fine; connections keep the context that they hold */
