#include "gateway/base/clock.h"
#include "gateway/base/json_read.h"
#include "gateway/base/log.h"
#include "gateway/base/memory.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIME "2026-11-20T12:00:00.123Z"

/* A log on a temporary file, and what was written to it. */
static struct clock_fake fake;
static FILE *file;
static struct log *lg;
static char written[8 << 20];
static int pendings;

static void on_pending(void *context) {
    assert_ptr_equal(context, &pendings);
    pendings++;
}

static void open_log(enum log_format format, enum log_level level) {
    clock_fake_init(&fake);
    fake.wall_now_ms = 1795176000123;
    file = tmpfile();
    assert_non_null(file);
    pendings = 0;
    lg = log_new(fileno(file), format, level, &fake.clock);
    log_on_pending(lg, on_pending, &pendings);
}

static const char *read_back(void) {
    ssize_t n = pread(fileno(file), written, sizeof written - 1, 0);
    assert_true(n >= 0);
    written[n] = '\0';
    return written;
}

static void close_log(void) {
    log_free(lg);
    fclose(file);
}

static void text_lines(void **state) {
    (void)state;
    open_log(LOG_FORMAT_TEXT, LOG_DEBUG);
    log_event(lg, LOG_INFO, "message", LOG_TEXT("key", "value"), LOG_TEXT("key", "quoted value"));
    log_event(lg, LOG_WARN, "a message longer than the column", LOG_INT("pid", -7), LOG_US("took", 1234567));
    log_event(lg, LOG_DEBUG, "bare");
    log_event(lg, LOG_INFO, "odd", LOG_TEXT("a", ""), LOG_SLICE("b", SLICE_NONE), LOG_US("c", -5),
              LOG_INT("d", INT64_MIN));
    assert_string_equal(read_back(), "");
    log_flush(lg);
    assert_string_equal(read_back(),
                        TIME " INFO  message            key=value key=\"quoted value\"\n" TIME
                             " WARN  a message longer than the column pid=-7 took=1234.567\n" TIME " DEBUG bare\n" TIME
                             " INFO  odd                a=\"\" c=-0.005 d=-9223372036854775808\n");
    close_log();
}

static void text_values_cannot_forge(void **state) {
    (void)state;
    open_log(LOG_FORMAT_TEXT, LOG_INFO);
    log_event(lg, LOG_INFO, "request\nmessage", LOG_TEXT("path", "/a\n" TIME " ERROR forged\r"),
              LOG_TEXT("q", "x\" level=\"y\\"), LOG_TEXT("eq", "a=b"), LOG_TEXT("esc", "\x1b[2J"),
              LOG_TEXT("c1", "\xc2\x9b"), LOG_TEXT("ls", "\xe2\x80\xa8"), LOG_SLICE("nul", SLICE("a\0b")),
              LOG_TEXT("bad", "\xff"), LOG_TEXT("utf8", "\xe3\x81\x82"));
    log_flush(lg);
    assert_string_equal(read_back(),
                        TIME " INFO  request\\x0amessage    path=\"/a\\x0a" TIME
                             " ERROR forged\\x0d\" q=\"x\\\" level=\\\"y\\\\\""
                             " eq=\"a=b\" esc=\"\\x1b[2J\" c1=\"\\xc2\\x9b\" ls=\"\\xe2\\x80\\xa8\" nul=\"a\\x00b\""
                             " bad=\"\\xff\" utf8=\"\xe3\x81\x82\"\n");
    close_log();
}

static void json_lines(void **state) {
    (void)state;
    open_log(LOG_FORMAT_JSON, LOG_INFO);
    log_event(lg, LOG_INFO, "m\"1", LOG_TEXT("k\n", "a\n{\"level\":\"error\"}"), LOG_INT("n", 42),
              LOG_US("took_ms", 1005), LOG_SLICE("absent", SLICE_NONE), LOG_TEXT("bad", "\xff"));
    log_flush(lg);
    assert_string_equal(read_back(), "{\"time\":\"" TIME "\",\"level\":\"info\",\"message\":\"m\\\"1\","
                                     "\"k\\n\":\"a\\n{\\\"level\\\":\\\"error\\\"}\",\"n\":42,\"took_ms\":1.005,"
                                     "\"bad\":\"\xef\xbf\xbd\"}\n");
    assert_true(json_is_valid(slice_of(written)));
    close_log();
}

