/* text.h - the units a person writes and the name they probably meant. */
#pragma once
#include "gateway/base/buf.h"

/* "250ms" "30s" "5m" "1h" "7d" -> milliseconds. False when the unit is missing or unknown or it overflows. */
bool text_to_duration_ms(struct slice s, uint64_t *ms);
/* "512B" "64KiB" "6MiB" "1GiB" -> bytes. False as above. */
bool text_to_size_bytes(struct slice s, uint64_t *bytes);
/* "100/s" "5/m" "10/h" "1000/d" -> events per day, which is exact for all of them. False as above. */
bool text_to_rate_per_day(struct slice s, uint64_t *per_day);
/* The shortest exact spelling: 90000 -> "90s", 1048576 -> "1MiB", 7200 -> "5/m". */
void text_append_duration(struct buf *out, uint64_t ms);
void text_append_size(struct buf *out, uint64_t bytes);
void text_append_rate(struct buf *out, uint64_t per_day);
/* The candidate that is `name` but for case, or else nearest to it by edit distance (transpositions count one); NULL
 * when none is near enough to be meant. */
const char *text_nearest(struct slice name, const char *const *candidates, size_t count);
/* Length of the valid UTF-8 sequence at the start, 1 to 4; 0 when there is none (RFC 3629). */
size_t text_utf8_length(struct slice s);
/* Appends `s` with control characters and bytes that are not UTF-8 escaped as \xNN, cut after `limit` bytes with "...".
 */
void text_append_quoted(struct buf *out, struct slice s, size_t limit);
/* Length of the longest valid UTF-8 prefix (RFC 3629); s.n when all of it is valid. */
size_t text_utf8_prefix(struct slice s);
/* Two and four decimal digits, for dates. */
static inline void text_put_2(char *at, int value) {
    at[0] = (char)('0' + value / 10 % 10);
    at[1] = (char)('0' + value % 10);
}
static inline void text_put_4(char *at, int value) {
    text_put_2(at, value / 100);
    text_put_2(at + 2, value);
}
