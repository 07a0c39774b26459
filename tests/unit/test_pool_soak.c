/* Everything at once, in random order: whatever happens, each invocation ends once and the lists agree. */
#include "gateway/pool/pool_state.h"
#include "tests/support/stable.h"

#define STEPS 100000

struct soak {
    struct stable stable;
    uint64_t seed;
    size_t steps_in_state[WORKER_STATES];
};

/* splitmix64 */
static uint64_t soak_draw(struct soak *k, uint64_t bound) {
    uint64_t z = (k->seed += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return (z ^ (z >> 31)) % bound;
}

static struct list_node *pick_node(struct soak *k, const struct list *l) {
    if (list_empty(l)) return NULL;
    struct list_node *node = list_first(l);
    for (uint64_t n = soak_draw(k, l->length); n > 0; n--) node = list_next(l, node);
    return node;
}

static struct worker *pick_worker(struct soak *k, enum worker_state first, enum worker_state last) {
    enum worker_state state = first + (enum worker_state)soak_draw(k, last - first + 1);
    struct list_node *node = pick_node(k, pool_worker_list(k->stable.pool, state));
    return node ? list_entry(node, struct worker, node) : NULL;
}

static struct invocation *pick_running(struct soak *k) {
    struct worker *w = pick_worker(k, WORKER_BUSY, WORKER_STOPPING);
    struct list_node *node = w ? pick_node(k, &w->running) : NULL;
    return node ? list_entry(node, struct invocation, node) : NULL;
}

/* --- what can happen --- */

static void step_submit(struct soak *k) {
    for (uint64_t n = soak_draw(k, 6); n > 0; n--) stable_submit(&k->stable);
}

static void step_offer(struct soak *k) {
    struct worker *w = pick_worker(k, WORKER_STARTING, WORKER_STOPPING);
    if (w && !w->deferred && !w->exited) worker_offer(w, (unsigned)soak_draw(k, 5));
}

static void step_answer(struct soak *k) {
    struct invocation *inv = pick_running(k);
    if (inv) invocation_complete(inv, stable_answer_text());
}

static void step_stream_begin(struct soak *k) {
    struct invocation *inv = pick_running(k);
    if (!inv || inv->cancelled) return;
    worker_stream_begin(inv->worker, xcalloc(1, sizeof(struct answer_stream)), inv);
    invocation_complete(inv, stable_answer_text());
}

static void step_stream_end(struct soak *k) {
    struct worker *w = pick_worker(k, WORKER_BUSY, WORKER_STOPPING);
    struct list_node *node = w ? pick_node(k, &w->streams) : NULL;
    if (!node) return;
    struct answer_stream *stream = list_entry(node, struct answer_stream, node);
    worker_stream_end(w, stream);
    free(stream);
}

static void step_exit(struct soak *k) {
    static const int statuses[] = {0, 0, 1 << 8, SIGSEGV, SIGKILL};
    struct worker *w = pick_worker(k, WORKER_STARTING, WORKER_STOPPING);
    if (!w || !w->launched || w->exited) return;
    if (w->state != WORKER_STOPPING && soak_draw(k, 4) > 0) return;
    k->stable.exited_later = soak_draw(k, 3) == 0;
    w->process->exited = true;
    worker_exited(w, statuses[soak_draw(k, ARRAY_LEN(statuses))]);
}

static void step_end(struct soak *k) {
    struct worker *w = pick_worker(k, WORKER_STARTING, WORKER_STOPPING);
    if (!w || !w->launched) return;
    if (!w->output_closed && (w->exited || soak_draw(k, 20) == 0)) worker_output_closed(w);
    if (w->exited) worker_finished(w);
}

static void step_fault(struct soak *k) {
    struct worker *w = pick_worker(k, WORKER_STARTING, WORKER_STOPPING);
    if (!w || w->exited || soak_draw(k, 8) > 0) return;
    if (w->state == WORKER_STARTING)
        worker_init_error(w, SLICE("Type"), SLICE("message"));
    else
        worker_fail(w, "it misbehaved");
}

static void step_stop(struct soak *k) {
    struct worker *w = pick_worker(k, WORKER_IDLE, WORKER_BUSY);
    if (w && soak_draw(k, 8) == 0) worker_stop(w);
}

static void step_cancel(struct soak *k) {
    struct ride *r = &k->stable.rides[soak_draw(k, STABLE_RIDES)];
    if (!r->inv || soak_draw(k, 4) > 0) return;
    bool running = r->inv->state == INVOCATION_RUNNING;
    invocation_cancel(r->inv, CANCEL_CLIENT_GONE);
    if (running) r->inv = NULL;
}

static void step_memory(struct soak *k) {
    struct worker *w = pick_worker(k, WORKER_IDLE, WORKER_BUSY);
    if (w && w->process) w->process->memory = soak_draw(k, 100);
}

static void step_wait(struct soak *k) {
    static const uint64_t most_ms[] = {1, 2, 15, 200, 2000, 20000};
    stable_wait(&k->stable, soak_draw(k, most_ms[soak_draw(k, ARRAY_LEN(most_ms))]) + 1);
}

static void step_weather(struct soak *k) {
    if (soak_draw(k, 20) > 0) return;
    k->stable.spawn_fails = soak_draw(k, 4) == 0;
    k->stable.open_fails = soak_draw(k, 8) == 0;
}

static void step_turn(struct soak *k) {
    stable_turn(&k->stable);
}

static void (*const steps[])(struct soak *k) = {
    step_submit, step_submit, step_offer,  step_offer,   step_offer,  step_offer,        step_answer,
    step_answer, step_answer, step_answer, step_turn,    step_turn,   step_turn,         step_wait,
    step_exit,   step_end,    step_end,    step_end,     step_cancel, step_stream_begin, step_stream_end,
    step_fault,  step_stop,   step_memory, step_weather,
};

/* --- what must hold --- */

static size_t check_worker(struct soak *k, const struct worker *w) {
    const struct pool *p = k->stable.pool;
    list_each (&w->running, node) {
        const struct invocation *inv = list_entry(node, struct invocation, node);
        assert_int_equal(inv->state, INVOCATION_RUNNING);
        assert_ptr_equal(inv->worker, w);
        assert_true(deadline_armed(&inv->deadline));
    }
    list_each (&w->streams, node) assert_true(deadline_armed(&list_entry(node, struct answer_stream, node)->deadline));
    assert_in_range(worker_holds(w), 0, w->handler->processes.concurrency);
    if (w->state == WORKER_STARTING || w->state == WORKER_IDLE || w->state >= WORKER_BACKOFF)
        assert_int_equal(worker_holds(w), 0);
    assert_int_equal(list_holds(&p->wanting, &w->wanting), worker_room(w) > 0);
    if (w->state == WORKER_BACKOFF || (w->state == WORKER_STARTING && !w->exited))
        assert_true(deadline_armed(&w->deadline));
    return w->running.length;
}

/* True of any moment between two calls. */
static void check_always(struct soak *k) {
    const struct pool *p = k->stable.pool;
    size_t held = p->queue.length;
    for (int state = 0; state < WORKER_STATES; state++) {
        k->steps_in_state[state] += p->workers[state].length > 0;
        list_each (&p->workers[state], node) {
            const struct worker *w = list_entry(node, struct worker, node);
            assert_int_equal(w->state, state);
            held += check_worker(k, w);
        }
    }
    assert_int_equal(held, k->stable.pipeline.in_flight);
    list_each (&p->queue, node) {
        const struct invocation *inv = list_entry(node, struct invocation, node);
        assert_int_equal(inv->state, INVOCATION_QUEUED);
        assert_true(deadline_armed(&inv->deadline));
    }
    assert_in_range(pool_live(p), 0, p->handler->processes.max);
    assert_in_range(pool_live(p) + pool_count(p, WORKER_STOPPING), 0, 2 * p->handler->processes.max);
}

/* True once the turn has been run. */
static void check_settled(struct soak *k) {
    const struct pool *p = k->stable.pool;
    if (!list_empty(&k->stable.turn.phases[TURN_DISPATCH])) return;
    assert_true(list_empty(&p->queue) || list_empty(&p->wanting));
    assert_true(list_empty(&p->touched));
    /* What waits has somebody who works, or something that will wake the pool. */
    bool hope = pool_live(p) > 0 || pool_count(p, WORKER_STOPPING) > 0 || deadline_armed(&p->backoff.retry);
    assert_true(list_empty(&p->queue) || hope);
}

static void soak_finish(struct soak *k) {
    struct stable *s = &k->stable;
    s->spawn_fails = s->open_fails = s->exited_later = false;
    pool_drain(s->pool);
    for (int i = 0; i < 2000 && !pool_is_empty(s->pool); i++) {
        stable_wait(s, 1000);
        stable_obey(s);
        step_stream_end(k);
        step_end(k);
        check_always(k);
    }
    assert_true(pool_is_empty(s->pool));
    const struct pool_counters *c = pool_counters(s->pool);
    assert_int_equal(c->completed, c->submitted);
    assert_int_equal(c->spawned, c->exits);
    stable_close(s);
}

static void soak_run(struct soak *k, uint64_t seed) {
    struct stable *s = &k->stable;
    k->seed = seed;
    memset(k->steps_in_state, 0, sizeof k->steps_in_state);
    log_free(s->log); /* a hundred thousand obituaries help nobody */
    s->log = NULL;
    stable_build(s);
    for (int i = 0; i < STEPS; i++) {
        steps[soak_draw(k, ARRAY_LEN(steps))](k);
        check_always(k);
        check_settled(k);
    }
    for (int state = 0; state < WORKER_BACKOFF; state++)
        if (!s->deferred || state != WORKER_STARTING) assert_true(k->steps_in_state[state] > STEPS / 100);
    soak_finish(k);
}

static void ordinary_processes(void **state) {
    (void)state;
    static struct soak k;
    stable_open(&k.stable);
    k.stable.handler.timeout_ms = 3000;
    k.stable.handler.queue_limit = 20;
    k.stable.handler.processes.min = 1;
    k.stable.handler.processes.max_invocations = 30;
    k.stable.handler.processes.max_memory = 45;
    soak_run(&k, 1);
}

static void processes_that_hold_several(void **state) {
    (void)state;
    static struct soak k;
    stable_open(&k.stable);
    k.stable.handler.timeout_ms = 3000;
    k.stable.handler.processes.concurrency = 5;
    k.stable.handler.processes.max = 6;
    k.stable.handler.processes.idle_timeout_ms = 5000;
    soak_run(&k, 2);
}

static void processes_per_event(void **state) {
    (void)state;
    static struct soak k;
    stable_open(&k.stable);
    k.stable.deferred = true;
    k.stable.handler.timeout_ms = 3000;
    k.stable.handler.processes.max = 8;
    k.stable.handler.processes.min = 2;
    soak_run(&k, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_processes),
        cmocka_unit_test(processes_that_hold_several),
        cmocka_unit_test(processes_per_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
