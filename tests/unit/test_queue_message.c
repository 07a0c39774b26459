#include "gateway/base/memory.h"
#include "gateway/queue/message.h"
#include "tests/unit/unit.h"
#include <stdlib.h>

/* RFC 9562 5.7: 48 bits of milliseconds, version 7, variant 10. */
static void ids_are_uuids_that_sort_by_time(void **state) {
    (void)state;
    struct clock_fake clock;
    char id[UUID_TEXT_SIZE + 1], before[UUID_TEXT_SIZE + 1] = "";
    clock_fake_init(&clock);
    clock.wall_now_ms = 0x017f22e279b0;
    queue_id_make(&clock.clock, id);
    assert_memory_equal(id, "017f22e2-79b0-7", 15);
    for (int i = 0; i < 1000; i++) {
        clock_fake_advance_ms(&clock, 1);
        queue_id_make(&clock.clock, id);
        assert_int_equal(strlen(id), UUID_TEXT_SIZE);
        assert_int_equal(id[14], '7');
        assert_non_null(strchr("89ab", id[19]));
        assert_int_equal(strspn(id, "0123456789abcdef-"), UUID_TEXT_SIZE);
        assert_true(strcmp(before, id) < 0);
        memcpy(before, id, sizeof before);
    }
}

static int unpack(struct slice bytes, struct queue_message *m) {
    struct arena a = {0};
    struct error e;
    char *copy = slice_dup(bytes); /* of its own, so that reading beyond it shows */
    int status = queue_attributes_unpack(slice_make(copy, bytes.n), m, &a, &e);
    free(copy);
    arena_free(&a);
    return status;
}

static void damaged_attributes_are_noticed(void **state) {
    (void)state;
    const struct queue_attribute attributes[] = {{QUEUE_TEXT, SLICE("colour"), SLICE("red")},
                                                 {QUEUE_BINARY, SLICE("k"), SLICE("\0\xff")}};
    struct buf packed = {0};
    struct queue_message m = {0};
    queue_attributes_pack(attributes, 2, &packed);
    assert_int_equal(unpack(buf_slice(&packed), &m), 0);
    assert_int_equal(m.attribute_count, 2);
    size_t first = 9 + 6 + 3;
    for (size_t n = 1; n < packed.n; n++)
        assert_int_equal(unpack(slice_make(packed.p, n), &m), n == first ? 0 : -ERROR_FORMAT);
    packed.p[0] = QUEUE_BINARY + 1;
    assert_int_equal(unpack(buf_slice(&packed), &m), -ERROR_FORMAT);
    packed.p[0] = QUEUE_TEXT;
    memset(packed.p + 1, 0xff, 8); /* lengths whose sum overflows */
    assert_int_equal(unpack(buf_slice(&packed), &m), -ERROR_FORMAT);
    buf_free(&packed);
    for (size_t i = 0; i <= QUEUE_ATTRIBUTES_MAX; i++) queue_attributes_pack(attributes, 1, &packed);
    assert_int_equal(unpack(buf_slice(&packed), &m), -ERROR_FORMAT);
    buf_free(&packed);
    assert_int_equal(unpack(SLICE(""), &m), 0);
    assert_int_equal(m.attribute_count, 0);
}

static void errors_say_what_and_how_much(void **state) {
    (void)state;
    struct error e;
    struct queue_send send = {.queue = SLICE("orders"), .body = SLICE("0123456789")};
    assert_int_equal(queue_send_check(&send, 10, &e), 0);
    assert_int_equal(queue_send_check(&send, 9, &e), -ERROR_LIMIT);
    assert_string_equal(e.message, "queue orders takes messages of up to 9 bytes, not 10");
    send.attributes = &(struct queue_attribute){QUEUE_TEXT, SLICE("n"), SLICE("value")};
    send.attribute_count = 1;
    assert_int_equal(queue_send_check(&send, 16, &e), 0);
    assert_int_equal(queue_send_check(&send, 15, &e), -ERROR_LIMIT);
    assert_int_equal(queue_page_check(0, &e), -ERROR_LIMIT);
    assert_int_equal(queue_page_check(QUEUE_PAGE_MAX, &e), 0);
    assert_int_equal(queue_page_check(1001, &e), -ERROR_LIMIT);
    assert_string_equal(e.message, "one call takes 1 to 1000 messages, not 1001");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_uuids_that_sort_by_time),
        cmocka_unit_test(damaged_attributes_are_noticed),
        cmocka_unit_test(errors_say_what_and_how_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
