#include "gateway/blueprint/compare.h"

static bool text_equal(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool words_equal(char *const *a, char *const *b) {
    if (!a || !b) return a == b;
    for (; *a && *b; a++, b++)
        if (strcmp(*a, *b) != 0) return false;
    return !*a && !*b;
}

static bool environment_equal(const struct handler_config *a, const struct handler_config *b) {
    if (a->environment_count != b->environment_count) return false;
    for (size_t i = 0; i < a->environment_count; i++) {
        if (!text_equal(a->environment[i].name, b->environment[i].name)) return false;
        if (!text_equal(a->environment[i].value, b->environment[i].value)) return false;
    }
    return true;
}

static bool processes_equal(const struct processes_config *a, const struct processes_config *b) {
    return a->min == b->min && a->max == b->max && a->concurrency == b->concurrency &&
           a->start_timeout_ms == b->start_timeout_ms && a->idle_timeout_ms == b->idle_timeout_ms &&
           a->stop_timeout_ms == b->stop_timeout_ms && a->max_invocations == b->max_invocations &&
           a->max_memory == b->max_memory;
}

bool handler_config_equal(const struct handler_config *a, const struct handler_config *b) {
    return text_equal(a->name, b->name) && a->mode == b->mode && a->attach == b->attach &&
           a->server_socket == b->server_socket && words_equal(a->command, b->command) &&
           text_equal(a->working_directory, b->working_directory) && environment_equal(a, b) &&
           a->timeout_ms == b->timeout_ms && a->queue_limit == b->queue_limit &&
           processes_equal(&a->processes, &b->processes);
}

bool handler_sources_equal(const struct handler_config *a, const struct handler_config *b) {
    if (a->source_count != b->source_count) return false;
    for (size_t i = 0; i < a->source_count; i++)
        if (strcmp(a->sources[i], b->sources[i]) != 0) return false;
    return text_equal(a->name, b->name) && words_equal(a->build, b->build) && words_equal(a->command, b->command) &&
           text_equal(a->working_directory, b->working_directory);
}

bool listener_place_equal(const struct listener_config *a, const struct listener_config *b) {
    if (a->kind != b->kind) return false;
    return a->kind == LISTENER_UNIX ? text_equal(a->path, b->path) : a->port == b->port && text_equal(a->host, b->host);
}

bool tls_config_equal(const struct tls_config *a, const struct tls_config *b) {
    if (!a || !b) return a == b;
    if (a->certificate_count != b->certificate_count || a->client_certificates != b->client_certificates ||
        a->min_version != b->min_version || !text_equal(a->client_authority, b->client_authority))
        return false;
    for (size_t i = 0; i < a->certificate_count; i++) {
        if (!text_equal(a->certificates[i].certificate, b->certificates[i].certificate)) return false;
        if (!text_equal(a->certificates[i].key, b->certificates[i].key)) return false;
    }
    return true;
}