static void colour_is_only_around_words(void **state) {
    (void)state;
    open_log(LOG_FORMAT_COLOUR, LOG_INFO);
    log_event(lg, LOG_WARN, "m", LOG_TEXT("k", "v"));
    log_flush(lg);
    assert_string_equal(read_back(), TIME " \x1b[33mWARN \x1b[0m m                  \x1b[2mk=\x1b[0mv\n");
    close_log();
}

static void levels(void **state) {
    (void)state;
    open_log(LOG_FORMAT_TEXT, LOG_WARN);
    log_event(lg, LOG_INFO, "hidden", LOG_INT("a", 1));
    log_fields(lg, LOG_DEBUG, "hidden", NULL, 0);
    assert_false(log_wants(lg, LOG_INFO));
    assert_true(log_wants(lg, LOG_WARN));
    assert_false(log_wants(lg, LOG_OFF));
    assert_int_equal(pendings, 0);
    close_log();
    open_log(LOG_FORMAT_TEXT, LOG_OFF);
    assert_false(log_wants(lg, LOG_ERROR));
    close_log();
    assert_false(log_wants(NULL, LOG_ERROR));
    log_event((struct log *)NULL, LOG_ERROR, "nowhere", LOG_INT("a", 1));
    log_flush(NULL);
    log_free(NULL);

    enum log_level level;
    static const char *const names[] = {"debug", "info", "warn", "error", "off"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_true(log_level_parse(slice_of(names[i]), &level));
        assert_int_equal(level, i);
    }
    assert_false(log_level_parse(SLICE("INFO"), &level));
    assert_false(log_level_parse(SLICE(""), &level));
}

static void batches(void **state) {
    (void)state;
    open_log(LOG_FORMAT_TEXT, LOG_INFO);
    log_event(lg, LOG_INFO, "one");
    log_event(lg, LOG_INFO, "two");
    assert_int_equal(pendings, 1);
    log_flush(lg);
    log_event(lg, LOG_INFO, "three");
    assert_int_equal(pendings, 2);
    log_event(lg, LOG_ERROR, "four"); /* at once, and what came before it */
    assert_non_null(strstr(read_back(), "three"));
    assert_non_null(strstr(written, "four"));
    size_t before = strlen(written);
    char value[1000];
    memset(value, 'v', sizeof value);
    for (int i = 0; i < 70; i++) log_event(lg, LOG_INFO, "long", LOG_SLICE("v", slice_make(value, sizeof value)));
    assert_true(strlen(read_back()) > before + 64 * 1024);
    close_log();
}

static void time_moves(void **state) {
    (void)state;
    open_log(LOG_FORMAT_TEXT, LOG_INFO);
    log_event(lg, LOG_INFO, "a");
    clock_fake_advance_ms(&fake, 7);
    log_event(lg, LOG_INFO, "b");
    clock_fake_advance_ms(&fake, 870);
    log_event(lg, LOG_INFO, "c");
    log_flush(lg);
    assert_string_equal(read_back(), "2026-11-20T12:00:00.123Z INFO  a\n2026-11-20T12:00:00.130Z INFO  b\n"
                                     "2026-11-20T12:00:01.000Z INFO  c\n");
    close_log();
}

/* Reads what there is without waiting, appending to `written`. */
static size_t drain(int fd, size_t n) {
    ssize_t got;
    while ((got = recv(fd, written + n, sizeof written - n - 1, MSG_DONTWAIT)) > 0 ||
           (got < 0 && errno == ENOTSOCK && (got = read(fd, written + n, sizeof written - n - 1)) > 0))
        n += (size_t)got;
    written[n] = '\0';
    return n;
}

