#include "gateway/base/chunk.h"
#include "tests/unit/unit.h"
#include <stdlib.h>
#include <sys/mman.h>

static int released;

static void count_release(void *memory, size_t size) {
    assert_int_equal(size, 8);
    free(memory);
    released++;
}

static struct chunk *counted_chunk(void) {
    char *memory = malloc(8);
    memcpy(memory, "abcdefgh", 8);
    struct chunk *c = chunk_take(memory, 8);
    c->release = count_release;
    released = 0;
    return c;
}

static void a_new_chunk_is_room(void **state) {
    (void)state;
    struct chunk *c = chunk_new(1000);
    assert_int_equal(c->size, 1000);
    assert_int_equal(c->bytes.n, 0);
    assert_ptr_equal(c->bytes.p, c->memory);
    memset(c->memory, 'x', 1000);
    chunk_release(c);
    chunk_release(chunk_new(0));
    chunk_release(NULL);
}

static void copies_are_independent(void **state) {
    (void)state;
    char bytes[] = "abc";
    struct chunk *c = chunk_copy(slice_make(bytes, 3));
    bytes[0] = 'z';
    assert_slice(c->bytes, "abc");
    chunk_release(c);
    c = chunk_copy(SLICE_NONE);
    assert_int_equal(c->bytes.n, 0);
    chunk_release(c);
}

static void the_last_holder_frees(void **state) {
    (void)state;
    struct chunk *whole = counted_chunk();
    struct chunk *left = chunk_share(whole, slice_make(whole->bytes.p, 4));
    struct chunk *middle = chunk_share(whole, slice_make(whole->bytes.p + 2, 4));
    struct chunk *inner = chunk_share(middle, slice_make(middle->bytes.p + 1, 2));
    struct chunk *nothing = chunk_share(whole, slice_make(whole->bytes.p + 8, 0));
    chunk_release(whole);
    chunk_release(middle);
    chunk_release(nothing);
    assert_int_equal(released, 0);
    assert_slice(left->bytes, "abcd");
    assert_slice(inner->bytes, "de");
    chunk_release(inner);
    assert_int_equal(released, 0);
    chunk_release(left);
    assert_int_equal(released, 1);
}

static void several_holders_of_one_chunk(void **state) {
    (void)state;
    struct chunk *c = counted_chunk();
    c->holders++;
    chunk_release(c);
    assert_int_equal(released, 0);
    assert_slice(c->bytes, "abcdefgh");
    chunk_release(c);
    assert_int_equal(released, 1);
}

static void mappings_are_unmapped(void **state) {
    (void)state;
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    memcpy(p, "mapped", 6);
    struct chunk *c = chunk_take_mapping(p, 8192);
    struct chunk *part = chunk_share(c, slice_make(p, 6));
    chunk_release(c);
    assert_slice(part->bytes, "mapped");
    assert_int_equal(msync(p, 8192, MS_ASYNC), 0);
    chunk_release(part);
    assert_int_equal(msync(p, 8192, MS_ASYNC), -1); /* ENOMEM: nothing is mapped there */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_chunk_is_room),   cmocka_unit_test(copies_are_independent),
        cmocka_unit_test(the_last_holder_frees), cmocka_unit_test(several_holders_of_one_chunk),
        cmocka_unit_test(mappings_are_unmapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
