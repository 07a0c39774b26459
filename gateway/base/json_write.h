/* json_write.h - JSON written straight into a buffer.
 *
 * For the hot path: no tree, no allocation but the buffer's own growth. The caller keeps the
 * nesting right; commas are placed by the writer. Text that is not valid UTF-8 has each bad byte replaced by
 * U+FFFD, so the output is always valid JSON (RFC 8259).
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/base/fields.h"

struct json_write {
    struct buf *out;
    bool comma; /* a comma is due before the next value or name */
};

static inline struct json_write json_write_to(struct buf *out) {
    return (struct json_write){out, false};
}
void json_open(struct json_write *w, char bracket);  /* '{' or '[' */
void json_close(struct json_write *w, char bracket); /* '}' or ']' */
void json_name(struct json_write *w, struct slice name);
void json_text(struct json_write *w, struct slice s); /* an absent slice is written as "" */
void json_number(struct json_write *w, int64_t value);
void json_bool(struct json_write *w, bool value);
void json_null(struct json_write *w);
/* Bytes that are already one JSON value. */
void json_raw(struct json_write *w, struct slice value);
void json_base64(struct json_write *w, struct slice bytes); /* a text value */
/* name and text value in one call, for the common case. */
void json_member(struct json_write *w, struct slice name, struct slice value);
/* A list of [name, value] pairs, because a name may be there twice. */
void json_pairs(struct json_write *w, const struct fields *f);
/* The escaped content of a JSON string without its quotes. */
void json_escape(struct buf *out, struct slice s);
/* How many bytes from the start stand in a JSON string as they are: valid UTF-8 without quotes, backslashes and
 * controls. */
size_t json_plain_prefix(struct slice s);
