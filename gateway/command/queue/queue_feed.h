/* queue_feed.h - messages from lines of JSON into a queue, many to a send: `send --batch` and `import`.
 *
 * What came before a line that is wrong is sent, then the line is complained about.
 */
#pragma once
#include "gateway/command/queue/queue_lines.h"
#include "gateway/command/queue/queue_progress.h"
#include "gateway/source/queue/queue_json.h"

#define QUEUE_FEED_MESSAGES 500
struct queue_feed {
    struct queue_desk *desk;
    struct slice queue;
    const struct queue_config *config; /* NULL = the blueprint does not name the queue */
    enum queue_json_kind kind;
    /* What a message is before its line is read, and whether it is to be sent then. */
    struct queue_send initial;
    bool (*wants)(struct queue_feed *f, const struct queue_send *send); /* NULL = every one */
    void (*on_sent)(struct queue_feed *f, const struct queue_sent *sent, size_t count);
    struct queue_progress progress;
    /* Its own: */
    struct arena arena; /* of the batch */
    struct queue_send sends[QUEUE_FEED_MESSAGES];
    size_t count;
    size_t size_bytes;
    uint64_t sent; /* answered, duplicates too */
};
/* Until the input's end, or until the desk is stopped. */
int queue_feed_run(struct queue_feed *f, struct queue_lines *lines, struct error *e) MUST_CHECK;
/* Sends one. */
int queue_feed_one(struct queue_feed *f, const struct queue_send *send, struct error *e) MUST_CHECK;
