/* supervisor.h - the launcher that starts real processes.
 *
 * A process is started by vfork (spawn.h) in its own process group and watched through a pidfd; its stdout and stderr
 * are read line by line into the log, tagged with handler, pid and, when it holds exactly one, the invocation id. Lines
 * are cut at 8 KiB; above a budget per second lines are dropped and counted, but always read, so that a flood neither
 * blocks the process nor drowns the log. The last lines of stderr are kept for the obituary. After the exit the rest of
 * the group is killed, and output that grandchildren hold open is waited for at most one second.
 */
#pragma once
#include "gateway/loop/loop.h"
#include "gateway/pool/pool.h"

struct supervisor;
struct supervisor *supervisor_new(struct loop *l, struct log *log);
struct launcher *supervisor_launcher(struct supervisor *s);
size_t supervisor_processes(const struct supervisor *s); /* alive or not yet reaped */
void supervisor_free(struct supervisor *s);              /* no process may be left; NULL is fine */
