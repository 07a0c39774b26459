/* dev_issuer.h - an issuer on loopback, for blueprints with JWT guards on a machine without one.
 *
 * It belongs to `execgate run --dev-issuer` and exists only then. On a free port of 127.0.0.1 it answers
 *
 *     /jwks.json                                 the public halves of the development keys (dev_keys.h)
 *     /.well-known/openid-configuration          metadata that names them
 *     /.well-known/oauth-authorization-server    the same
 *
 * and every jwt guard that would fetch its keys from an issuer fetches these instead. Nothing else about the guards
 * changes: tokens still name the issuer, the audience and the claims that the blueprint asks for.
 */
#pragma once
#include "gateway/base/log.h"
#include "gateway/loop/loop.h"

struct dev_issuer;
struct dev_issuer *dev_issuer_new(struct loop *l, struct log *log, struct error *e);
const char *dev_issuer_url(const struct dev_issuer *d);      /* http://127.0.0.1:PORT */
const char *dev_issuer_keys_url(const struct dev_issuer *d); /* of the JWK Set */
void dev_issuer_close(struct dev_issuer *d);                 /* accepts no more, breaks everything off; idempotent */
bool dev_issuer_is_idle(const struct dev_issuer *d);         /* after close and a few turns */
void dev_issuer_free(struct dev_issuer *d);                  /* when idle; NULL is fine */
