#include "gateway/base/http_text.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/text_rules.h"
#include "plugins/auth/auth_document.h"

#define HOUR_MS (60ULL * 60 * 1000)
#define KEYS_MOST 1000

static bool any_text(struct slice s) {
    return s.n > 0;
}

static bool name_of_key(struct slice s) {
    for (size_t i = 0; i < s.n; i++) {
        bool is_inner = s.p[i] == '-' || s.p[i] == '_' || s.p[i] == '.' || s.p[i] == '@';
        if (!character_is_letter(s.p[i]) && !character_is_digit(s.p[i]) && !is_inner) return false;
    }
    return s.n > 0 && s.n <= 128;
}

static bool is_scope(struct slice s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '"' || s.p[i] == '\\') return false;
    return s.n > 0;
}

static const struct text_rule rule_issuer = {"the issuer's name, usually an https URL", "^.+$", any_text};
static const struct text_rule rule_audience = {"a name for this application", "^.+$", any_text};
static const struct text_rule rule_jwks = {"discover, an https URL or file:PATH",
                                           "^(discover|https://.+|http://.+|file:.+)$", any_text};
static const struct text_rule rule_algorithm = {"an algorithm such as RS256", "^[A-Za-z0-9]+$", any_text};
static const struct text_rule rule_place = {"header:NAME, cookie:NAME, query:NAME or protocol:NAME",
                                            "^(header|cookie|query|protocol):[A-Za-z0-9!#$%&'*+.^_`|~-]+$", any_text};
static const struct text_rule rule_credential = {"header:NAME, cookie:NAME, query:NAME, protocol:NAME, or none",
                                                 "^(none|(header|cookie|query|protocol):[A-Za-z0-9!#$%&'*+.^_`|~-]+)$",
                                                 any_text};
static const struct text_rule rule_users = {"file:PATH", "^file:.+$", any_text};
static const struct text_rule rule_field_name = {"the name of a header field", "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
                                                 http_is_token};
static const struct text_rule rule_key_name = {"a name (letters, digits, '-', '_', '.', '@', at most 128)",
                                               "^[A-Za-z0-9_.@-]{1,128}$", name_of_key};
static const struct text_rule rule_scope = {"a scope (printable, without blanks, quotes and backslashes)",
                                            "^[!#-\\[\\]-~]+$", is_scope};
static const struct text_rule rule_claim = {"a claim's name", "^.+$", any_text};

/* --- require --- */

static const struct schema_field require_fields[] = {
    {.name = "scope",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE | FIELD_SHOWN,
     .offset = offsetof(struct require_document, scope),
     .rule = &rule_scope,
     .preset_note = "none",
     .about = "Scopes that the client must all have.",
     .example = "[orders:write]"},
    {.name = "claims",
     .kind = FIELD_MAP,
     .flags = FIELD_SHOWN,
     .offset = offsetof(struct require_document, claims),
     .key_rule = &rule_claim,
     .preset_note = "none",
     .about = "Claims with the value that each must have; of a claim that is a list, one item must. The name of an API "
              "key and of a user is the claim `sub`.",
     .example = "{tenant: acme}"},
};
static const struct object_schema require_schema = {
    .name = "require",
    .title = "`require`",
    .about = "What a client must be allowed beyond being known; 403 otherwise.",
    .fields = require_fields,
    .count = ARRAY_LEN(require_fields),
    .size = sizeof(struct require_document),
    .origin_offset = offsetof(struct require_document, origin),
};

/* --- guards --- */

