/* replay_run.h - sends every record again, one after the other, compares and tells.
 *
 * Records are sent in order and one at a time, so that a handler that remembers sees what it saw. Here: through the
 * real pipeline of a gateway without listeners, with the recorded claims as verified (source/invoke_source.h). To a
 * URL: over HTTP, as a client.
 */
#pragma once
#include "gateway/command/replay/replay_files.h"
#include "gateway/command/replay/replay_report.h"
#include "gateway/command/serve/gateway.h"

struct replay_plan {
    const char *handler; /* only its records; NULL = all */
    const char *url;     /* NULL = here */
    struct fields given; /* headers that take the place of recorded ones; to a URL */
    const struct slice *ignored;
    size_t ignored_count;
    uint64_t timeout_ms; /* 0 = the route's or the handler's */
    enum replay_form form;
    bool updates;
};
/* An exit_status. `g` is NULL when it goes to a URL. What stops it is told in *e. */
int replay_run(const struct replay_plan *p, struct replay_files *files, struct gateway *g, struct error *e);
