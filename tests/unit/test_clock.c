#include "gateway/base/clock.h"
#include "tests/unit/unit.h"
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void system_time(void **state) {
    (void)state;
    struct clock *c = clock_system_new();
    uint64_t previous = clock_now_us(c);
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_now_us(c);
        assert_true(now >= previous);
        previous = now;
    }
    assert_true(clock_now_ms(c) >= previous / 1000);
    uint64_t wall_s = clock_wall_ms(c) / 1000;
    assert_true(wall_s + 5 > (uint64_t)time(NULL) && wall_s < (uint64_t)time(NULL) + 5);
    clock_system_free(c);
    clock_system_free(NULL);
}

static void fake_time_moves_when_told(void **state) {
    (void)state;
    struct clock_fake f;
    clock_fake_init(&f);
    uint64_t now_ms = clock_now_ms(&f.clock);
    uint64_t wall_ms = clock_wall_ms(&f.clock);
    assert_int_equal(clock_now_ms(&f.clock), now_ms);
    clock_fake_advance_ms(&f, 1500);
    assert_int_equal(clock_now_ms(&f.clock), now_ms + 1500);
    assert_int_equal(clock_wall_ms(&f.clock), wall_ms + 1500);
}

static void fake_random_repeats_from_the_seed(void **state) {
    (void)state;
    struct clock_fake a, b;
    unsigned char x[100], y[100];
    clock_fake_init(&a);
    clock_fake_init(&b);
    a.clock.random(&a.clock, x, sizeof x);
    b.clock.random(&b.clock, y, sizeof y);
    assert_memory_equal(x, y, sizeof x);
    b.clock.random(&b.clock, y, sizeof y);
    assert_memory_not_equal(x, y, sizeof x);
}

/* Across the block's end and beyond its size: no draw may repeat bytes of an earlier one. */
static void system_random_does_not_repeat(void **state) {
    (void)state;
    struct clock *c = clock_system_new();
    static uint64_t draws[3000];
    for (size_t i = 0; i < 1000; i++) {
        c->random(c, &draws[i], sizeof draws[i]);
        assert_true(draws[i] != 0);
        for (size_t j = 0; j < i; j++) assert_true(draws[i] != draws[j]);
    }
    c->random(c, draws, sizeof draws);
    assert_true(draws[0] != draws[2999]);
    clock_system_free(c);
}

static void a_child_draws_its_own_bytes(void **state) {
    (void)state;
    struct clock *c = clock_system_new();
    char mine[UUID_TEXT_SIZE], theirs[UUID_TEXT_SIZE];
    int ends[2];
    clock_uuid(c, mine); /* fills the block */
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        clock_uuid(c, theirs);
        _exit(write(ends[1], theirs, sizeof theirs) == sizeof theirs ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    clock_uuid(c, mine);
    assert_int_equal(read(ends[0], theirs, sizeof theirs), sizeof theirs);
    assert_memory_not_equal(mine, theirs, sizeof mine);
    close(ends[0]);
    close(ends[1]);
    clock_system_free(c);
}

static void random_below_covers_its_range(void **state) {
    (void)state;
    struct clock_fake f;
    clock_fake_init(&f);
    int seen[10] = {0};
    for (int i = 0; i < 10000; i++) {
        uint64_t x = clock_random_below(&f.clock, 10);
        assert_true(x < 10);
        seen[x]++;
    }
    for (int i = 0; i < 10; i++) assert_in_range(seen[i], 800, 1200);
    assert_int_equal(clock_random_below(&f.clock, 1), 0);
    uint64_t bound = UINT64_C(3) << 62; /* a quarter of the draws must be refused */
    for (int i = 0; i < 1000; i++) assert_true(clock_random_below(&f.clock, bound) < bound);
}

static void uuids_are_version_4(void **state) {
    (void)state;
    struct clock *c = clock_system_new();
    for (int i = 0; i < 300; i++) {
        char text[UUID_TEXT_SIZE + 1] = {0};
        text[UUID_TEXT_SIZE] = '!';
        clock_uuid(c, text);
        assert_int_equal(text[UUID_TEXT_SIZE], '!');
        for (size_t k = 0; k < UUID_TEXT_SIZE; k++) {
            bool dash = k == 8 || k == 13 || k == 18 || k == 23;
            assert_true(dash ? text[k] == '-' : strchr("0123456789abcdef", text[k]) != NULL);
        }
        assert_int_equal(text[14], '4');
        assert_non_null(strchr("89ab", text[19]));
    }
    clock_system_free(c);
}

static void hex_of_any_length(void **state) {
    (void)state;
    struct clock_fake f;
    char text[401];
    clock_fake_init(&f);
    memset(text, '!', sizeof text);
    clock_random_hex(&f.clock, text, 200);
    assert_int_equal(strspn(text, "0123456789abcdef"), 400);
    assert_int_equal(text[400], '!');
    clock_random_hex(&f.clock, text, 0);
}

static void iso_time(void **state) {
    (void)state;
    char text[25];
    clock_iso_time(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    clock_iso_time(1795176000123, text);
    assert_string_equal(text, "2026-11-20T12:00:00.123Z");
    clock_iso_time(951782399999, text);
    assert_string_equal(text, "2000-02-28T23:59:59.999Z");
    clock_iso_time(951782400000, text);
    assert_string_equal(text, "2000-02-29T00:00:00.000Z");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(system_time),
        cmocka_unit_test(fake_time_moves_when_told),
        cmocka_unit_test(fake_random_repeats_from_the_seed),
        cmocka_unit_test(system_random_does_not_repeat),
        cmocka_unit_test(a_child_draws_its_own_bytes),
        cmocka_unit_test(random_below_covers_its_range),
        cmocka_unit_test(uuids_are_version_4),
        cmocka_unit_test(hex_of_any_length),
        cmocka_unit_test(iso_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
