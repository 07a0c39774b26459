/* json_read.h - a strict pull reader for JSON from outside.
 *
 * For the few members of an answer that we know: walks the text once, without building a tree,
 * and hands out values as slices of it. Strict by RFC 8259: UTF-8 checked, lone surrogates,
 * trailing bytes, depth over 64 and leading zeros are refused. Values that a caller does not
 * care for are skipped, still checked.
 *
 *   struct json_read r; json_read_init(&r, text);
 *   if (json_read_open(&r, '{')) while (json_read_name(&r, arena, &name)) ... json_read_value(&r, &value) ...
 *   ok = json_read_end(&r);      // false when anything was wrong; r.error, r.at say what and where
 */
#pragma once
#include "gateway/base/arena.h"

enum json_kind { JSON_INVALID, JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_read {
    const char *p;
    const char *end;
    const char *start;
    const char *error; /* NULL while all is well */
    size_t at;         /* offset of the error */
    int depth;
    bool first; /* the next member is the container's first */
};
struct json_value {
    enum json_kind kind;
    struct slice raw; /* the whole value as it stands, quotes included */
};

void json_read_init(struct json_read *r, struct slice text);
/* What the next value is, without taking it. */
enum json_kind json_read_peek(struct json_read *r);
/* Enters a '{' or '['; false when the next value is something else. */
bool json_read_open(struct json_read *r, char bracket);
/* The next member's name, unescaped (in the arena only if it needed unescaping); false at the object's end, which is
 * taken. */
bool json_read_name(struct json_read *r, struct arena *a, struct slice *name);
/* True when another element follows; false at the array's end, which is taken. */
bool json_read_element(struct json_read *r);
/* Takes any one value whole, nested ones included. False on an error. */
bool json_read_value(struct json_read *r, struct json_value *value);
/* True when nothing but blanks is left and no error was met. */
bool json_read_end(struct json_read *r);
/* Unescapes a JSON_STRING into `out` (which may be the raw bytes' own memory: the result is never longer). Returns the
 * length. */
size_t json_unescape(struct slice raw, char *out);
/* A JSON_STRING's text in the arena, or a slice of raw itself when nothing is escaped. */
struct slice json_text_of(struct arena *a, struct json_value value);
/* A JSON_NUMBER that is an integer in range; false otherwise. */
bool json_int_of(struct json_value value, int64_t *number);
/* True when the text is one valid JSON value. */
bool json_is_valid(struct slice text);
