/* transport.h - how events reach a process: over the runtime API, on stdin, or by proxied requests.
 *
 * The pool decides which worker gets which invocation; the transport carries it there and calls
 * invocation_complete with what came back. One table of functions per handler mode. No function
 * calls the pool back before it returns, except worker_launch from deliver.
 *
 * Life of a worker as its transport sees it: open (before the fork) -> started -> worker_offer ... deliver, flush ...
 * -> stopping -> exited -> close.
 */
#pragma once
#include "gateway/pool/worker.h"

struct pool;
struct process;

/* What a process is started with; filled by transport->open, completed by the pool, used up by the launcher. */
struct launch {
    char *const *argv;
    const char *directory;
    struct buf environment; /* NAME=VALUE NUL NAME=VALUE NUL ...; the first of a name wins */
    int stdin_fd;           /* -1 = /dev/null; closed by the launcher */
    int stdout_fd;          /* -1 = captured line by line; closed by the launcher */
    int inherited_fd;       /* -1 = none; becomes descriptor 3 with LISTEN_FDS=1, LISTEN_PID; closed by the launcher */
    bool deferred; /* set by open: there is no process until deliver calls worker_launch; it is an offer of one */
};
/* The handler's command and directory, no descriptors, an empty environment. The pool adds the handler's variables and
 * the base ones (PATH, LANG) behind what the transport sets, so the transport's names cannot be overridden. */
void launch_init(struct launch *l, const struct handler_config *handler);
void launch_set(struct launch *l, const char *name, const char *value);
void launch_set_format(struct launch *l, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void launch_add_defaults(struct launch *l, const struct handler_config *handler);
/* An array for execve, the first of each name only; its texts are the launch's. Freed with free(). */
char **launch_environment(const struct launch *l);
/* Closes its descriptors and frees its memory; idempotent. */
void launch_discard(struct launch *l);

enum stop_reason { STOP_SCALE_DOWN, STOP_RECYCLE, STOP_TIMEOUT, STOP_SHUTDOWN, STOP_FAILURE };

struct worker {
    struct list_node node;    /* in the pool's list of its state */
    struct list_node wanting; /* in the pool's list of those that can be given an event now */
    struct list_node touched; /* given something in this dispatch, not yet flushed */
    struct pool *pool;
    enum worker_state state;
    const struct handler_config *handler;
    unsigned number;         /* 1, 2, ... within the pool; for people */
    struct list running;     /* invocations it holds */
    struct list streams;     /* answers it is still sending (struct answer_stream) */
    unsigned want;           /* events its transport can take right now */
    void *transport;         /* the transport's own record */
    struct process *process; /* the launcher's record; NULL while there is none */
    int pid;                 /* 0 while there is none */
    uint64_t started_ms, ready_ms, idle_since_ms, silent_since_ms;
    uint64_t served;
    bool answered;            /* at least once, and not with a failure */
    bool may_leave;           /* told that no more comes: it ends by itself, or gets its SIGTERM a moment later */
    struct deadline deadline; /* the state's own */
    int exit_status;          /* wait status, once exited */
    /* Facts that the table's events are made of. */
    bool opened, deferred, launched; /* transport->open succeeded; no process until an event comes; had a process */
    bool exited, output_closed, finished; /* gone; its output too; its transport too */
    bool draining, terminated, failed;    /* takes no more; has been signalled; its end lengthens the back-off */
    enum stop_reason stop_reason;         /* why it is in STOPPING */
    char only_id[UUID_TEXT_SIZE];         /* of a deferred worker's one invocation */
    struct slice last_type;               /* of an init error; in `note` */
    char reason[160];                     /* why it ended, for clients: no paths, no stderr */
    char note[512];                       /* the same for the operator's log */
};

/* An answer that is still being sent after its invocation was completed: keeps the worker's place and its deadline.
 * Embedded in the transport's record. */
struct answer_stream {
    struct list_node node;
    struct worker *worker;
    struct deadline deadline;
    char id[UUID_TEXT_SIZE];
};

struct transport_ops {
    const char *name;
    bool streams_request; /* takes request bodies that are still arriving */
    /* Opens its endpoint and adds its variables to the launch. A failure counts as a failed spawn. */
    int (*open)(struct worker *w, struct launch *launch, struct error *e);
    void (*started)(struct worker *w); /* the process runs; NULL = nothing to do */
    /* Arrow 4: exactly one worker, once per attempt. May only gather; flush follows in the same turn. */
    void (*deliver)(struct worker *w, struct invocation *inv);
    void (*flush)(struct worker *w);                          /* NULL = deliver sends at once */
    void (*cancel)(struct worker *w, struct invocation *inv); /* offered; NULL = the process cannot know */
    /* The invocation is being completed, by anybody: drop every pointer to it. NULL = none kept. */
    void (*forget)(struct worker *w, struct invocation *inv);
    void (*abort_stream)(struct worker *w, struct answer_stream *s); /* its deadline passed; fail the body */
    void (*stopping)(struct worker *w, enum stop_reason why);        /* tell it to drain; NULL = signals only */
    /* The process has exited. False = the transport still reads its output and will call worker_finished. NULL = true.
     */
    bool (*exited)(struct worker *w, int wait_status);
    void (*close)(struct worker *w); /* frees w->transport; called once after open succeeded */
};

/* --- what a transport calls --- */
/* From `stopping`: the process was told, in its own protocol, that no more comes. */
void worker_expect_leave(struct worker *w);
/* How many events it can take now, beyond what it holds. The pool takes them off `want` as it delivers. */
void worker_offer(struct worker *w, unsigned want);
void worker_init_error(struct worker *w, struct slice type, struct slice message);
/* For a deferred launch, from deliver: starts the process. The launch (launch_init, launch_set) is used up either way.
 * After a failure the transport only returns: the pool ends the invocation (503) and the worker. */
int worker_launch(struct worker *w, struct launch *launch, struct error *e) MUST_CHECK;
void worker_finished(struct worker *w); /* after `exited` returned false; close follows at the end of the turn */
/* Call before invocation_complete with a body that is still arriving; inv gives the deadline. A stream of events has
 * none. */
void worker_stream_begin(struct worker *w, struct answer_stream *s, const struct invocation *inv);
/* Its client has left. A process that goes on all the same has the handler's timeout to come to an end. */
void worker_stream_unwanted(struct answer_stream *s);
void worker_stream_end(struct worker *w, struct answer_stream *s); /* idempotent */
/* The process broke the protocol or cannot go on: what it holds dies, it is stopped, and a failure is counted. `why` is
 * shown to clients. */
void worker_fail(struct worker *w, const char *why);
/* Nobody needs what it does any more (the client left, its answer was refused): drain and stop it, no failure. SIGTERM
 * once it holds nothing. */
void worker_stop(struct worker *w);
