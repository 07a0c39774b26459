#include "plugins/auth/authorizer_answer.h"
#include "plugins/auth/jwt.h"

static struct authorizer_answer unclear(const char *why) {
    return (struct authorizer_answer){.verdict = AUTHORIZER_UNCLEAR, .why = why};
}

static struct authorizer_answer verdict_of_status(int status) {
    return (struct authorizer_answer){.verdict = status == 401 ? AUTHORIZER_KNOWS_NOBODY : AUTHORIZER_REFUSES};
}

static struct authorizer_answer allow_with(const struct json_value *context, struct arena *a) {
    struct jwt t;
    bool given = context && context->kind != JSON_NULL;
    if (given && context->kind != JSON_OBJECT) return unclear("its context is not an object");
    if (given && jwt_read(&t, context->raw, a).result != JOSE_OK) return unclear("its context is not one of claims");
    return (struct authorizer_answer){.verdict = AUTHORIZER_ALLOWS, .context = given ? context->raw : SLICE("{}")};
}

/* A function's answer in the form of an HTTP answer says it by its status, if that refuses. */
static struct authorizer_answer read_object(const struct jose_object *o, struct arena *a) {
    const struct json_value *authorized = jose_object_get(o, SLICE("isAuthorized"));
    const struct json_value *status = jose_object_get(o, SLICE("statusCode"));
    int64_t code = 403;
    if (status && status->kind != JSON_NULL && !json_int_of(*status, &code)) return unclear("its statusCode is odd");
    bool refuses = code == 401 || code == 403;
    if (!authorized) return refuses && status ? verdict_of_status((int)code) : unclear("it has no isAuthorized");
    if (authorized->kind == JSON_TRUE) return allow_with(jose_object_get(o, SLICE("context")), a);
    if (authorized->kind != JSON_FALSE) return unclear("its isAuthorized is neither true nor false");
    return refuses ? verdict_of_status((int)code) : unclear("its statusCode is neither 401 nor 403");
}

struct authorizer_answer authorizer_answer_read(int status, struct slice body, struct arena *a) {
    struct jose_object o;
    if (status == 401 || status == 403) return verdict_of_status(status);
    if (status < 200 || status > 299) return unclear("its status is neither 2xx, 401 nor 403");
    if (status == 204) return allow_with(NULL, a);
    if (body.n == 0) return unclear("it is empty");
    if (jose_object_read(&o, body, a)) return unclear("it is not a JSON object with unique names");
    return read_object(&o, a);
}
