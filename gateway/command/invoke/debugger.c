#include "gateway/command/invoke/debugger.h"
#include "gateway/loop/loop.h"
#include <stdio.h>

#define LOOK_MS 50

/* Of its first process that is alive; 0 while there is none. */
static int process_of(const struct pool *p) {
    static const enum worker_state states[] = {WORKER_STARTING, WORKER_IDLE, WORKER_BUSY};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        list_each (pool_worker_list(p, states[i]), node) {
            const struct worker *w = list_entry(node, struct worker, node);
            if (w->pid && !w->exited) return w->pid;
        }
    }
    return 0;
}

static bool is_traced(int pid) {
    char path[48], line[128];
    long tracer = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "re");
    if (!f) return false;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "TracerPid: %ld", &tracer) == 1) break;
    fclose(f);
    return tracer != 0;
}

static void tell(struct debugger_wait *w, int pid) {
    if (pid == w->told_pid) return;
    w->told_pid = pid;
    fprintf(stderr,
            "execgate: process %d of %s waits for a debugger: gdb -p %d\n"
            "  The event is sent once one is attached; nothing has a deadline. Ctrl-C ends it.\n",
            pid, w->handler, pid);
}

static void look(struct debugger_wait *w) {
    struct loop *loop = gateway_loop(w->gateway);
    int pid = process_of(gateway_pool(w->gateway, w->handler));
    if (pid) tell(w, pid);
    if (pid && is_traced(pid)) {
        fprintf(stderr, "execgate: attached; here comes the event\n");
        w->on_attached(w->context);
        return;
    }
    deadline_arm(loop_deadlines(loop), &w->look, clock_now_ms(loop_clock(loop)) + LOOK_MS);
}

static void on_look(struct deadline *d) {
    look(container_of(d, struct debugger_wait, look));
}

void debugger_await(struct debugger_wait *w, struct gateway *g, const char *handler, void (*on_attached)(void *context),
                    void *context) {
    *w = (struct debugger_wait){
        .gateway = g, .handler = handler, .on_attached = on_attached, .context = context, .look.on_due = on_look};
    look(w);
}

void debugger_forget(struct debugger_wait *w) {
    if (w->gateway) deadline_disarm(loop_deadlines(gateway_loop(w->gateway)), &w->look);
    w->gateway = NULL;
}
