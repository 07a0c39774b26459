/* moment.h - moments as people write them (RFC 3339), to the second. */
#pragma once
#include "gateway/base/buf.h"

#define MOMENT_SIZE 26 /* with the NUL */

/* "2026-03-29T01:00:00Z" */
void moment_text_utc(char text[MOMENT_SIZE], int64_t at_s);
/* The same moment on clocks that are so far from UTC: "2026-03-29T03:00:00+02:00". */
void moment_text_local(char text[MOMENT_SIZE], int64_t at_s, int32_t offset_s);
/* Either form; the time, its seconds and the offset may be left out: midnight, zero, UTC. False when it is no
 * date from 1970 on. */
bool moment_read(struct slice text, int64_t *at_s);
