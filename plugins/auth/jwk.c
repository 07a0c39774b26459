#include "plugins/auth/jwk.h"
#include "gateway/base/memory.h"
#include "plugins/auth/jwk_import.h"
#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct jwk_set {
    unsigned references;
    uint64_t generation;
    struct arena arena; /* kids */
    struct jwk *keys;
    size_t count;
    size_t skipped;
    const char *why_skipped; /* the first one */
};

static uint64_t fingerprint(struct slice text) {
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    uint64_t number;
    if (EVP_Q_digest(NULL, "SHA256", NULL, text.p, text.n, digest, NULL) != 1) abort();
    memcpy(&number, digest, sizeof number);
    return number;
}

static struct jwk_set *set_new(struct slice text, size_t capacity) {
    struct jwk_set *s = xcalloc(1, sizeof *s);
    s->references = 1;
    s->generation = fingerprint(text);
    s->keys = xcalloc(capacity, sizeof *s->keys);
    arena_init(&s->arena, 512);
    return s;
}

static void key_clear(struct jwk *k) {
    EVP_PKEY_free(k->pkey);
    if (k->kind == JOSE_KIND_SECRET && k->secret.p) OPENSSL_cleanse((void *)(uintptr_t)k->secret.p, k->secret.n);
    *k = (struct jwk){0};
}

struct jwk_set *jwk_set_hold(struct jwk_set *s) {
    s->references++;
    return s;
}

void jwk_set_release(struct jwk_set *s) {
    if (!s) return;
    assert(s->references > 0);
    if (--s->references) return;
    for (size_t i = 0; i < s->count; i++) key_clear(&s->keys[i]);
    free(s->keys);
    arena_free(&s->arena);
    free(s);
}

static bool names_verify(const struct json_value *operations, struct arena *a) {
    struct json_read r;
    struct json_value one;
    bool found = false;
    json_read_init(&r, operations->raw);
    if (!json_read_open(&r, '[')) return false;
    while (json_read_element(&r) && json_read_value(&r, &one)) {
        if (one.kind == JSON_STRING && slice_equal(json_text_of(a, one), SLICE("verify"))) found = true;
    }
    return found;
}

/* `use` and `key_ops` (RFC 7517 4.2, 4.3). */
static const char *check_purpose(const struct jose_object *o, struct arena *a) {
    struct slice use;
    enum jose_text found = jose_object_text(o, SLICE("use"), a, &use);
    const struct json_value *operations = jose_object_get(o, SLICE("key_ops"));
    if (found == JOSE_TEXT_NOT_TEXT) return "use is not a string";
    if (found == JOSE_TEXT_FOUND && !slice_equal(use, SLICE("sig"))) return "use is not sig";
    if (operations && !names_verify(operations, a)) return "key_ops does not have verify";
    return NULL;
}

/* Narrows what the key's kind allows to its `alg` (RFC 7517 4.4). */
static const char *narrow_algorithms(struct jwk *k, const struct jose_object *o, struct arena *a) {
    struct slice name;
    enum jose_algorithm algorithm;
    k->algorithms = jose_algorithms_for(k->kind);
    enum jose_text found = jose_object_text(o, SLICE("alg"), a, &name);
    if (found == JOSE_TEXT_ABSENT) return NULL;
    if (found == JOSE_TEXT_NOT_TEXT) return "alg is not a string";
    if (!jose_algorithm_parse(name, &algorithm)) return "alg is not known";
    k->algorithms &= JOSE_BIT(algorithm);
    return k->algorithms ? NULL : "alg does not fit the key";
}

static const char *check_kid(const struct jwk_set *s, const struct jwk *k) {
    if (slice_is_none(k->kid)) return NULL;
    for (size_t i = 0; i < s->count; i++) {
        const struct jwk *other = &s->keys[i];
        bool same = !slice_is_none(other->kid) && slice_equal(other->kid, k->kid);
        if (same && other->algorithms & k->algorithms) return "its kid is taken by an earlier key";
    }
    return NULL;
}

