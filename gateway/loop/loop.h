/* loop.h - the event loop: the only room that knows libuv.
 *
 * One loop runs everything. It watches descriptors, keeps one timer for the deadline heap, turns
 * signals into calls, and drains the turn (base/turn.h) before it sleeps: in the prepare phase, in the check phase,
 * and through an idle handle while tasks are left, so nothing that was put on the turn can stall.
 *
 * A watch is level-triggered interest in one descriptor that stays its owner's. Its callback is a
 * trampoline: note what happened, put a task on the turn. After watch_close the callback is
 * never called again and the descriptor may be closed at once.
 */
#pragma once
#include "gateway/base/clock.h"
#include "gateway/base/deadline.h"
#include "gateway/base/error.h"
#include "gateway/base/turn.h"

struct loop;
struct loop *loop_new(struct clock *clock, struct error *e);
void loop_free(struct loop *l); /* all watches must have been closed; NULL is fine */
struct clock *loop_clock(struct loop *l);
struct turn *loop_turn(struct loop *l);
struct deadlines *loop_deadlines(struct loop *l);
/* Runs until loop_stop. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* Runs until done(context) is true or `limit_ms` passed; returns done's last word. For tests and orderly ends. */
bool loop_run_until(struct loop *l, bool (*done)(void *context), void *context, uint64_t limit_ms);

enum watch_events { WATCH_READ = 1, WATCH_WRITE = 2, WATCH_GONE = 4 /* the peer hung up (POLLRDHUP) */ };
struct watch;
/* Starts with no interest; NULL when the descriptor cannot be polled. */
struct watch *watch_open(struct loop *l, int fd, void (*on_event)(void *context, unsigned events), void *context);
void watch_set(struct watch *w, unsigned events); /* 0 = pause */
void watch_close(struct watch *w);                /* NULL is fine */

/* on_signal is called on the loop. One callback per signal. */
int loop_on_signal(struct loop *l, int signal_number, void (*on_signal)(void *context, int signal_number),
                   void *context, struct error *e) MUST_CHECK;

/* What takes milliseconds of a processor: `run` is called on another thread, where it may touch nothing but the
 * context; then `done` on the loop, always, once. Who asks bounds how much is under way. loop_free waits for all of it.
 */
void loop_work(struct loop *l, void (*run)(void *context), void (*done)(void *context), void *context);
