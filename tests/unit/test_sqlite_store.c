/* What is SQLite's own: plans, rights, foreign and damaged files, other processes, full disks, and sudden death. */
#include "gateway/queue/sqlite_private.h"
#include "gateway/queue/sqlite_store.h"
#include "tests/support/sqlite_fault.h"
#include "tests/support/sqlite_yard.h"
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sqlite_yard *yard(void) {
    return container_of(*suite_yard(), struct sqlite_yard, yard);
}

/* --- looking into the file --- */

static sqlite3 *file_open(void) {
    sqlite3 *handle;
    assert_int_equal(sqlite3_open(yard()->path, &handle), SQLITE_OK);
    sqlite3_busy_timeout(handle, 5000);
    return handle;
}

static void file_exec(sqlite3 *handle, const char *sql) {
    char *why = NULL;
    if (sqlite3_exec(handle, sql, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s: %s", sql, why);
}

static int64_t file_number(sqlite3 *handle, const char *sql) {
    sqlite3_stmt *s;
    if (sqlite3_prepare_v2(handle, sql, -1, &s, NULL) != SQLITE_OK) fail_msg("%s: %s", sql, sqlite3_errmsg(handle));
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return number;
}

/* Each counts what must not be. */
static const char *const contradictions[] = {
    "SELECT count(*) FROM queue q WHERE messages != (SELECT count(*) FROM message WHERE queue = q.id)",
    "SELECT count(*) FROM queue q WHERE blocked != (SELECT count(*) FROM message WHERE queue = q.id AND visible_at = "
    "9223372036854775807)",
    /* A blocked message is behind one that is not, and nothing else in a group is ready. */
    "SELECT count(*) FROM message m WHERE (visible_at = 9223372036854775807) != (group_id IS NOT NULL AND "
    "EXISTS(SELECT "
    "1 FROM message e WHERE e.queue = m.queue AND e.group_id = m.group_id AND e.seq < m.seq))",
    "SELECT count(*) FROM message m WHERE (extras & 1) != EXISTS(SELECT 1 FROM large_body b WHERE b.seq = m.seq)",
    "SELECT count(*) FROM message m WHERE (extras & 2) / 2 != EXISTS(SELECT 1 FROM death d WHERE d.seq = m.seq)",
    "SELECT count(*) FROM large_body WHERE seq NOT IN (SELECT seq FROM message)",
    "SELECT count(*) FROM death WHERE seq NOT IN (SELECT seq FROM message)",
    "SELECT count(*) FROM message WHERE seq >= (SELECT next_seq FROM state)",
    "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check != 'ok'",
};

static void file_is_consistent(void) {
    sqlite3 *handle = file_open();
    for (size_t i = 0; i < ARRAY_LEN(contradictions); i++)
        if (file_number(handle, contradictions[i])) fail_msg("contradiction: %s", contradictions[i]);
    sqlite3_close(handle);
}

/* --- plans --- */

static void no_statement_walks_a_table(void **state) {
    (void)state;
    sqlite3 *handle = file_open();
    for (int i = 0; i < SQL_STATEMENTS; i++) {
        char sql[2048];
        sqlite3_stmt *s;
        if (i == SQL_QUEUE_NAMES) continue; /* all of them is what it asks for */
        snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", sqlite_sql_text((enum sqlite_sql)i));
        if (sqlite3_prepare_v2(handle, sql, -1, &s, NULL) != SQLITE_OK) fail_msg("%s: %s", sql, sqlite3_errmsg(handle));
        while (sqlite3_step(s) == SQLITE_ROW) {
            const char *step = (const char *)sqlite3_column_text(s, 3);
            if ((strstr(step, "SCAN") && !strstr(step, "CONSTANT ROWS")) || strstr(step, "TEMP B-TREE"))
                fail_msg("%s\n%s", sql, step);
        }
        sqlite3_finalize(s);
    }
    sqlite3_close(handle);
}

/* --- files that are and are not ours --- */

static void the_folder_and_the_file_are_private(void **state) {
    (void)state;
    struct sqlite_yard *y = yard();
    struct error e;
    struct stat st;
    char expected[128];
    for (int round = 0; round < 2; round++) { /* the second time all is there */
        char *path = sqlite_store_path(y->folder, SLICE("shop"), &e);
        assert_non_null(path);
        snprintf(expected, sizeof expected, "%s/.execgate/shop/queues.db", y->folder);
        assert_string_equal(path, expected);
        free(path);
    }
    snprintf(expected, sizeof expected, "%s/.execgate/shop", y->folder);
    assert_int_equal(stat(expected, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    rmdir(expected);
    snprintf(expected, sizeof expected, "%s/.execgate", y->folder);
    assert_int_equal(stat(expected, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    rmdir(expected);
    assert_int_equal(stat(y->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_null(sqlite_store_path("/nowhere/at/all", SLICE("shop"), &e));
    assert_non_null(strstr(e.message, "/nowhere/at/all/.execgate"));
}

static void open_fails(struct desk *d, const char *because) {
    struct error e;
    assert_null(d->yard->open(d->yard, d->loop, &e));
    if (!strstr(e.message, because)) fail_msg("\"%s\" does not say \"%s\"", e.message, because);
    if (!strstr(e.message, yard()->path)) fail_msg("\"%s\" does not name the file", e.message);
}

static void other_files_are_left_alone(void **state) {
    struct desk *d = *state;
    desk_send_text(d, "q", "one");
    desk_shut(d);
    sqlite3 *handle = file_open();
    file_exec(handle, "PRAGMA user_version = 99");
    open_fails(d, "format 99");
    file_exec(handle, "PRAGMA user_version = 1; PRAGMA application_id = 7");
    open_fails(d, "another program");
    file_exec(handle, "PRAGMA application_id = 1702389617");
    sqlite3_close(handle);
    desk_reopen(d);
    desk_take_and_ack(d, "q", "one");
}

static void file_overwrite(off_t from, off_t to) {
    char junk[512];
    memset(junk, 0x5a, sizeof junk);
    int fd = open(yard()->path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (off_t at = from; at < to; at += (off_t)sizeof junk)
        assert_int_equal(pwrite(fd, junk, sizeof junk, at), sizeof junk);
    close(fd);
}

static void damage_is_told(void **state) {
    struct desk *d = *state;
    struct stat st;
    for (int i = 0; i < 200; i++) desk_send_text(d, "q", "some text that fills pages, some text that fills pages");
    desk_shut(d);
    assert_int_equal(stat(yard()->path, &st), 0);
    file_overwrite(4096 * 12, st.st_size);
    desk_reopen(d);
    struct answer *a = desk_answer(d);
    d->store->ops->receive(d->store, &(struct queue_receive){SLICE("q"), 1000, 1000}, desk_done(a));
    struct queue_reply *reply = desk_await(d, a);
    assert_int_equal(reply->result, QUEUE_BROKEN);
    assert_non_null(strstr(reply->error.message, "damaged"));
    desk_shut(d);
    file_overwrite(0, 4096);
    open_fails(d, "damaged");
    yard()->yard.clear(&yard()->yard);
    desk_reopen(d);
}

/* What is sent to a file without a name would be gone with the process. */
static void a_file_that_is_taken_away_is_told(void **state) {
    struct desk *d = *state;
    char elsewhere[PATH_MAX];
    desk_send_text(d, "q", "one");
    snprintf(elsewhere, sizeof elsewhere, "%s.away", yard()->path);
    assert_int_equal(rename(yard()->path, elsewhere), 0);
    struct answer *a = desk_answer(d);
    d->store->ops->send(d->store, &(struct queue_send){.queue = SLICE("q")}, 1, desk_done(a));
    assert_int_equal(desk_await(d, a)->result, QUEUE_TRY_AGAIN);
    assert_non_null(strstr(a->reply.error.message, "moved away"));
    assert_int_equal(rename(elsewhere, yard()->path), 0);
    desk_take_and_ack(d, "q", "one");
}

/* --- other processes --- */

static void a_lock_is_waited_for(void **state) {
    struct desk *d = *state;
    sqlite3 *other = file_open();
    file_exec(other, "BEGIN IMMEDIATE");
    struct answer *a = desk_answer(d);
    d->store->ops->send(d->store, &(struct queue_send){.queue = SLICE("q")}, 1, desk_done(a));
    assert_false(loop_run_until(d->loop, answer_has_arrived, a, 50));
    file_exec(other, "COMMIT");
    desk_await_ok(d, a);
    sqlite3_close(other);
}

static void a_lock_that_stays_is_told(void **state) {
    struct desk *d = *state;
    sqlite3 *other = file_open();
    file_exec(other, "BEGIN IMMEDIATE");
    struct answer *answers[3];
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        answers[i] = desk_answer(d);
        d->store->ops->send(d->store, &(struct queue_send){.queue = SLICE("q")}, 1, desk_done(answers[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        if (!answers[i]->arrived) desk_await(d, answers[i]);
        assert_int_equal(answers[i]->reply.result, QUEUE_TRY_AGAIN);
        assert_non_null(strstr(answers[i]->reply.error.message, "another process"));
    }
    file_exec(other, "COMMIT");
    sqlite3_close(other);
    assert_int_equal(desk_stats(d, "q").sent, 0);
}

/* --- disks that fail --- */

struct trial {
    struct answer *sends[6];
    struct answer *settled;
    const struct queue_message *taken[2];
};

/* Twelve things at once, of all sorts, so that they share a transaction. */
static void trial_submit(struct desk *d, struct trial *t) {
    static char large[20000];
    struct queue_send sends[ARRAY_LEN(t->sends)] = {
        {.queue = SLICE("q"), .body = SLICE("plain")},
        {.queue = SLICE("q"), .body = SLICE("g1"), .group_id = SLICE("G")},
        {.queue = SLICE("q"), .body = SLICE("g2"), .group_id = SLICE("G")},
        {.queue = SLICE("q"), .body = slice_make(large, sizeof large)},
        {.queue = SLICE("new"), .body = SLICE("other"), .dedup_id = SLICE("x")},
        {.queue = SLICE("q"), .body = SLICE("later"), .delay_ms = 1000},
    };
    for (size_t i = 0; i < ARRAY_LEN(sends); i++) {
        t->sends[i] = desk_answer(d);
        d->store->ops->send(d->store, &sends[i], 1, desk_done(t->sends[i]));
    }
    const struct queue_settlement items[] = {
        {.queue = SLICE("q"), .receipt = t->taken[0]->receipt, .action = QUEUE_ACK},
        {.queue = SLICE("q"), .receipt = t->taken[1]->receipt, .action = QUEUE_BURY, .reason = SLICE("r")}};
    t->settled = desk_answer(d);
    d->store->ops->settle(d->store, items, 2, desk_done(t->settled));
}

static bool file_has(sqlite3 *handle, const char *id) {
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM message WHERE id = '%s'", id);
    return file_number(handle, sql) == 1;
}

/* What was answered is so; what failed has left no trace. Returns how many failed. */
static size_t trial_check(struct desk *d, struct trial *t) {
    size_t failed = 0, sent = 0;
    sqlite3 *handle = file_open();
    for (size_t i = 0; i < ARRAY_LEN(t->sends); i++) {
        struct queue_reply *reply = &t->sends[i]->reply;
        if (!t->sends[i]->arrived) desk_await(d, t->sends[i]);
        if (reply->result == QUEUE_OK) {
            sent++;
            assert_true(file_has(handle, reply->sent[0].id));
            continue;
        }
        failed++;
        assert_int_equal(reply->result, QUEUE_TRY_AGAIN);
        assert_non_null(strstr(reply->error.message, yard()->path));
    }
    if (!t->settled->arrived) desk_await(d, t->settled);
    bool settled = t->settled->reply.result == QUEUE_OK;
    assert_int_equal(file_has(handle, t->taken[0]->id), !settled);
    assert_int_equal(file_number(handle, "SELECT count(*) FROM death"), settled);
    assert_int_equal(file_number(handle, "SELECT count(*) FROM message"), sent + (settled ? 1 : 2));
    sqlite3_close(handle);
    file_is_consistent();
    return failed + !settled;
}

/* The `at`th system call of a kind fails, and so do the `more` after it. Returns how many calls failed for it;
 * `*reached` is false when there were not so many. */
static size_t trial_run(struct desk *d, const struct fault *fault, bool *reached) {
    struct trial t;
    d->yard->clear(d->yard);
    desk_reopen(d);
    desk_declare_dead(d);
    desk_send_text(d, "q", "done");
    desk_send_text(d, "q", "bad");
    t.taken[0] = desk_take(d, "q", "done");
    t.taken[1] = desk_take(d, "q", "bad");
    fault_arm(fault);
    trial_submit(d, &t);
    for (size_t i = 0; i < ARRAY_LEN(t.sends); i++)
        if (!t.sends[i]->arrived) desk_await(d, t.sends[i]);
    if (!t.settled->arrived) desk_await(d, t.settled);
    *reached = fault_disarm() > 0;
    size_t failed = trial_check(d, &t);
    desk_shut(d);
    trial_check(d, &t); /* nor is anything different once the WAL was copied */
    return failed;
}

static void failing_disks_lose_nothing(void **state) {
    struct desk *d = *state;
    size_t failures = 0, trials = 0;
    desk_shut(d);
    for (int call = 0; call < FAULT_CALLS; call++)
        for (unsigned more = 0; more < 1000; more += 999) {
            bool reached = true;
            for (unsigned at = 1; reached; at += 1 + at / 8, trials++) {
                const struct fault fault = {(enum fault_call)call, call == FAULT_SYNC ? EIO : ENOSPC, at, more};
                failures += trial_run(d, &fault, &reached);
                assert_true(at < 1000);
            }
        }
    desk_reopen(d);
    print_message("%zu trials, %zu failures\n", trials, failures);
    assert_true(trials > 20 && failures > 50);
}

static struct queue_reply *desk_send_large(struct desk *d) {
    static char large[200000];
    struct answer *a = desk_answer(d);
    d->store->ops->send(d->store, &(struct queue_send){.queue = SLICE("q"), .body = slice_make(large, sizeof large)}, 1,
                        desk_done(a));
    return desk_await(d, a);
}

/* Sends leave room for taking, and use what taking has left. */
static void a_disk_that_is_nearly_full_can_be_emptied(void **state) {
    struct desk *d = *state;
    for (int i = 0; i < 20; i++) assert_int_equal(desk_send_large(d)->result, QUEUE_OK);
    fault_disk = (struct fault_disk){8u << 20, (2u << 20) + 100000};
    struct queue_reply *reply = desk_send_large(d);
    assert_int_equal(reply->result, QUEUE_TRY_AGAIN);
    assert_non_null(strstr(reply->error.message, "free some space"));
    reply = desk_receive(d, "q", 20);
    assert_int_equal(reply->count, 20);
    for (size_t i = 0; i < 20; i++) desk_ack(d, "q", &reply->messages[i]);
    assert_int_equal(desk_send_large(d)->result, QUEUE_OK);
    fault_disk = (struct fault_disk){0};
}

static void a_declaration_is_not_lost_with_the_disk(void **state) {
    struct desk *d = *state;
    desk_send_text(d, "q", "bad");
    const struct queue_message *m = desk_take(d, "q", "bad");
    const struct fault fault = {FAULT_WRITE, ENOSPC, 1, 1000000};
    struct answer *a = desk_answer(d);
    fault_arm(&fault);
    desk_declare_dead(d);
    d->store->ops->send(d->store, &(struct queue_send){.queue = SLICE("q")}, 1, desk_done(a));
    assert_int_equal(desk_await(d, a)->result, QUEUE_TRY_AGAIN);
    assert_non_null(strstr(a->reply.error.message, "free some space"));
    assert_true(fault_disarm() > 0);
    assert_int_equal(desk_act(d, "q", m, QUEUE_BURY, 0), QUEUE_SETTLED);
    fault_arm(&fault); /* and one that never gets anywhere */
    desk_declare(d, &(struct queue_settings){.name = SLICE("other")});
    a = desk_answer(d);
    d->store->ops->send(d->store, &(struct queue_send){.queue = SLICE("q")}, 1, desk_done(a));
    desk_await(d, a);
    desk_shut(d);
    fault_disarm();
    desk_reopen(d);
}

/* A call that fails in the middle of a transaction takes nobody with it, and is undone as a whole. */
static void a_failing_call_fails_alone(void **state) {
    struct desk *d = *state;
    struct answer *answers[3];
    sqlite3 *handle = file_open();
    file_exec(handle, "CREATE TRIGGER poisoned BEFORE INSERT ON message WHEN NEW.dedup_id = 'poison' "
                      "BEGIN SELECT RAISE(ABORT, 'no'); END");
    const struct queue_send sends[] = {{.queue = SLICE("q"), .body = SLICE("a")},
                                       {.queue = SLICE("q"), .body = SLICE("b"), .group_id = SLICE("G")},
                                       {.queue = SLICE("fresh"), .body = SLICE("c")},
                                       {.queue = SLICE("q"), .body = SLICE("d"), .dedup_id = SLICE("poison")}};
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        answers[i] = desk_answer(d);
        d->store->ops->send(d->store, i == 1 ? sends : &sends[1], i == 1 ? 4 : 1, desk_done(answers[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        if (!answers[i]->arrived) desk_await(d, answers[i]);
        assert_int_equal(answers[i]->reply.result, i == 1 ? QUEUE_BROKEN : QUEUE_OK);
    }
    file_is_consistent();
    assert_int_equal(file_number(handle, "SELECT count(*) FROM message"), 2);
    file_exec(handle, "DROP TRIGGER poisoned");
    sqlite3_close(handle);
    desk_expect_all(d, "q", "b b");
    desk_expect_none(d, "fresh");
}

/* --- sudden death --- */

static void child_report(char what, const char *id) {
    char line[UUID_TEXT_SIZE + 4];
    int n = snprintf(line, sizeof line, "%c %s\n", what, id);
    if (write(STDOUT_FILENO, line, (size_t)n) != n) _exit(3);
}

/* Sends and settles until it is killed: S = sent, A = about to be acknowledged. */
_Noreturn static void child_main(struct yard *y) {
    struct desk d = {.yard = y};
    struct error e;
    d.loop = loop_new(clock_system_new(), &e);
    desk_reopen(&d);
    for (;;) {
        struct answer *sends[4];
        for (size_t i = 0; i < 4; i++) {
            sends[i] = desk_answer(&d);
            d.store->ops->send(d.store,
                               &(struct queue_send){.queue = SLICE("q"), .group_id = i < 2 ? SLICE("G") : SLICE_NONE},
                               1, desk_done(sends[i]));
        }
        for (size_t i = 0; i < 4; i++) {
            if (!sends[i]->arrived) desk_await_ok(&d, sends[i]);
            child_report('S', sends[i]->reply.sent[0].id);
        }
        struct queue_reply *got = desk_receive(&d, "q", 2);
        for (size_t i = 0; i < got->count; i++) {
            child_report('A', got->messages[i].id);
            desk_ack(&d, "q", &got->messages[i]);
            child_report('D', got->messages[i].id);
        }
        for (size_t i = 0; i < d.answer_count; i++) {
            arena_free(&d.answers[i]->memory);
            free(d.answers[i]);
        }
        d.answer_count = 0;
    }
}

/* Lets a child work and kills it after so many bytes of its report. Returns the report. */
static struct buf child_run(size_t bytes) {
    int ends[2];
    struct buf report = {0};
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl("/proc/self/exe", "child", yard()->folder, (char *)NULL);
        _exit(2);
    }
    close(ends[1]);
    for (ssize_t n; report.n < bytes; report.n += (size_t)n) {
        n = read(ends[0], buf_reserve(&report, 64), 64);
        assert_true(n > 0);
    }
    kill(pid, SIGKILL);
    for (ssize_t n; (n = read(ends[0], buf_reserve(&report, 4096), 4096)) > 0;) report.n += (size_t)n;
    close(ends[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return report;
}

/* What its report says of a message: the last word on it. */
static void report_apply(struct slice report, struct map *fates) {
    struct slice line;
    while (slice_next(&report, '\n', &line))
        if (line.n == UUID_TEXT_SIZE + 2)
            map_put(fates, slice_make(line.p + 2, line.n - 2),
                    (void *)(line.p[0] == 'S'   ? "S"
                             : line.p[0] == 'A' ? "A"
                                                : "D"));
}

static void killed_processes_lose_nothing(void **state) {
    struct desk *d = *state;
    struct map *fates = map_new();
    size_t checked = 0, cursor = 0;
    desk_shut(d);
    for (size_t round = 0; round < 20; round++) {
        struct buf report = child_run(500 + round * 397 % 3000);
        report_apply(buf_slice(&report), fates);
        buf_free(&report);
        file_is_consistent();
    }
    sqlite3 *handle = file_open();
    struct slice id;
    void *fate;
    while (map_next(fates, &cursor, &id, &fate)) {
        char text[UUID_TEXT_SIZE + 1];
        snprintf(text, sizeof text, SLICE_FMT, SLICE_ARG(id));
        if (*(char *)fate == 'S') assert_true(file_has(handle, text));
        if (*(char *)fate == 'D') assert_false(file_has(handle, text));
        checked++;
    }
    assert_true(checked > 500);
    sqlite3_close(handle);
    map_free(fates);
    desk_reopen(d);
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, desk_setup, desk_teardown)

int main(int argc, char **argv) {
    struct sqlite_yard y;
    if (argc == 2) {
        sqlite_yard_at(&y, argv[1]);
        child_main(&y.yard);
    }
    sqlite_yard_init(&y);
    *suite_yard() = &y.yard;
    const struct CMUnitTest tests[] = {
        STORE_TEST(no_statement_walks_a_table),
        STORE_TEST(the_folder_and_the_file_are_private),
        STORE_TEST(other_files_are_left_alone),
        STORE_TEST(damage_is_told),
        STORE_TEST(a_file_that_is_taken_away_is_told),
        STORE_TEST(a_disk_that_is_nearly_full_can_be_emptied),
        STORE_TEST(a_lock_is_waited_for),
        STORE_TEST(a_lock_that_stays_is_told),
        STORE_TEST(failing_disks_lose_nothing),
        STORE_TEST(a_declaration_is_not_lost_with_the_disk),
        STORE_TEST(a_failing_call_fails_alone),
        STORE_TEST(killed_processes_lose_nothing),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sqlite_yard_end(&y);
    return failed;
}
