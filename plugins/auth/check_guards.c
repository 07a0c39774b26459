#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/blueprint/model.h"
#include "plugins/auth/auth_check.h"
#include "plugins/auth/htpasswd.h"
#include "plugins/auth/jwks_discovery.h"
#include <openssl/evp.h>

#define SECRET_LEAST 16 /* bytes; what is shorter can be guessed from one recorded answer */

/* --- files --- */

/* The absolute path of "file:PATH"; NULL when it is none. */
static const char *file_of(struct auth_checking *c, struct slice text) {
    struct slice prefix = SLICE("file:");
    if (!slice_starts_with(text, prefix) || text.n == prefix.n) return NULL;
    return path_resolve(c->arena, c->blueprint->directory, slice_make(text.p + prefix.n, text.n - prefix.n));
}

/* --- secrets and places --- */

/* True when it may be used. Who reads the blueprint is not meant to read its secrets. */
static bool check_secret_source(struct auth_checking *c, const char *key, const struct node *n) {
    if (n->text.n == 0)
        problems_add(c->problems, n->at, "%s: the secret is empty", key);
    else if (!n->substituted)
        problems_add(c->problems, n->at,
                     "%s: a secret does not belong in the blueprint; write ${env.NAME}, ${file:PATH} or ${var.NAME} of "
                     "a variable with `secret: true`",
                     key);
    else
        return true;
    return false;
}

static bool check_secret(struct auth_checking *c, const char *key, const struct node *n) {
    if (!check_secret_source(c, key, n)) return false;
    if (n->text.n >= SECRET_LEAST) return true;
    problems_add(c->problems, n->at,
                 "%s: a secret of %zu bytes is too weak; the least is %d (try `openssl rand -hex 32`)", key, n->text.n,
                 SECRET_LEAST);
    return false;
}

static void add_place(struct auth_checking *c, const char *key, const struct node *n, struct slice text,
                      struct credential_places *places) {
    struct error e;
    struct credential_place *items = (struct credential_place *)places->items;
    if (credential_place_parse(text, &items[places->count], &e) == 0)
        places->count++;
    else
        problems_add(c->problems, n->at, "%s: \"" SLICE_FMT "\": %s", key, SLICE_ARG(text), e.message);
}

static struct credential_places places_of(struct auth_checking *c, const char *key, const struct bound_items *items) {
    struct credential_places places = {
        .items = arena_zalloc(c->arena, (items->count + 1) * sizeof(struct credential_place))};
    const struct node *n;
    if (!items->node) add_place(c, key, NULL, SLICE("header:authorization"), &places);
    for (size_t i = 0; (n = next_item(items, &i));) add_place(c, key, n, n->text, &places);
    return places;
}

/* --- jwt --- */

