/* spawn.h - fork and exec without copying the gateway's page tables.
 *
 * vfork, with everything prepared before it and only async-signal-safe calls after it: default signal handlers and an
 * empty mask, own process group, PR_SET_PDEATHSIG (the process dies with the gateway, even when that is killed),
 * directory, descriptors 0-2 (and 3), close_range on the rest, exec. The errno of a failed step comes back through
 * shared memory, so a missing interpreter is an error here and not an exit code later. Call from the main thread only:
 * the death signal is bound to it.
 */
#pragma once
#include "gateway/base/error.h"

struct spawn_request {
    char *const *argv;        /* argv[0] with a slash, or looked up on PATH of `environment` */
    char *const *environment; /* NULL-terminated */
    const char *directory;
    int stdin_fd, stdout_fd, stderr_fd; /* >= 0 */
    int inherited_fd;                   /* -1, or becomes descriptor 3 (LISTEN_FDS=1 and LISTEN_PID are added) */
};
struct spawn_result {
    int pid;
    int pidfd; /* close-on-exec; the caller closes it */
};
int spawn_process(const struct spawn_request *request, struct spawn_result *result, struct error *e) MUST_CHECK;