static const char *describe(struct jwk *k, struct jwk_set *s, const struct jose_object *o, struct arena *scratch) {
    struct slice kid;
    const char *why = jwk_classify(k->pkey, &k->kind);
    if (!why) why = narrow_algorithms(k, o, scratch);
    if (why) return why;
    if (jose_object_text(o, SLICE("kid"), scratch, &kid) == JOSE_TEXT_NOT_TEXT) return "kid is not a string";
    k->kid = arena_copy(&s->arena, kid);
    return check_kid(s, k);
}

/* NULL when the key was taken. */
static const char *add_key(struct jwk_set *s, struct slice json, struct arena *scratch) {
    struct jose_object o;
    struct jwk key = {0};
    const char *why = jose_object_read(&o, json, scratch);
    if (!why) why = check_purpose(&o, scratch);
    if (why) return why;
    key.pkey = jwk_import_members(&o, scratch, &why);
    if (!key.pkey) return why;
    why = describe(&key, s, &o, scratch);
    if (why)
        key_clear(&key);
    else
        s->keys[s->count++] = key;
    return why;
}

static void note_skipped(struct jwk_set *s, const char *why) {
    if (why && s->skipped++ == 0) s->why_skipped = why;
}

static int add_keys(struct jwk_set *s, struct slice array, struct error *e) {
    struct json_read r;
    struct json_value one;
    struct arena scratch;
    int rc = 0;
    arena_init(&scratch, 4096);
    json_read_init(&r, array);
    bool more = json_read_open(&r, '[');
    while (more && json_read_element(&r) && json_read_value(&r, &one)) {
        more = s->count + s->skipped < JWK_SET_KEY_LIMIT;
        if (more)
            note_skipped(s, add_key(s, one.raw, &scratch));
        else
            rc = error_set(e, ERROR_LIMIT, "the key set has more than %d keys", JWK_SET_KEY_LIMIT);
        arena_reset(&scratch);
    }
    arena_free(&scratch);
    return rc;
}

static int read_set(struct jwk_set *s, struct slice json, struct error *e) {
    struct arena a;
    struct jose_object o;
    arena_init(&a, 1024);
    const char *why = jose_object_read(&o, json, &a);
    const struct json_value *keys = why ? NULL : jose_object_get(&o, SLICE("keys"));
    struct slice array = keys && keys->kind == JSON_ARRAY ? keys->raw : SLICE_NONE;
    arena_free(&a);
    if (why) return error_set(e, ERROR_FORMAT, "the key set cannot be read: %s", why);
    if (slice_is_none(array)) return error_set(e, ERROR_FORMAT, "the key set has no array \"keys\" (RFC 7517)");
    if (add_keys(s, array, e) < 0) return -ERROR_LIMIT;
    if (s->count) return 0;
    return error_set(e, ERROR_FORMAT, "none of the set's %zu keys can verify tokens%s%s", s->skipped,
                     s->why_skipped ? "; the first: " : "", s->why_skipped ? s->why_skipped : "");
}

static bool within_size(struct slice text, struct error *e) {
    if (text.n <= JWK_SET_SIZE_LIMIT) return true;
    error_set(e, ERROR_LIMIT, "the key document has %zu bytes; at most %d are read", text.n, JWK_SET_SIZE_LIMIT);
    return false;
}

struct jwk_set *jwk_set_from_json(struct slice json, struct error *e) {
    if (!within_size(json, e)) return NULL;
    struct jwk_set *s = set_new(json, JWK_SET_KEY_LIMIT);
    ERR_set_mark();
    int rc = read_set(s, json, e);
    ERR_pop_to_mark();
    if (rc == 0) return s;
    jwk_set_release(s);
    return NULL;
}

/* NULL, or why there is no key. */
static const char *read_pem(struct jwk_set *s, struct slice pem) {
    const char *why;
    struct jwk key = {.pkey = jwk_import_pem(pem, &why)};
    if (!key.pkey) return why;
    why = jwk_classify(key.pkey, &key.kind);
    if (why) {
        key_clear(&key);
        return why;
    }
    key.algorithms = jose_algorithms_for(key.kind);
    s->keys[s->count++] = key;
    return NULL;
}

