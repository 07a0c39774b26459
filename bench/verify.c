/* What it costs to accept a token that was not seen before: CPU per call of the whole check, as one JSON object on
 * stdout. */
#include "plugins/auth/jwt.h"
#include "tests/unit/jose_helper.h"
#include <time.h>

#define CALLS 2000
#define ROUNDS 5
#define CLAIMS                                                                                                         \
    "{\"iss\":\"https://id.example\",\"sub\":\"alice-0123456789\",\"aud\":[\"shop\",\"api\"],\"exp\":1700000060,"      \
    "\"iat\":1699999990,\"scope\":\"openid profile read write\",\"tenant\":\"acme\",\"roles\":[\"admin\",\"user\"]}"

static double cpu_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double cost_of(enum jose_algorithm algorithm, EVP_PKEY *key, struct clock *clock) {
    struct arena a, scratch;
    struct slice audience = SLICE("shop");
    struct jwt_rules rules = {.issuer = SLICE("https://id.example"), .audiences = &audience, .audience_count = 1};
    double best = 1e9;
    arena_init(&a, 65536);
    arena_init(&scratch, 16384);
    const char *header =
        arena_printf(&a, "{\"alg\":\"%.*s\",\"kid\":\"k\"}", SLICE_ARG(jose_rule_of(algorithm)->name)).p;
    struct jwk_set *keys = set_of(&a, jwk_of(&a, key, ",\"kid\":\"k\""));
    struct slice token = sign_token(&a, key, algorithm, header, CLAIMS);
    struct jwt_trust trust = {jws_verifier_new(JOSE_BIT(algorithm)), keys, &rules, clock};
    for (int round = 0; round < ROUNDS; round++) {
        double began = cpu_us();
        for (int i = 0; i < CALLS; i++) {
            struct jwt jwt;
            if (jwt_accept(&jwt, token, &trust, &scratch).result != JOSE_OK) abort();
            arena_reset(&scratch);
        }
        double cost = (cpu_us() - began) / CALLS;
        if (cost < best) best = cost;
    }
    return best;
}

int main(void) {
    struct clock_fake clock;
    clock_fake_init(&clock);
    clock.wall_now_ms = 1700000000000ULL;
    printf("{\"RS256\": %.1f, ", cost_of(JOSE_RS256, make_rsa(2048), &clock.clock));
    printf("\"ES256\": %.1f, ", cost_of(JOSE_ES256, make_ec("P-256"), &clock.clock));
    printf("\"EdDSA\": %.1f}\n", cost_of(JOSE_EDDSA, make_okp("ED25519"), &clock.clock));
    return 0;
}
