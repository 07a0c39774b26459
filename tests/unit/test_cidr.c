#include "gateway/base/memory.h"
#include "gateway/blueprint/cidr.h"
#include "tests/unit/unit.h"

static struct cidr range_of(const char *text) {
    struct cidr range;
    struct error e = {0};
    if (cidr_parse(slice_of(text), &range, &e) < 0) fail_msg("%s: %s", text, e.message);
    return range;
}

static struct address address_of(const char *text) {
    struct address address;
    if (!address_parse(slice_of(text), &address)) fail_msg("%s is no address", text);
    return address;
}

static const struct membership {
    const char *range, *address;
    bool inside;
} memberships[] = {
    {"10.0.0.0/8", "10.255.1.2", true},
    {"10.0.0.0/8", "11.0.0.0", false},
    {"10.0.0.0/8", "9.255.255.255", false},
    {"192.0.2.128/25", "192.0.2.128", true},
    {"192.0.2.128/25", "192.0.2.127", false},
    {"192.0.2.4/31", "192.0.2.5", true},
    {"192.0.2.4/31", "192.0.2.6", false},
    {"192.0.2.4", "192.0.2.4", true},
    {"192.0.2.4", "192.0.2.5", false},
    {"0.0.0.0/0", "203.0.113.9", true},
    {"0.0.0.0/0", "::1", false},
    {"2001:db8::/32", "2001:db8:ffff::1", true},
    {"2001:db8::/32", "2001:db9::", false},
    {"2001:db8:0:8000::/49", "2001:db8:0:8001::", true},
    {"2001:db8:0:8000::/49", "2001:db8:0:7fff::", false},
    {"::1", "::1", true},
    {"::/0", "2001:db8::1", true},
    {"::/0", "10.0.0.1", false},
    {"10.0.0.0/8", "::ffff:10.1.2.3", true},   /* as a dual-stack socket tells it */
    {"::ffff:10.0.0.0/104", "10.1.2.3", true}, /* and as somebody may write it */
    {"::ffff:10.0.0.0/104", "::ffff:11.0.0.1", false},
    {"unix", "unix:", true},
    {"unix", "unix:/run/shop.sock", true},
    {"unix", "0.0.0.0", false},
    {"0.0.0.0/0", "unix:", false},
};

static void test_membership(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(memberships); i++) {
        const struct membership *m = &memberships[i];
        struct cidr range = range_of(m->range);
        struct address address = address_of(m->address);
        if (cidr_contains(&range, &address) != m->inside) fail_msg("%s in %s", m->address, m->range);
    }
}

static const struct refusal {
    const char *text, *words;
} refusals[] = {
    {"", "is no network"},
    {"/8", "is no network"},
    {"10.0.0.0/", "the prefix length is a number from 0 to 32"},
    {"10.0.0.0/33", "from 0 to 32"},
    {"10.0.0.0/-1", "from 0 to 32"},
    {"10.0.0.0/8/8", "from 0 to 32"},
    {"10.0.0.0/0008", "from 0 to 32"},
    {"::/129", "from 0 to 128"},
    {"10.0.0.1/8", "write 10.0.0.0/8 for the network"},
    {"2001:db8::1/64", "write 2001:db8::/64 for the network"},
    {"10.0.0/8", "is no network"},
    {"010.0.0.0/8", "is no network"},
    {"10.0.0.256", "is no network"},
    {" 10.0.0.0/8", "is no network"},
    {"fe80::1%eth0", "is no network"},
    {"[::1]", "is no network"},
    {"example.com", "is no network"},
    {"unix/8", "is no network"},
    {"0000:0000:0000:0000:0000:0000:255.255.255.2550", "is no network"}, /* longer than any address */
};

static void test_refusals(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        struct cidr range;
        struct error e = {0};
        assert_int_equal(cidr_parse(slice_of(refusals[i].text), &range, &e), -ERROR_FORMAT);
        if (!strstr(e.message, refusals[i].words)) fail_msg("%s: %s", refusals[i].text, e.message);
    }
}

static void test_addresses(void **state) {
    (void)state;
    static const char *const wrong[] = {"", "1.2.3", "1.2.3.4:80", "[::1]", "::1%lo", "10.0.0.0/8", "unix", "a"};
    struct address a;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) assert_false(address_parse(slice_of(wrong[i]), &a));
    assert_false(address_parse(slice_make("1.2.3.4\0", 8), &a));
    a = address_of("::ffff:192.0.2.1");
    assert_int_equal(a.family, ADDRESS_IPV4);
    assert_memory_equal(a.bytes, "\xc0\x00\x02\x01", 4);
}

static void test_lists(void **state) {
    (void)state;
    const struct cidr ranges[] = {range_of("10.0.0.0/8"), range_of("fd00::/8")};
    struct address inside = address_of("fd12::1"), outside = address_of("fe80::1");
    assert_true(cidr_list_contains(ranges, 2, &inside));
    assert_false(cidr_list_contains(ranges, 2, &outside));
    assert_false(cidr_list_contains(ranges, 1, &inside));
    assert_false(cidr_list_contains(NULL, 0, &inside));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_membership),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
