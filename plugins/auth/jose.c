#include "plugins/auth/jose.h"
#include "gateway/base/base64.h"
#include <assert.h>

#define RSA JOSE_BIT(JOSE_KIND_RSA)
#define SECRET JOSE_BIT(JOSE_KIND_SECRET)
#define ED25519 JOSE_BIT(JOSE_KIND_ED25519)
#define ED448 JOSE_BIT(JOSE_KIND_ED448)
/* A macro, because SLICE is no constant expression to gcc in a static table. */
#define NAME(literal)                                                                                                  \
    { literal, sizeof(literal) - 1 }

static const struct jose_rule rules[JOSE_ALGORITHM_COUNT] = {
    [JOSE_RS256] = {NAME("RS256"), "SHA256", RSA, JOSE_PADDING_NONE, 32},
    [JOSE_RS384] = {NAME("RS384"), "SHA384", RSA, JOSE_PADDING_NONE, 48},
    [JOSE_RS512] = {NAME("RS512"), "SHA512", RSA, JOSE_PADDING_NONE, 64},
    [JOSE_PS256] = {NAME("PS256"), "SHA256", RSA, JOSE_PADDING_PSS, 32},
    [JOSE_PS384] = {NAME("PS384"), "SHA384", RSA, JOSE_PADDING_PSS, 48},
    [JOSE_PS512] = {NAME("PS512"), "SHA512", RSA, JOSE_PADDING_PSS, 64},
    [JOSE_ES256] = {NAME("ES256"), "SHA256", JOSE_BIT(JOSE_KIND_P256), JOSE_PADDING_NONE, 32},
    [JOSE_ES384] = {NAME("ES384"), "SHA384", JOSE_BIT(JOSE_KIND_P384), JOSE_PADDING_NONE, 48},
    [JOSE_ES512] = {NAME("ES512"), "SHA512", JOSE_BIT(JOSE_KIND_P521), JOSE_PADDING_NONE, 66},
    [JOSE_EDDSA] = {NAME("EdDSA"), NULL, ED25519 | ED448, JOSE_PADDING_NONE, 0},
    [JOSE_ED25519] = {NAME("Ed25519"), NULL, ED25519, JOSE_PADDING_NONE, 0},
    [JOSE_ED448] = {NAME("Ed448"), NULL, ED448, JOSE_PADDING_NONE, 0},
    [JOSE_HS256] = {NAME("HS256"), "SHA256", SECRET, JOSE_PADDING_NONE, 32},
    [JOSE_HS384] = {NAME("HS384"), "SHA384", SECRET, JOSE_PADDING_NONE, 48},
    [JOSE_HS512] = {NAME("HS512"), "SHA512", SECRET, JOSE_PADDING_NONE, 64},
};

const struct jose_rule *jose_rule_of(enum jose_algorithm algorithm) {
    assert((size_t)algorithm < JOSE_ALGORITHM_COUNT);
    return &rules[algorithm];
}

bool jose_algorithm_parse(struct slice name, enum jose_algorithm *algorithm) {
    for (unsigned i = 0; i < JOSE_ALGORITHM_COUNT; i++) {
        if (!slice_equal(name, rules[i].name)) continue;
        *algorithm = (enum jose_algorithm)i;
        return true;
    }
    return false;
}

unsigned jose_algorithms_for(enum jose_kind kind) {
    unsigned algorithms = 0;
    for (unsigned i = 0; i < JOSE_ALGORITHM_COUNT; i++) {
        if (rules[i].kinds & JOSE_BIT(kind)) algorithms |= JOSE_BIT(i);
    }
    return algorithms;
}

/* The url alphabet in terms of the classic one. What is foreign to the first but not to the second becomes a byte that
 * is foreign to both. */
static char classic_digit(char c) {
    switch (c) {
    case '-': return '+';
    case '_': return '/';
    case '+':
    case '/':
    case '=': return '\0';
    default: return c;
    }
}

bool base64url_decode(struct arena *a, struct slice text, struct slice *bytes) {
    char *p = arena_alloc(a, text.n + 3);
    size_t n = 0;
    for (; n < text.n; n++) p[n] = classic_digit(text.p[n]);
    /* A single digit left over holds no whole byte; three pads would be refused anyway. */
    if (n % 4 == 1) return false;
    while (n % 4) p[n++] = '=';
    ptrdiff_t size = base64_decode(slice_make(p, n), p);
    if (size < 0) return false;
    *bytes = slice_make(p, (size_t)size);
    return true;
}

static void object_grow(struct jose_object *o, struct arena *a) {
    size_t capacity = o->count ? o->count * 2 : 16;
    struct jose_member *members = arena_alloc(a, capacity * sizeof *members);
    if (o->count) memcpy(members, o->members, o->count * sizeof *members);
    o->members = members;
}

/* Capacities are 16, 32, 64, ...: full exactly at those counts. */
static bool object_is_full(const struct jose_object *o) {
    return o->count == 0 || (o->count >= 16 && (o->count & (o->count - 1)) == 0);
}

static const char *object_add(struct jose_object *o, struct jose_member member, struct arena *a) {
    if (jose_object_get(o, member.name)) return "a member occurs twice";
    if (o->count == JOSE_MEMBER_LIMIT) return "too many members";
    if (object_is_full(o)) object_grow(o, a);
    o->members[o->count++] = member;
    return NULL;
}

const char *jose_object_read(struct jose_object *o, struct slice json, struct arena *a) {
    struct json_read r;
    struct jose_member member;
    *o = (struct jose_object){0};
    json_read_init(&r, json);
    if (!json_read_open(&r, '{')) return "not a JSON object";
    while (json_read_name(&r, a, &member.name)) {
        if (!json_read_value(&r, &member.value)) break;
        const char *why = object_add(o, member, a);
        if (why) return why;
    }
    return json_read_end(&r) ? NULL : "not valid JSON";
}

const struct json_value *jose_object_get(const struct jose_object *o, struct slice name) {
    for (size_t i = 0; i < o->count; i++) {
        if (slice_equal(o->members[i].name, name)) return &o->members[i].value;
    }
    return NULL;
}

enum jose_text jose_object_text(const struct jose_object *o, struct slice name, struct arena *a, struct slice *text) {
    const struct json_value *value = jose_object_get(o, name);
    *text = SLICE_NONE;
    if (!value) return JOSE_TEXT_ABSENT;
    if (value->kind != JSON_STRING) return JOSE_TEXT_NOT_TEXT;
    *text = json_text_of(a, *value);
    return JOSE_TEXT_FOUND;
}
