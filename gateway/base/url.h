/* url.h - request targets, decoded by our own rules.
 *
 * libmicrohttpd hands over a path that is already decoded, where %00 has cut the string and %2F
 * has become a separator. We take the raw target instead and split before decoding: a segment
 * may hold a decoded slash, but %2F never splits. NUL, invalid escapes, `.` and `..` segments,
 * those between decoded slashes too, and raw bytes outside RFC 3986's set are refused.
 */
#pragma once
#include "gateway/base/arena.h"
#include "gateway/base/buf.h"
#include "gateway/base/error.h"

#define URL_MAX_SEGMENTS 64

struct url {
    struct slice path;                       /* raw, starts with '/' */
    struct slice query;                      /* raw, without '?'; absent when there is none */
    struct slice authority;                  /* of an absolute-form target; absent otherwise */
    size_t segment_count;                    /* "/" has one empty segment; "/a/" has "a" and "" */
    struct slice segments[URL_MAX_SEGMENTS]; /* decoded */
};

/* Accepts origin-form and absolute-form http(s) targets (RFC 9112 3.2). 0, or -ERROR_FORMAT with the reason. */
int url_parse(struct url *u, struct arena *a, struct slice target, struct error *e) MUST_CHECK;
/* Percent-decodes; `plus` also turns '+' into a blank (form encoding). Invalid escapes are kept as they are. */
enum url_plus { URL_PLUS_LITERAL, URL_PLUS_IS_BLANK };
struct slice url_decode(struct arena *a, struct slice s, enum url_plus plus);
/* Cuts the next `name=value` off a raw query, undecoded; a missing '=' gives an empty value. False at the end. */
bool url_query_next(struct slice *rest, struct slice *name, struct slice *value);
/* application/x-www-form-urlencoded with only what RFC 3986 calls unreserved left as it is. */
void url_append_form(struct buf *out, struct slice s);