struct jwk_set *jwk_set_from_pem(struct slice pem, struct error *e) {
    if (!within_size(pem, e)) return NULL;
    struct jwk_set *s = set_new(pem, 1);
    ERR_set_mark();
    const char *why = read_pem(s, pem);
    ERR_pop_to_mark();
    if (!why) return s;
    error_set(e, ERROR_FORMAT, "the key cannot be used: %s", why);
    jwk_set_release(s);
    return NULL;
}

struct jwk_set *jwk_set_from_file_text(struct slice text, struct error *e) {
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '{') return jwk_set_from_json(text, e);
        if (!strchr(" \t\r\n", text.p[i])) break;
    }
    return jwk_set_from_pem(text, e);
}

struct jwk_set *jwk_set_from_secret(struct slice secret, unsigned algorithms, struct error *e) {
    algorithms &= JOSE_HMAC;
    for (unsigned i = 0; i < JOSE_ALGORITHM_COUNT; i++) {
        const struct jose_rule *rule = jose_rule_of((enum jose_algorithm)i);
        if (!(algorithms & JOSE_BIT(i)) || secret.n >= rule->output_size) continue;
        error_set(e, ERROR_USAGE, "the secret has %zu bytes; %s needs at least %zu (RFC 7518 3.2)", secret.n,
                  rule->name.p, rule->output_size);
        return NULL;
    }
    if (!algorithms) {
        error_set(e, ERROR_USAGE, "a secret needs one of the algorithms HS256, HS384 and HS512");
        return NULL;
    }
    struct jwk_set *s = set_new(secret, 1);
    struct slice copy = arena_copy(&s->arena, secret);
    s->keys[s->count++] = (struct jwk){.kind = JOSE_KIND_SECRET, .algorithms = algorithms, .secret = copy};
    return s;
}

size_t jwk_set_count(const struct jwk_set *s) {
    return s->count;
}

const struct jwk *jwk_set_at(const struct jwk_set *s, size_t index) {
    assert(index < s->count);
    return &s->keys[index];
}

size_t jwk_set_skipped(const struct jwk_set *s, const char **why) {
    *why = s->why_skipped;
    return s->skipped;
}

uint64_t jwk_set_generation(const struct jwk_set *s) {
    return s->generation;
}

/* A kid may stand for several keys, of which each suits other algorithms (RFC 7517 4.5). */
static struct jose_verdict find_by_kid(const struct jwk_set *s, struct slice kid, enum jose_algorithm algorithm,
                                       const struct jwk **key) {
    bool known = false;
    for (size_t i = 0; i < s->count; i++) {
        const struct jwk *k = &s->keys[i];
        if (slice_is_none(k->kid) || !slice_equal(k->kid, kid)) continue;
        known = true;
        if (!(k->algorithms & JOSE_BIT(algorithm))) continue;
        *key = k;
        return JOSE_VERDICT_OK;
    }
    return known ? jose_refuse(JOSE_INVALID, "the algorithm does not fit the key")
                 : jose_refuse(JOSE_UNKNOWN_KEY, "the key is not known");
}

struct jose_verdict jwk_set_find(const struct jwk_set *s, struct slice kid, enum jose_algorithm algorithm,
                                 const struct jwk **key) {
    *key = NULL;
    bool nameless = s->count == 1 && slice_is_none(s->keys[0].kid);
    if (!slice_is_none(kid) && !nameless) return find_by_kid(s, kid, algorithm, key);
    if (s->count != 1) return jose_refuse(JOSE_INVALID, "the token does not say which of the keys it is for");
    if (!(s->keys[0].algorithms & JOSE_BIT(algorithm)))
        return jose_refuse(JOSE_INVALID, "the algorithm does not fit the key");
    *key = &s->keys[0];
    return JOSE_VERDICT_OK;
}