#define JWT(member) offsetof(struct jwt_document, member)
static const char *const expiry_words[] = {"required", "optional", NULL};
static const struct schema_field jwt_fields[] = {
    {.name = "issuer",
     .kind = FIELD_TEXT,
     .flags = FIELD_SHOWN,
     .offset = JWT(issuer),
     .rule = &rule_issuer,
     .preset_note = "any; needed for `jwks: discover`",
     .about = "Who must have issued the token: its `iss`, byte by byte.",
     .example = "https://id.example"},
    {.name = "audience",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE | FIELD_SHOWN,
     .offset = JWT(audience),
     .least = 1,
     .rule = &rule_audience,
     .preset_note = "any: set it whenever the issuer serves others too",
     .about = "Whom the token must be made for: one of these is in its `aud`; 403 otherwise.",
     .example = "[shop]"},
    {.name = "jwks",
     .kind = FIELD_TEXT,
     .flags = FIELD_ALTERNATIVE | FIELD_SHOWN,
     .offset = JWT(jwks),
     .rule = &rule_jwks,
     .about =
         "The issuer's public keys: `discover` (its OpenID Connect metadata, then OAuth's), the https URL of a JWK "
         "Set (http only on loopback), or `file:PATH` of a JWK Set or of one key or certificate in PEM, read again "
         "when "
         "it changes.",
     .example = "discover"},
    {.name = "secret",
     .kind = FIELD_TEXT,
     .flags = FIELD_ALTERNATIVE | FIELD_SECRET,
     .offset = JWT(secret),
     .about = "The secret shared with the issuer, for HS256, HS384 and HS512, at least as long as the digest. From "
              "`${env.NAME}`, `${file:PATH}` or a secret variable.",
     .example = "\"${env.JWT_SECRET}\""},
    {.name = "algorithms",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE | FIELD_SHOWN,
     .offset = JWT(algorithms),
     .least = 1,
     .rule = &rule_algorithm,
     .preset_note = "every asymmetric one; with `secret`, HS256",
     .about = "What tokens may be signed with: RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519 "
              "Ed448; HS256 HS384 HS512 only with `secret`.",
     .example = "[RS256, ES256]"},
    {.name = "token",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE | FIELD_SHOWN,
     .offset = JWT(token),
     .least = 1,
     .rule = &rule_place,
     .preset_note = "`header:authorization`",
     .about = "Where the token stands, tried in order; in the field Authorization it follows `Bearer`. "
              "`protocol:NAME`: a WebSocket client offers the subprotocol `NAME.TOKEN`.",
     .example = "[header:authorization, cookie:session]"},
    {.name = "leeway",
     .kind = FIELD_DURATION,
     .offset = JWT(leeway_ms),
     .most = HOUR_MS,
     .preset = "60s",
     .about = "How far the issuer's clock may differ.",
     .example = "30s"},
    {.name = "refetch",
     .kind = FIELD_DURATION,
     .offset = JWT(refetch_ms),
     .least = 100,
     .most = HOUR_MS,
     .preset = "30s",
     .about = "A token that names an unknown key makes the gateway fetch the issuer's keys again, but only if the last "
              "fetch began this long ago.",
     .example = "1m"},
    {.name = "fetchTimeout",
     .kind = FIELD_DURATION,
     .offset = JWT(fetch_timeout_ms),
     .least = 100,
     .most = 60000,
     .preset = "5s",
     .about = "How long one request to the issuer may take, and how long a client waits for it.",
     .example = "2s"},
    {.name = "staleKeys",
     .kind = FIELD_DURATION,
     .offset = JWT(stale_ms),
     .least = 1,
     .most = 30 * 24 * HOUR_MS,
     .preset = "24h",
     .about = "How long keys that cannot be fetched anew are believed beyond their time.",
     .example = "1h"},
    {.name = "expiry",
     .kind = FIELD_ENUM,
     .offset = JWT(expiry),
     .choices = expiry_words,
     .preset = "required",
     .about = "Whether a token must say when it ends. One that does is never taken afterwards.",
     .example = "optional"},
    {.name = "require",
     .kind = FIELD_OBJECT,
     .offset = JWT(require),
     .object = &require_schema,
     .preset_note = "nothing more",
     .about = "What every token must have; 403 otherwise.",
     .example = "{scope: [shop]}"},
};
static const struct schema_field api_key_fields[] = {
    {.name = "in",
     .kind = FIELD_TEXT,
     .flags = FIELD_SHOWN,
     .offset = offsetof(struct api_key_document, in),
     .rule = &rule_place,
     .preset_note = "`header:x-api-key`",
     .about = "Where the key stands. It is taken out of the request before a handler sees that. In the field "
              "Authorization it follows `ApiKey`. Query strings end up in many logs: avoid them.",
     .example = "header:x-api-key"},
    {.name = "keys",
     .kind = FIELD_MAP,
     .flags = FIELD_REQUIRED | FIELD_SECRET,
     .offset = offsetof(struct api_key_document, keys),
     .least = 1,
     .most = KEYS_MOST,
     .key_rule = &rule_key_name,
     .about = "The keys by the name of who holds them, which handlers see as the claim `sub`: at least 16 bytes from "
              "`${env.NAME}`, `${file:PATH}` or a secret variable, or `sha256:` and the digest in hexadecimal, which "
              "may stand in the file.",
     .example = "{acme: \"${env.ACME_KEY}\"}"},
};
static const struct schema_field basic_fields[] = {
    {.name = "users",
     .kind = FIELD_TEXT,
     .flags = FIELD_REQUIRED | FIELD_SHOWN,
     .offset = offsetof(struct basic_document, users),
     .rule = &rule_users,
     .about =
         "The file of users, as `htpasswd -B` writes it: a name, a colon and a bcrypt hash in each line. Read again "
         "when it changes.",
     .example = "\"file:staff.htpasswd\""},
};
static const char *const hmac_styles[] = {"github", "stripe", NULL};
static const struct schema_field hmac_fields[] = {
    {.name = "style",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct hmac_document, style),
     .choices = hmac_styles,
     .preset = "github",
     .about = "`github`: `sha256=HEX`, the HMAC of the body. `stripe`: `t=SECONDS,v1=HEX`, the HMAC of the time, a dot "
              "and the body.",
     .example = "stripe"},
    {.name = "header",
     .kind = FIELD_TEXT,
     .flags = FIELD_SHOWN,
     .offset = offsetof(struct hmac_document, header),
     .rule = &rule_field_name,
     .preset_note = "`x-hub-signature-256`, or `stripe-signature`",
     .about = "The header field that has the signature.",
     .example = "x-hub-signature-256"},
    {.name = "secret",
     .kind = FIELD_LIST,
     .flags = FIELD_REQUIRED | FIELD_ONE_OR_MORE | FIELD_SECRET,
     .offset = offsetof(struct hmac_document, secret),
     .least = 1,
     .most = 8,
     .about =
         "The shared secret of at least 16 bytes, from `${env.NAME}`, `${file:PATH}` or a secret variable; while it "
         "is replaced, the new and the old one.",
     .example = "\"${env.HOOK_SECRET}\""},
    {.name = "tolerance",
     .kind = FIELD_DURATION,
     .offset = offsetof(struct hmac_document, tolerance_ms),
     .least = 1000,
     .most = HOUR_MS,
     .preset = "5m",
     .about = "How far the time of a signature may be from now; only with `style: stripe`.",
     .example = "2m"},
};
static const char *const memory_words[] = {"request", "credential", NULL};
static const struct schema_field authorizer_fields[] = {
    {.name = "handler",
     .kind = FIELD_TEXT,
     .flags = FIELD_REQUIRED | FIELD_SHOWN,
     .offset = offsetof(struct authorizer_document, handler),
     .rule = &rule_name,
     .about = "The handler that is asked. Its event is the request without its body; it answers "
              "`{\"isAuthorized\": true, \"context\": {...}}`, `{\"isAuthorized\": false, \"statusCode\": 401}`, or "
              "with status 204, 401 or 403.",
     .example = "authorize"},
    {.name = "credential",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE | FIELD_SHOWN,
     .offset = offsetof(struct authorizer_document, credential),
     .least = 1,
     .rule = &rule_credential,
     .preset_note = "`header:authorization`",
     .about =
         "Where the client's credential stands, tried in order. Without one the answer is 401 and nobody is asked. "
         "`none`: the handler is always asked.",
     .example = "cookie:session"},
    {.name = "cache",
     .kind = FIELD_DURATION,
     .offset = offsetof(struct authorizer_document, cache_ms),
     .most = HOUR_MS,
     .preset = "0s",
     .about = "How long its answer holds.",
     .example = "1m"},
    {.name = "cacheBy",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct authorizer_document, cache_by),
     .choices = memory_words,
     .preset = "request",
     .about = "What the answer holds for: the same `request` (credential, method and target), or everything with the "
              "same `credential`. The handler must decide by nothing else.",
     .example = "credential"},
};
static const struct schema_field any_fields[] = {
    {.name = "of",
     .kind = FIELD_LIST,
     .flags = FIELD_REQUIRED | FIELD_SHOWN,
     .offset = offsetof(struct any_document, of),
     .least = 1,
     .rule = &rule_name,
     .about = "The guards of which one must pass, tried in order.",
     .example = "[customer, partner]"},
};

