/* json_diff.h - in what two JSON texts differ, by value.
 *
 * The order of an object's members, blanks and the spelling of numbers and strings mean nothing (1.0 is 1). A
 * difference is told with its path, as a person would write it: body.items[3].price; a name that is no word stands in
 * quotes: body["a b"]. What is there on one side only has an absent slice on the other.
 *
 * A path with [] for any index is a pattern; what it names, and everything in it, is passed over.
 */
#pragma once
#include "gateway/base/buf.h"

struct json_diff {
    const struct slice *ignored; /* patterns */
    size_t ignored_count;
    void (*on_difference)(void *context, struct slice path, struct slice was, struct slice now); /* raw JSON */
    void *context;
};
/* `root` is the path of the whole. False, and nothing was told, when one of them is no JSON. */
bool json_diff(const struct json_diff *d, struct slice root, struct slice was, struct slice now);
bool json_path_matches(struct slice pattern, struct slice path);
