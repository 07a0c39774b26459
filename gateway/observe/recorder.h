/* recorder.h - keeps what clients ask and what they are answered, so that it can be asked again (`run --record`).
 *
 * Two hooks see every invocation of a client's request or by name. The client's stands before the plugins: it sees the
 * request as it came and the answer's head as it leaves. The handler's stands after them: it taps the answer's body
 * before it is compressed, while it flows (body.h). A record is complete when both bodies are; it goes, without its
 * secrets (redactor.h), as one line into a buffer, which loop_work appends to a segment (record_files.h).
 *
 * Everything is bounded: what is kept of a body, of all bodies in flight, of lines that wait for the disk, and the
 * folder. What does not fit is cut and marked, or dropped, counted and told in the log; nothing ever waits for a
 * record. When the disk refuses, recording ends and the gateway goes on.
 *
 * The recorder is the gateway's and lasts over reloads; a view is a generation's, because guards decide what a secret
 * is.
 */
#pragma once
#include "gateway/blueprint/model.h"
#include "gateway/invocation/pipeline.h"
#include "gateway/loop/loop.h"

#define RECORDER_LEAST_LIMIT ((uint64_t)64 * 1024)
#define RECORDER_LIMIT ((uint64_t)256 * 1024 * 1024)
#define RECORDER_BODY_LIMIT ((uint64_t)256 * 1024)

struct recorder_config {
    const char *folder;
    uint64_t limit;      /* bytes of all segments */
    uint64_t body_limit; /* bytes kept of each body */
};
struct recorder;
struct recorder *recorder_new(struct loop *l, struct log *log, const struct recorder_config *c, struct error *e);
/* Writes what is left, and waits for it; nothing is in flight any more. NULL is fine. */
void recorder_free(struct recorder *r);

struct recorder_view;
struct recorder_view *recorder_view_new(struct recorder *r, const struct blueprint *b);
struct hook recorder_client_hook(struct recorder_view *v);
struct hook recorder_handler_hook(struct recorder_view *v);
void recorder_view_free(struct recorder_view *v); /* NULL is fine */
