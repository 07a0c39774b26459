#include "plugins/auth/htpasswd.h"
#include "gateway/base/file.h"
#include "gateway/base/map.h"
#include "gateway/base/memory.h"
#include <crypt.h>
#include <openssl/crypto.h>
#include <stdlib.h>

struct htpasswd {
    struct map *hashes; /* name -> NUL-terminated hash */
    char **all;
    size_t count;
};

static bool is_bcrypt_character(char c) {
    bool letter = (c | 32) >= 'a' && (c | 32) <= 'z';
    return letter || (c >= '0' && c <= '9') || c == '.' || c == '/';
}

/* NULL, or what is wrong with it. */
static const char *hash_objection(struct slice hash) {
    bool known = slice_starts_with(hash, SLICE("$2y$")) || slice_starts_with(hash, SLICE("$2b$")) ||
                 slice_starts_with(hash, SLICE("$2a$"));
    uint64_t cost;
    if (!known) return "the hash is not bcrypt; write it with `htpasswd -B`";
    if (hash.n != HTPASSWD_HASH_SIZE || hash.p[6] != '$') return "the bcrypt hash is not complete";
    if (!slice_to_u64(slice_make(hash.p + 4, 2), &cost)) return "the bcrypt hash has no cost";
    if (cost < 4 || cost > HTPASSWD_COST_MAX) return "the cost of the bcrypt hash is not between 4 and 16";
    for (size_t i = 7; i < hash.n; i++)
        if (!is_bcrypt_character(hash.p[i])) return "the bcrypt hash holds a character that none has";
    return NULL;
}

static const char *take_line(struct htpasswd *h, struct slice line) {
    struct slice name;
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    if (slice_trim(line).n == 0 || line.p[0] == '#') return NULL;
    slice_next(&line, ':', &name);
    if (slice_is_none(line) || name.n == 0) return "expected name:hash";
    if (name.n > 255 || memchr(name.p, '\0', name.n)) return "the name is not one that a client could send";
    if (map_get(h->hashes, name)) return "this user has a line already";
    const char *objection = hash_objection(line);
    if (objection) return objection;
    if ((h->count & (h->count - 1)) == 0) h->all = xrealloc(h->all, (h->count ? h->count * 2 : 1) * sizeof(char *));
    h->all[h->count] = slice_dup(line);
    map_put(h->hashes, name, h->all[h->count++]);
    return NULL;
}

struct htpasswd *htpasswd_read(struct slice text, struct error *e) {
    struct htpasswd *h = xcalloc(1, sizeof *h);
    struct slice line;
    int number = 0;
    h->hashes = map_new();
    const char *objection = NULL;
    while (!objection && slice_next(&text, '\n', &line)) {
        number++;
        objection = take_line(h, line);
    }
    if (!objection && h->count) return h;
    error_set(e, ERROR_FORMAT, "%s", objection ? objection : "there is no user in the file");
    if (e && objection) e->line = number;
    htpasswd_free(h);
    return NULL;
}

struct htpasswd *htpasswd_open(const char *path, struct error *e) {
    struct buf text = {0};
    struct error inside;
    if (file_read(path, "the users", HTPASSWD_SIZE_LIMIT, &text, e) < 0) {
        buf_free(&text);
        return NULL;
    }
    struct htpasswd *users = htpasswd_read(buf_slice(&text), &inside);
    buf_free(&text);
    if (!users && inside.line)
        error_set(e, ERROR_FORMAT, "line %d of %s: %s", inside.line, path, inside.message);
    else if (!users)
        error_set(e, ERROR_FORMAT, "%s: %s", path, inside.message);
    return users;
}

void htpasswd_free(struct htpasswd *h) {
    if (!h) return;
    for (size_t i = 0; i < h->count; i++) free(h->all[i]);
    map_free(h->hashes);
    free(h->all);
    free(h);
}

size_t htpasswd_count(const struct htpasswd *h) {
    return h->count;
}

struct slice htpasswd_hash_of(const struct htpasswd *h, struct slice user) {
    return slice_of(map_get(h->hashes, user));
}

struct slice htpasswd_decoy(const struct htpasswd *h, const struct siphash_key *key, struct slice user) {
    return slice_of(h->all[siphash_long(key, user).words[0] % h->count]);
}

/* The room is large (32 KiB), and holds the password afterwards. */
bool htpasswd_matches(const char *hash, const char *password) {
    struct crypt_data *room = xcalloc(1, sizeof *room);
    const char *made = crypt_r(password, hash, room);
    bool same = made && strlen(made) == strlen(hash) && CRYPTO_memcmp(made, hash, strlen(hash)) == 0;
    OPENSSL_cleanse(room, sizeof *room);
    free(room);
    return same;
}
