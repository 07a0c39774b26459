/* http_text.h - the lexical rules of HTTP that several rooms share.
 *
 * Pure predicates and tables from RFC 9110 and RFC 9112: tokens, field values, methods, reason
 * phrases, hop-by-hop fields, dates.
 */
#pragma once
#include "gateway/base/fields.h"

/* 1*tchar (RFC 9110 5.6.2). */
bool http_is_token(struct slice s);
/* No control characters but tab; no leading or trailing blank (RFC 9110 5.5). May be empty. */
bool http_is_field_value(struct slice s);
/* Connection, Keep-Alive, Proxy-*, TE, Trailer, Transfer-Encoding, Upgrade (RFC 9110 7.6.1). */
bool http_is_hop_by_hop(struct slice name);
/* A name's character in the variable that is made of a field (RFC 3875 4.1.18): in upper case, `_` for all others. */
char http_variable_character(char c);
/* True when the name is `own`, or begins with `prefix`, to those who make variables of fields: X_Real.IP is X-Real-IP.
 */
bool http_name_reads_as(struct slice name, struct slice own);
bool http_name_reads_from(struct slice name, struct slice prefix);
/* True when `name` is listed in a Connection field of `f`. */
bool http_is_named_by_connection(const struct fields *f, struct slice name);
/* "Not Found"; "" for an unknown status. */
const char *http_reason(int status);
/* True when a comma-separated list holds the token, without case (RFC 9110 5.6.1). */
bool http_list_has(struct slice list, struct slice token);
/* Adds a name to Vary, unless that name or `*` is there already (RFC 9110 12.5.5). */
void http_vary_add(struct fields *f, struct arena *a, struct slice name);
/* Removes every field whose name begins with `prefix`, without case; returns how many. */
size_t http_fields_remove_prefixed(struct fields *f, struct slice prefix);
/* IMF-fixdate (RFC 9110 5.6.7), 29 bytes plus NUL. */
void http_date(uint64_t wall_ms, char text[30]);
/* "12/Mar/2020:19:03:58 +0000", 26 bytes plus NUL. */
void http_common_log_time(uint64_t wall_ms, char text[27]);
