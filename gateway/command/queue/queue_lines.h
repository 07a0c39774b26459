/* queue_lines.h - the lines of a file or of stdin, one after the other, in bounded memory; a signal ends the wait for
 * more. */
#pragma once
#include "gateway/command/queue/queue_desk.h"

#define QUEUE_LINE_SIZE_MAX (48u << 20) /* a message of the largest size fits, every byte of it escaped or not */

struct queue_lines {
    struct queue_desk *desk;
    const char *name; /* for messages */
    int fd;
    struct buf text;
    size_t at;       /* where the next line begins */
    size_t searched; /* from there on: bytes without an end of line */
    uint64_t number; /* of the line that was read last, from 1 */
    bool over;
};
/* `name` is a path, or "-" for stdin. */
int queue_lines_open(struct queue_lines *l, struct queue_desk *d, const char *name, struct error *e) MUST_CHECK;
/* 1 and a line that lives until the next call, without its end; 0 at the end, or when the desk was stopped. */
int queue_lines_next(struct queue_lines *l, struct slice *line, struct error *e) MUST_CHECK;
/* False when the next line would have to be waited for. */
bool queue_lines_at_hand(const struct queue_lines *l);
void queue_lines_close(struct queue_lines *l);