#define OBJECT(variable, label, words, text, list, type)                                                               \
    static const struct object_schema variable = {.name = label,                                                       \
                                                  .title = words,                                                      \
                                                  .about = text,                                                       \
                                                  .fields = list,                                                      \
                                                  .count = ARRAY_LEN(list),                                            \
                                                  .size = sizeof(struct type),                                         \
                                                  .origin_offset = offsetof(struct type, origin)}
OBJECT(jwt_schema, "jwtGuard", "a jwt guard", "A signed token (RFC 7519, RFC 8725).", jwt_fields, jwt_document);
OBJECT(api_key_schema, "apiKeyGuard", "an apiKey guard", "A key per client.", api_key_fields, api_key_document);
OBJECT(basic_schema, "basicGuard", "a basic guard", "User and password (RFC 7617); use it over https only.",
       basic_fields, basic_document);
OBJECT(hmac_schema, "hmacGuard", "an hmac guard",
       "A signature of the body, as webhooks carry it. The body is read before the handler is asked.", hmac_fields,
       hmac_document);
OBJECT(authorizer_schema, "handlerGuard", "a handler guard", "An executable of yours decides.", authorizer_fields,
       authorizer_document);
OBJECT(any_schema, "anyGuard", "an any guard", "One of several guards.", any_fields, any_document);

