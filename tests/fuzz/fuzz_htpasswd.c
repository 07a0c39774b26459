/* Any bytes as a file of users: what is taken has sound hashes and is found again, and what is not says why. */
#include "plugins/auth/htpasswd.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The name of every line that has one is a user, with a hash of the right form. */
static void check_lines(const struct htpasswd *h, struct slice text) {
    struct slice line, name;
    while (slice_next(&text, '\n', &line)) {
        if (line.n && line.p[line.n - 1] == '\r') line.n--;
        if (slice_trim(line).n == 0 || line.p[0] == '#') continue;
        slice_next(&line, ':', &name);
        struct slice hash = htpasswd_hash_of(h, name);
        assert(hash.n == HTPASSWD_HASH_SIZE && slice_starts_with(hash, SLICE("$2")));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice text = slice_make((const char *)data, size);
    const struct siphash_key key = {{1, 2}};
    struct error e = {0};
    struct htpasswd *h = htpasswd_read(text, &e);
    if (!h) {
        assert(e.message[0]);
        return 0;
    }
    assert(htpasswd_count(h) > 0 && htpasswd_decoy(h, &key, text).n == HTPASSWD_HASH_SIZE);
    check_lines(h, text);
    htpasswd_free(h);
    return 0;
}
