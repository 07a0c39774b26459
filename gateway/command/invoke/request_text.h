/* request_text.h - an HTTP request spelled on a command line: --http "POST /orders?x=1", -H, -d.
 *
 * Read the way curl reads its own: a missing method is GET, or POST with -d; `-d @FILE` reads a file, several -d are
 * joined with '&'; `-H "Name:"` takes a header away. Host, User-Agent and Accept are there as from any client, and with
 * data its length and type: application/json when it is a JSON object or array, else a form's.
 */
#pragma once
#include "gateway/command/options.h"
#include "gateway/source/invoke/invoke_source.h"

struct request_text {
    struct invoke_http http; /* slices of the rest */
    struct fields headers;
    struct buf body;
    struct arena arena;
};

#define REQUEST_TEXT_OPTIONS                                                                                           \
    {"http", 0, "REQUEST", "The event of this request: \"METHOD /path?query\""},                                       \
        {"header", 'H', "\"NAME: VALUE\"", "A header of it; may be repeated"},                                         \
        {"data", 'd', "DATA", "Its body, or @FILE, or @- for stdin"}, {                                                \
        "as", 0, "NAME=VALUE", "A claim of its client, taken as verified; may be repeated; =json:VALUE for JSON"       \
    }

/* Every -d, joined. */
int request_data_read(struct buf *out, const struct arguments *a, struct error *e) MUST_CHECK;
/* Without --http it is `otherwise`; if that is NULL nothing is read, and the other options are refused. */
int request_text_read(struct request_text *r, const struct arguments *a, const char *otherwise,
                      struct error *e) MUST_CHECK;
void request_text_free(struct request_text *r);
/* The claims of every --as as a JSON object; nothing is appended when there is none. */
int request_claims_read(struct buf *out, const struct arguments *a, struct error *e) MUST_CHECK;