static const struct variant guard_variants[] = {
    {"jwt", &jwt_schema, offsetof(struct guard_document, jwt)},
    {"apiKey", &api_key_schema, offsetof(struct guard_document, api_key)},
    {"basic", &basic_schema, offsetof(struct guard_document, basic)},
    {"hmac", &hmac_schema, offsetof(struct guard_document, hmac)},
    {"handler", &authorizer_schema, offsetof(struct guard_document, authorizer)},
    {"any", &any_schema, offsetof(struct guard_document, any)},
};
static const struct object_schema guard_schema = {
    .name = "guard",
    .title = "a guard",
    .about = "One way to find out who a client is. Guards run before the body is read; 401 tells a client to prove who "
             "it is, 403 that it may not.",
    .size = sizeof(struct guard_document),
    .origin_offset = offsetof(struct guard_document, origin),
    .variants = guard_variants,
    .variant_count = ARRAY_LEN(guard_variants),
    .variant_offset = offsetof(struct guard_document, type),
};

/* --- the section --- */

static const struct schema_field auth_fields[] = {
    {.name = "default",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE | FIELD_SHOWN,
     .offset = offsetof(struct auth_document, preset),
     .least = 1,
     .rule = &rule_name,
     .preset_note = "none: triggers without `guard` are open",
     .about = "The guard, or guards, of every http trigger that names none.",
     .example = "customer"},
    {.name = "guards",
     .kind = FIELD_MAP,
     .offset = offsetof(struct auth_document, guards),
     .key_rule = &rule_name,
     .object = &guard_schema,
     .preset_note = "none",
     .about = "The guards by name.",
     .example = "{partner: {type: apiKey, keys: {acme: \"${env.ACME_KEY}\"}}}"},
};
const struct object_schema auth_schema = {
    .name = "auth",
    .title = "`auth`",
    .about = "Who may use the application: guards, and which of them stands before triggers that say nothing.",
    .fields = auth_fields,
    .count = ARRAY_LEN(auth_fields),
    .size = sizeof(struct auth_document),
    .origin_offset = offsetof(struct auth_document, origin),
};

static const struct schema_field trigger_fields[] = {
    {.name = "guard",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE | FIELD_SHOWN,
     .offset = offsetof(struct auth_trigger, guard),
     .least = 1,
     .rule = &rule_name,
     .preset_note = "`auth.default`",
     .about = "The guards that must all let a client pass, in order; `none` for an open route.",
     .example = "[customer]"},
    {.name = "require",
     .kind = FIELD_OBJECT,
     .offset = offsetof(struct auth_trigger, require),
     .object = &require_schema,
     .preset_note = "nothing more",
     .about = "What the client must be allowed here, beyond what its guard asks for.",
     .example = "{scope: [orders:write]}"},
};
const struct object_schema auth_trigger_schema = {
    .name = "trigger",
    .title = "a trigger",
    .about = "",
    .fields = trigger_fields,
    .count = ARRAY_LEN(trigger_fields),
    .size = sizeof(struct auth_trigger),
    .origin_offset = offsetof(struct auth_trigger, origin),
};