/* Every line that arrived is whole and in order; returns the sum of arrived and reported ones. */
static long account_for_lines(size_t n) {
    long arrived = 0, dropped = 0, previous = -1;
    struct slice rest = slice_make(written, n);
    struct slice line;
    while (slice_next(&rest, '\n', &line)) {
        if (line.n == 0) continue;
        long number;
        char text[2048];
        assert_true(line.n < sizeof text);
        memcpy(text, line.p, line.n);
        text[line.n] = '\0';
        if (sscanf(text, TIME " WARN  log lines dropped  count=%ld", &number) == 1) {
            dropped += number;
            previous += number;
            continue;
        }
        assert_int_equal(sscanf(text, TIME " INFO  line               n=%ld", &number), 1);
        assert_int_equal(number, previous + 1);
        assert_int_equal(text[line.n - 1], 'v');
        previous = number;
        arrived++;
    }
    assert_true(arrived > 0 && dropped > 0);
    return arrived + dropped;
}

/* Nobody reads for a while: writing must return, and no line may be lost silently. */
static void slow_reader(int reader, int writer) {
    char value[500];
    long lines = 12000;
    memset(value, 'v', sizeof value);
    clock_fake_init(&fake);
    fake.wall_now_ms = 1795176000123;
    struct log *l = log_new(writer, LOG_FORMAT_TEXT, LOG_INFO, &fake.clock);
    for (long i = 0; i < lines; i++) {
        log_event(l, LOG_INFO, "line", LOG_INT("n", i), LOG_SLICE("v", slice_make(value, sizeof value)));
        if (i % 10 == 0) log_flush(l);
    }
    size_t n = drain(reader, 0);
    /* Each flush fills the pipe anew, so this ends. */
    for (size_t before = n + 1; before != n;) {
        before = n;
        log_flush(l);
        n = drain(reader, n);
    }
    log_event(l, LOG_INFO, "line", LOG_INT("n", lines), LOG_SLICE("v", slice_make(value, sizeof value)));
    log_free(l);
    n = drain(reader, n);
    assert_int_equal(account_for_lines(n), lines + 1);
}

static void a_full_pipe_does_not_hold(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0); /* the reader's end only: the log's end would block */
    slow_reader(ends[0], ends[1]);
    close(ends[0]);
    close(ends[1]);
}

static void a_full_socket_does_not_hold(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    slow_reader(ends[0], ends[1]);
    close(ends[0]);
    close(ends[1]);
}

static void failed_writes_are_counted(void **state) {
    (void)state;
    clock_fake_init(&fake);
    fake.wall_now_ms = 1795176000123;
    int full = open("/dev/full", O_WRONLY);
    assert_true(full >= 0);
    int copy = dup(full);
    struct log *l = log_new(copy, LOG_FORMAT_TEXT, LOG_INFO, &fake.clock);
    for (int i = 0; i < 5; i++) log_event(l, LOG_INFO, "lost");
    log_flush(l);
    open_log(LOG_FORMAT_TEXT, LOG_OFF);
    assert_int_equal(dup2(fileno(file), copy), copy);
    log_event(l, LOG_INFO, "seen");
    log_flush(l);
    assert_string_equal(read_back(), TIME " WARN  log lines dropped  count=5\n" TIME " INFO  seen\n");
    log_free(l);
    close(copy);
    close(full);
    close_log();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_lines),
        cmocka_unit_test(text_values_cannot_forge),
        cmocka_unit_test(json_lines),
        cmocka_unit_test(colour_is_only_around_words),
        cmocka_unit_test(levels),
        cmocka_unit_test(batches),
        cmocka_unit_test(time_moves),
        cmocka_unit_test(a_full_pipe_does_not_hold),
        cmocka_unit_test(a_full_socket_does_not_hold),
        cmocka_unit_test(failed_writes_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
