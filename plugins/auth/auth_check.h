/* auth_check.h - from `auth:` as it is written to what it means, and everything that is wrong with it.
 *
 * Every mistake is told where it stands. Between auth_check.c (names, routes) and check_guards.c (one function per type
 * of guard).
 */
#pragma once
#include "plugins/auth/auth_document.h"
#include "plugins/auth/auth_policy.h"

struct auth_checking {
    const struct blueprint *blueprint;
    const struct auth_document *document;
    struct problems *problems;
    struct arena *arena;
    enum blueprint_check depth;
};

/* The next item that was understood; NULL at the end. *cursor begins with 0. */
const struct node *next_item(const struct bound_items *items, size_t *cursor);
struct texts texts_of(struct auth_checking *c, const struct bound_items *items);
struct jwt_rules require_of(struct auth_checking *c, const struct require_document *d);

void check_jwt(struct auth_checking *c, const struct jwt_document *d, struct jwt_policy *p);
void check_api_key(struct auth_checking *c, const struct api_key_document *d, struct api_key_policy *p);
void check_basic(struct auth_checking *c, const struct basic_document *d, struct basic_policy *p);
void check_hmac(struct auth_checking *c, const struct hmac_document *d, struct hmac_policy *p);
void check_authorizer(struct auth_checking *c, const struct authorizer_document *d, struct authorizer_policy *p);
