/* build.h - from the document to the model.
 *
 * Goes on after mistakes, so that a problem in one handler does not hide those of the next; what
 * it leaves behind is only a model when no problem was added.
 */
#pragma once
#include "gateway/blueprint/compose.h"

/* Handlers inherit from `defaults`, then everything unset gets its default. */
void document_complete(const struct composition *c, struct arena *a, struct blueprint_document *d);
/* Fills listeners, proxies, limits and handlers of `out`; its directory must be set. */
void blueprint_build(const struct composition *c, struct binder *b, struct blueprint_document *d,
                     struct blueprint *out);
/* Its parts in build_schedule.c. */
void build_schedule(struct binder *b, const struct trigger_document *d, struct handler_config *h,
                    struct blueprint *out);
void check_schedules(struct problems *p, const struct blueprint *model);
/* In trigger_keys.c: keys of a trigger that say something about another kind of trigger. */
void check_trigger_keys(struct binder *b, const struct trigger_document *d);
/* All triggers of a handler, or of a queue's `send`, into `h`. */
void build_triggers(const struct composition *c, struct binder *b, const struct bound_items *triggers,
                    struct handler_config *h, struct blueprint *out);
/* Its parts in build_queue.c. */
void build_queue_trigger(const struct trigger_document *d, struct handler_config *h, struct blueprint *out);
void build_queues(const struct composition *c, struct binder *b, const struct blueprint_document *d,
                  struct blueprint *out);
struct queue_retry_config build_retry(const struct retry_document *d, uint64_t max_attempts);
void check_queues(struct problems *p, const struct blueprint *model);
/* Its parts in build_websocket.c; after the handlers. */
void build_websocket_trigger(struct binder *b, const struct trigger_document *d, struct handler_config *h,
                             struct blueprint *out);
void build_websockets(const struct composition *c, struct binder *b, struct blueprint_document *d,
                      struct blueprint *out);
void check_websockets(struct problems *p, const struct blueprint *model);
void check_retry(struct problems *p, struct position at, const struct queue_retry_config *retry);
/* `key` names a queue that is not there. */
void queue_unknown(struct problems *p, struct position at, const char *key, const struct blueprint *model,
                   const char *name);
/* Its parts in build_async.c; after the queues. */
void build_async(const struct blueprint_document *d, struct blueprint *out);
void check_async(struct problems *p, const struct blueprint *model);
/* Its parts in build_listen.c. */
void build_listeners(struct binder *b, const struct blueprint_document *d, struct blueprint *out);
void build_admin(struct binder *b, const struct blueprint_document *d, struct blueprint *out);
void build_trusted_proxies(struct binder *b, const struct blueprint_document *d, struct blueprint *out);
void check_listener_files(struct problems *p, const struct blueprint_document *d, struct blueprint *model);
/* After the above, when the files are there; `check` as in struct blueprint_options, may be NULL. */
void check_listener_tls(struct problems *p, const struct blueprint_document *d, const struct blueprint *model,
                        int (*check)(const struct tls_config *c, struct error *e));
