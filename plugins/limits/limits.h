/* limits.h - the plugins that bound what one client, and one route, may ask for.
 *
 * limits_plugin stands before the guards. What it refuses costs no more than a look at the head: a target or head
 * that is too long (414, 431), a declared body above maxBody (413, before a byte is read: a client that waits for
 * `100 Continue` uploads nothing), and clients beyond a rate (429) that counts by address, route or header, so that
 * guessing credentials is held back as well. It also notes the route's timeout, and writes the RateLimit fields
 * of every answer of a limited route.
 *
 * limits_verified_plugin stands behind the guards: rates by subject and claim, which only a guard knows, and
 * maxConcurrency (503), so that nobody takes a place who may not come in. A place is taken in pre_handle and given back
 * in post_handle, that is when the answer begins or the invocation ends in any other way.
 *
 * Both share one record per invocation (inv->limiting), which the first makes. Several rates of a phase are looked at
 * before any is charged: a request that one of them refuses costs nothing with the others. Buckets live in tables of
 * fixed size (bucket_table.h), one per limit; the application's limit has one for all triggers that do not override it.
 * IPv6 clients are counted by their /64, of which a single subscriber usually has all addresses.
 */
#pragma once
#include "plugins/plugin.h"

extern const struct plugin limits_plugin;
extern const struct plugin limits_verified_plugin;
