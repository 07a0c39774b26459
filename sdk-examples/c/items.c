/* items.c - a JSON resource in memory.
 *
 *   GET /items           the whole list          POST /items         201 and a Location
 *   GET /items/{id}      one, or 404             PUT /items/{id}     replaces it
 *   DELETE /items/{id}   204
 *
 * An item is whatever JSON value the client sent; it is checked, kept as text, and given an id. The items live in this
 * process: the blueprint gives it `max: 1`, and the high concurrency that suits a handler which never waits.
 */
#define EXECGATE_IMPLEMENTATION
#include "../execgate.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ITEMS 10000
#define MAX_DEPTH 64

struct item {
    unsigned long id;
    char *json;
};
struct store {
    struct item items[MAX_ITEMS];
    size_t count;
    unsigned long last_id;
};

/* --- is it JSON? Each function returns where its value ends, NULL when it is none (RFC 8259) --- */
static const char *skip_space(const char *at) {
    return at + strspn(at, " \t\r\n");
}

static const char *skip_string(const char *at) {
    if (*at++ != '"') return NULL;
    for (; *at != '"'; at++) {
        if ((unsigned char)*at < 0x20) return NULL;
        if (*at != '\\') continue;
        at++;
        if (*at == 'u' && strspn(at + 1, "0123456789abcdefABCDEF") < 4) return NULL;
        if (*at == 0 || !strchr("\"\\/bfnrtu", *at)) return NULL;
    }
    return at + 1;
}

static const char *skip_digits(const char *at) {
    return isdigit((unsigned char)*at) ? at + strspn(at, "0123456789") : NULL;
}

static const char *skip_number(const char *at) {
    at += *at == '-';
    at = *at == '0' ? at + 1 : skip_digits(at);
    if (at && *at == '.') at = skip_digits(at + 1);
    if (!at || (*at != 'e' && *at != 'E')) return at;
    at++;
    return skip_digits(at + (*at == '+' || *at == '-'));
}

static const char *skip_value(const char *at, int depth);

/* An object or array from behind its opening bracket. */
static const char *skip_members(const char *at, char close, int depth) {
    at = skip_space(at);
    if (*at == close) return at + 1;
    for (;; at++) {
        if (close == '}') {
            at = skip_string(skip_space(at));
            if (!at || *(at = skip_space(at)) != ':') return NULL;
            at++;
        }
        at = skip_value(at, depth + 1);
        if (!at) return NULL;
        if (*at == close) return at + 1;
        if (*at != ',') return NULL;
    }
}

static const char *skip_value(const char *at, int depth) {
    static const char *const words[] = {"true", "false", "null"};
    if (depth > MAX_DEPTH) return NULL;
    at = skip_space(at);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(at, words[i], strlen(words[i])) == 0) return skip_space(at + strlen(words[i]));
    if (*at == '{')
        at = skip_members(at + 1, '}', depth);
    else if (*at == '[')
        at = skip_members(at + 1, ']', depth);
    else
        at = *at == '"' ? skip_string(at) : skip_number(at);
    return at ? skip_space(at) : NULL;
}

/* The whole body is one value; a NUL inside it would end the text early and is no JSON. */
static int body_is_json(const struct execgate_request *request) {
    return skip_value(request->body, 0) == request->body + request->body_size;
}

/* --- the resource --- */
static struct item *item_find(struct store *store, const char *id_text) {
    char *end;
    unsigned long id = strtoul(id_text, &end, 10);
    if (*end || !isdigit((unsigned char)*id_text)) return NULL;
    for (size_t i = 0; i < store->count; i++)
        if (store->items[i].id == id) return &store->items[i];
    return NULL;
}

static void problem(struct execgate_response *response, int status, const char *title) {
    execgate_status(response, status);
    execgate_add_header(response, "Content-Type", "application/problem+json");
    execgate_print(response, "{\"status\":%d,\"title\":\"%s\"}\n", status, title);
}

static void item_write(struct execgate_response *response, const struct item *item) {
    execgate_print(response, "{\"id\":%lu,\"item\":", item->id);
    execgate_write(response, item->json, strlen(item->json));
    execgate_write(response, "}", 1);
}

static void item_answer(struct execgate_response *response, const struct item *item) {
    execgate_add_header(response, "Content-Type", "application/json");
    item_write(response, item);
    execgate_write(response, "\n", 1);
}

static void items_list(struct store *store, struct execgate_response *response) {
    execgate_add_header(response, "Content-Type", "application/json");
    execgate_write(response, "[", 1);
    for (size_t i = 0; i < store->count; i++) {
        if (i > 0) execgate_write(response, ",\n", 2);
        item_write(response, &store->items[i]);
    }
    execgate_write(response, "]\n", 2);
}

static void item_create(struct store *store, const struct execgate_request *request,
                        struct execgate_response *response) {
    char location[64], *json = store->count < MAX_ITEMS ? strdup(request->body) : NULL;
    if (!json) {
        problem(response, 507, "The list is full");
        return;
    }
    struct item *item = &store->items[store->count++];
    item->id = ++store->last_id;
    item->json = json;
    snprintf(location, sizeof location, "/items/%lu", item->id);
    execgate_status(response, 201);
    execgate_add_header(response, "Location", location);
    item_answer(response, item);
}

static void item_replace(struct item *item, const struct execgate_request *request,
                         struct execgate_response *response) {
    char *json = strdup(request->body);
    if (!json) {
        execgate_fail(response, "OutOfMemory", "%lu bytes", (unsigned long)request->body_size);
        return;
    }
    free(item->json);
    item->json = json;
    item_answer(response, item);
}

static void item_delete(struct store *store, struct item *item, struct execgate_response *response) {
    free(item->json);
    *item = store->items[--store->count];
    execgate_status(response, 204);
}

/* The blueprint lets only these methods and paths in. */
static void items(const struct execgate_request *request, struct execgate_response *response, void *user) {
    struct store *store = user;
    const char *id = execgate_parameter(request, "id");
    int writes = request->method[0] == 'P'; /* POST, PUT */
    struct item *item = id ? item_find(store, id) : NULL;

    if (id && !item)
        problem(response, 404, "There is no such item");
    else if (writes && !body_is_json(request))
        problem(response, 400, "The body is not a JSON value");
    else if (!id && writes)
        item_create(store, request, response);
    else if (!id)
        items_list(store, response);
    else if (writes)
        item_replace(item, request, response);
    else if (strcmp(request->method, "DELETE") == 0)
        item_delete(store, item, response);
    else
        item_answer(response, item);
}

int main(void) {
    static struct store store;
    return execgate_run(items, &store) == 0 ? 0 : 1;
}
