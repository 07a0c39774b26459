/* build_job.h - runs what makes a handler's executable, once.
 *
 * The process has execgate's own environment, because compilers need HOME, PATH and more, and the handler's working
 * directory; its output, both kinds together, is kept (the last of it). The job has ended when the process has;
 * what it left running is not waited for. It frees itself then.
 */
#pragma once
#include "gateway/blueprint/model.h"
#include "gateway/loop/loop.h"

struct build_result {
    bool succeeded;
    char how[64];        /* "exit status 2" */
    struct slice output; /* lives until on_end returns */
    uint64_t took_ms;
};
struct build_job;
/* `on_end` is called later, once, unless the job is cancelled before. */
struct build_job *build_job_start(struct loop *l, const struct handler_config *h,
                                  void (*on_end)(void *context, const struct build_result *r), void *context,
                                  struct error *e);
void build_job_cancel(struct build_job *j); /* kills it and what it started; NULL is fine */
/* The same command in the same folder: one run serves both. */
bool build_equal(const struct handler_config *a, const struct handler_config *b);
