/* answer_diff.h - in what an answer differs from the one that was recorded.
 *
 * Status, headers and body; of an answer that was made in this process also how it failed. Headers that are another
 * with every answer (dates, ids, traces) are passed over, and so is the weakness of an ETag. A JSON body is compared by
 * value (json_diff.h), another text line by line up to the first that differs, anything else byte by byte.
 */
#pragma once
#include "gateway/observe/record.h"

struct difference {
    struct difference *next;
    struct slice path;     /* "status", a header's name, "body.items[3].price" */
    struct slice was, now; /* as text for people; absent = nothing there */
};
enum failure_sight { FAILURES_SEEN, FAILURES_UNSEEN };
struct answer_diff {
    struct arena *arena;         /* of what is found */
    const struct slice *ignored; /* names of headers, "status", or patterns of paths that begin with "body" */
    size_t ignored_count;
    enum failure_sight sight;
    struct difference *first, **end;
    size_t count;
    struct slice not_compared; /* why the bodies were not; absent = they were */
};
/* Arena, what is ignored and sight are set. */
void answer_diff(struct answer_diff *d, const struct record *then, const struct record_answer *now);
void answer_diff_add(struct answer_diff *d, struct slice path, struct slice was, struct slice now);