static void report_unknown_algorithm(struct auth_checking *c, const struct node *n) {
    const char *names[JOSE_ALGORITHM_COUNT];
    for (size_t i = 0; i < JOSE_ALGORITHM_COUNT; i++) names[i] = jose_rule_of((enum jose_algorithm)i)->name.p;
    const char *nearest = text_nearest(n->text, names, JOSE_ALGORITHM_COUNT);
    if (slice_equal_nocase(n->text, SLICE("none")))
        problems_add(c->problems, n->at, "algorithms: \"none\" would let everybody in");
    else
        problems_add(c->problems, n->at, "algorithms: \"" SLICE_FMT "\" is unknown%s%s%s", SLICE_ARG(n->text),
                     nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

static unsigned algorithms_of(struct auth_checking *c, const struct jwt_document *d, bool secret) {
    unsigned allowed = secret ? JOSE_HMAC : JOSE_ASYMMETRIC, chosen = 0;
    enum jose_algorithm algorithm;
    const struct node *n;
    if (!d->algorithms.node) return secret ? JOSE_BIT(JOSE_HS256) : JOSE_ASYMMETRIC;
    for (size_t i = 0; (n = next_item(&d->algorithms, &i));) {
        if (!jose_algorithm_parse(n->text, &algorithm))
            report_unknown_algorithm(c, n);
        else if (!(allowed & JOSE_BIT(algorithm)))
            problems_add(c->problems, n->at, "algorithms: " SLICE_FMT " %s", SLICE_ARG(n->text),
                         secret ? "needs a public key, and this guard has a `secret`; name HS256, HS384 or HS512"
                                : "needs a `secret`; with public keys anybody could sign with it");
        else
            chosen |= JOSE_BIT(algorithm);
    }
    return chosen;
}

static void check_jwt_secret(struct auth_checking *c, const struct node *n, struct jwt_policy *p) {
    struct error e;
    p->keys = JWT_KEYS_SECRET;
    p->key_text = n->text;
    if (!check_secret_source(c, "secret", n) || !p->algorithms) return;
    struct jwk_set *set = jwk_set_from_secret(n->text, p->algorithms, &e);
    if (!set) problems_add(c->problems, n->at, "secret: %s", e.message);
    jwk_set_release(set);
}

static void check_key_file(struct auth_checking *c, const struct node *n, const struct jwt_policy *p) {
    struct error e;
    struct jwk_set *set = jwt_policy_read_keys(p, &e);
    if (!set) problems_add(c->problems, n->at, "jwks: %s", e.message);
    jwk_set_release(set);
}

static void check_keys_url(struct auth_checking *c, const struct node *n, const char *key, enum jwks_place place) {
    const char *objection = jwks_url_objection(n->text, place);
    if (objection) problems_add(c->problems, n->at, "%s: %s", key, objection);
}

static void check_discovery(struct auth_checking *c, const struct jwt_document *d, struct jwt_policy *p) {
    p->keys = JWT_KEYS_DISCOVER;
    p->key_text = p->rules.issuer;
    if (d->issuer)
        check_keys_url(c, d->issuer, "issuer", JWKS_PLACE_ISSUER);
    else if (!node_get(d->origin, "issuer"))
        problems_add(c->problems, d->jwks->at, "jwks: `discover` asks the issuer for its keys; `issuer` is missing");
}

static void check_jwks(struct auth_checking *c, const struct jwt_document *d, struct jwt_policy *p) {
    const char *file = file_of(c, d->jwks->text);
    if (slice_equal(d->jwks->text, SLICE("discover"))) {
        check_discovery(c, d, p);
        return;
    }
    p->keys = file ? JWT_KEYS_FILE : JWT_KEYS_URL;
    p->key_text = file ? slice_of(file) : d->jwks->text;
    if (!file && !slice_starts_with(d->jwks->text, SLICE("http")))
        problems_add(c->problems, d->jwks->at,
                     "jwks: expected discover, an https:// URL or file:PATH, found \"" SLICE_FMT "\"",
                     SLICE_ARG(d->jwks->text));
    else if (!file)
        check_keys_url(c, d->jwks, "jwks", JWKS_PLACE_KEYS);
    else if (c->depth == BLUEPRINT_CHECK_FILES)
        check_key_file(c, d->jwks, p);
}

void check_jwt(struct auth_checking *c, const struct jwt_document *d, struct jwt_policy *p) {
    struct texts audiences = texts_of(c, &d->audience);
    p->rules = require_of(c, &d->require);
    p->rules.issuer = d->issuer ? d->issuer->text : SLICE_NONE;
    p->rules.audiences = audiences.items;
    p->rules.audience_count = audiences.count;
    p->rules.leeway_ms = d->leeway_ms;
    p->rules.expiry = (enum jwt_expiry)d->expiry;
    p->refetch_ms = d->refetch_ms;
    p->fetch_timeout_ms = d->fetch_timeout_ms;
    p->stale_ms = d->stale_ms;
    p->algorithms = algorithms_of(c, d, node_get(d->origin, "secret") != NULL);
    p->places = places_of(c, "token", &d->token);
    if (d->secret) check_jwt_secret(c, d->secret, p);
    if (d->jwks) check_jwks(c, d, p);
}

/* --- apiKey --- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool digest_parse(struct slice hex, unsigned char digest[API_KEY_DIGEST]) {
    if (hex.n != 2 * API_KEY_DIGEST) return false;
    for (size_t i = 0; i < API_KEY_DIGEST; i++) {
        int high = hex_digit(hex.p[2 * i]), low = hex_digit(hex.p[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        digest[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static bool take_api_key(struct auth_checking *c, const struct node *n, struct api_key *key) {
    struct slice prefix = SLICE("sha256:");
    if (!slice_starts_with(n->text, prefix)) {
        if (!check_secret(c, "keys", n)) return false;
        EVP_Digest(n->text.p, n->text.n, key->digest, NULL, EVP_sha256(), NULL);
        return true;
    }
    if (digest_parse(slice_make(n->text.p + prefix.n, n->text.n - prefix.n), key->digest)) return true;
    problems_add(c->problems, n->at, "keys: 64 hexadecimal digits must follow \"sha256:\"");
    return false;
}

/* Whose it is would depend on the order. */
static void check_same_key(struct auth_checking *c, const struct api_key_policy *p, const struct api_key *key,
                           const struct node *n) {
    for (size_t i = 0; i < p->key_count; i++)
        if (memcmp(p->keys[i].digest, key->digest, API_KEY_DIGEST) == 0)
            problems_add(c->problems, n->at, "keys: \"" SLICE_FMT "\" and \"" SLICE_FMT "\" have the same key",
                         SLICE_ARG(p->keys[i].name), SLICE_ARG(key->name));
}

void check_api_key(struct auth_checking *c, const struct api_key_document *d, struct api_key_policy *p) {
    struct node *const *values = d->keys.items;
    struct api_key *keys = arena_zalloc(c->arena, (d->keys.count + 1) * sizeof *keys);
    p->keys = keys;
    p->places.items = arena_zalloc(c->arena, sizeof(struct credential_place));
    add_place(c, "in", d->in, d->in ? d->in->text : SLICE("header:x-api-key"), &p->places);
    for (size_t i = 0; i < d->keys.count; i++) {
        struct api_key *key = &keys[p->key_count];
        key->name = d->keys.keys[i]->text;
        if (!values[i] || !take_api_key(c, values[i], key)) continue;
        check_same_key(c, p, key, values[i]);
        p->key_count++;
    }
}

/* --- basic --- */

void check_basic(struct auth_checking *c, const struct basic_document *d, struct basic_policy *p) {
    struct error e;
    if (!d->users) return;
    p->users = file_of(c, d->users->text);
    if (!p->users)
        problems_add(c->problems, d->users->at, "users: expected file:PATH, found \"" SLICE_FMT "\"",
                     SLICE_ARG(d->users->text));
    if (!p->users || c->depth != BLUEPRINT_CHECK_FILES) return;
    struct htpasswd *users = htpasswd_open(p->users, &e);
    if (!users) problems_add(c->problems, d->users->at, "users: %s", e.message);
    htpasswd_free(users);
}

/* --- hmac --- */

void check_hmac(struct auth_checking *c, const struct hmac_document *d, struct hmac_policy *p) {
    static const struct slice headers[] = {
        [HMAC_STYLE_GITHUB] = {"x-hub-signature-256", 19}, [HMAC_STYLE_STRIPE] = {"stripe-signature", 16}};
    const struct node *n;
    p->style = d->style == HMAC_STYLE_STRIPE ? HMAC_STYLE_STRIPE : HMAC_STYLE_GITHUB;
    p->header = d->header ? d->header->text : headers[p->style];
    p->tolerance_ms = d->tolerance_ms;
    p->secrets = texts_of(c, &d->secret);
    for (size_t i = 0; (n = next_item(&d->secret, &i));) check_secret(c, "secret", n);
    n = node_get(d->origin, "tolerance");
    if (n && p->style != HMAC_STYLE_STRIPE)
        problems_add(c->problems, n->at, "tolerance: only signatures with `style: stripe` carry a time; remove it");
}

/* --- handler --- */

static void check_handler_name(struct auth_checking *c, const struct node *n) {
    const struct blueprint *b = c->blueprint;
    const char **names = arena_alloc(c->arena, (b->handler_count + 1) * sizeof(const char *));
    for (size_t i = 0; i < b->handler_count; i++) {
        names[i] = b->handlers[i].name;
        if (slice_equal(slice_of(names[i]), n->text)) return;
    }
    const char *nearest = text_nearest(n->text, names, b->handler_count);
    problems_add(c->problems, n->at, "handler: no handler is named \"" SLICE_FMT "\"%s%s%s", SLICE_ARG(n->text),
                 nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

static bool wants_no_credential(struct auth_checking *c, const struct authorizer_document *d) {
    const struct node *n, *none = NULL;
    for (size_t i = 0; (n = next_item(&d->credential, &i));)
        if (slice_equal(n->text, HANDLER_NO_CREDENTIAL)) none = n;
    if (!none) return false;
    if (d->credential.count > 1) problems_add(c->problems, none->at, "credential: \"none\" stands alone");
    if (d->cache_ms)
        problems_add(c->problems, node_get(d->origin, "cache")->at,
                     "cache: without a `credential` nobody knows whose the answer is");
    return true;
}

void check_authorizer(struct auth_checking *c, const struct authorizer_document *d, struct authorizer_policy *p) {
    if (d->handler) {
        p->handler = d->handler->text.p;
        check_handler_name(c, d->handler);
    }
    p->cache_ms = d->cache_ms;
    p->memory = (enum authorizer_memory)d->cache_by;
    if (!wants_no_credential(c, d)) p->places = places_of(c, "credential", &d->credential);
}
