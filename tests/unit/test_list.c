#include "gateway/base/list.h"
#include "tests/unit/unit.h"

struct item {
    int number;
    struct list_node node;
};

/* The numbers in order as decimal digits: 1, 2, 3 -> 123. */
static int digits_of(const struct list *l) {
    int digits = 0;
    for (const struct list_node *n = list_first(l); n; n = list_next(l, n))
        digits = digits * 10 + list_entry(n, struct item, node)->number;
    return digits;
}

static void order_of_both_ends(void **state) {
    (void)state;
    struct list l;
    struct item items[] = {{.number = 1}, {.number = 2}, {.number = 3}};
    list_init(&l);
    assert_true(list_empty(&l));
    assert_null(list_first(&l));
    list_push(&l, &items[1].node);
    list_push(&l, &items[2].node);
    list_push_front(&l, &items[0].node);
    assert_int_equal(l.length, 3);
    assert_int_equal(digits_of(&l), 123);
    assert_null(list_next(&l, &items[2].node));
}

static void removal_needs_only_the_node(void **state) {
    (void)state;
    struct list a, b;
    struct item items[] = {{.number = 1}, {.number = 2}, {.number = 3}};
    list_init(&a);
    list_init(&b);
    for (size_t i = 0; i < 3; i++) list_push(&a, &items[i].node);
    list_remove(&items[1].node);
    assert_false(list_holds(&a, &items[1].node));
    list_remove(&items[1].node);
    assert_int_equal(a.length, 2);
    assert_int_equal(digits_of(&a), 13);
    list_push(&b, &items[1].node);
    assert_true(list_holds(&b, &items[1].node));
    assert_false(list_holds(&a, &items[1].node));
    list_remove(&items[0].node);
    list_remove(&items[2].node);
    assert_true(list_empty(&a));
    assert_null(list_first(&a));
}

static void the_current_node_may_leave(void **state) {
    (void)state;
    struct list l;
    struct item items[6];
    list_init(&l);
    for (int i = 0; i < 6; i++) {
        items[i] = (struct item){.number = i + 1};
        list_push(&l, &items[i].node);
    }
    int seen = 0;
    list_each (&l, n) {
        struct item *item = list_entry(n, struct item, node);
        seen = seen * 10 + item->number;
        if (item->number % 2) list_remove(n);
    }
    assert_int_equal(seen, 123456);
    assert_int_equal(digits_of(&l), 246);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_of_both_ends),
        cmocka_unit_test(removal_needs_only_the_node),
        cmocka_unit_test(the_current_node_may_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
