#include "gateway/command/token/dev_keys.h"
#include "gateway/base/file.h"
#include "gateway/base/memory.h"
#include "plugins/auth/jwk_import.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_SIZE_MAX 16384
#define FILE_NAME "dev-issuer.pem"

/* --- its place --- */

/* The XDG base directory specification wants relative paths ignored. malloc'd; NULL = there is no home. */
static char *state_folder(void) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    const struct passwd *user = home && home[0] == '/' ? NULL : getpwuid(geteuid());
    if (state && state[0] == '/') return xasprintf("%s/execgate", state);
    if (user) home = user->pw_dir;
    return home && home[0] == '/' ? xasprintf("%s/.local/state/execgate", home) : NULL;
}

/* Makes what is missing of a path's folders, for its owner alone. */
static int folders_make(char *path, struct error *e) {
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int failed = mkdir(path, 0700) != 0 && errno != EEXIST ? errno : 0;
        if (failed) error_set_errno(e, failed, "the folder %s for the development key cannot be made", path);
        *slash = '/';
        if (failed) return -ERROR_SYSTEM;
    }
    return 0;
}

/* --- making them --- */

/* A link never replaces what another process has made meanwhile; then that one is used. */
static int file_put(const char *path, const struct buf *text, struct error *e) {
    char *temporary = xasprintf("%s.XXXXXX", path);
    int fd = mkostemp(temporary, O_CLOEXEC); /* 0600 */
    bool ok = fd >= 0 && file_write_all(fd, buf_slice(text)) == 0 && fsync(fd) == 0 &&
              (link(temporary, path) == 0 || errno == EEXIST);
    int status = ok ? 0 : error_set_errno(e, errno, "the development key cannot be written to %s", path);
    if (fd >= 0) unlink(temporary);
    if (fd >= 0) close(fd);
    free(temporary);
    return status;
}

void dev_key_write_pem(const struct dev_key *key, struct buf *out) {
    char *text;
    BIO *bio = BIO_new(BIO_s_mem());
    if (!bio || PEM_write_bio_PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1) abort();
    long n = BIO_get_mem_data(bio, &text);
    buf_append(out, text, (size_t)n);
    *buf_reserve(out, 1) = '\0';
    BIO_free(bio);
}

static int file_make(const char *path, struct error *e) {
    struct buf text = {0};
    struct dev_key made[DEV_KEYS_COUNT] = {{.pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")},
                                           {.pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)}};
    for (size_t i = 0; i < DEV_KEYS_COUNT; i++) {
        if (!made[i].pkey) abort(); /* as xmalloc does */
        dev_key_write_pem(&made[i], &text);
        EVP_PKEY_free(made[i].pkey);
    }
    int status = file_put(path, &text, e);
    OPENSSL_cleanse(text.p, text.n);
    buf_free(&text);
    return status;
}

/* --- reading them --- */

static int no_password(char *text, int size, int writing, void *context) {
    (void)text;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

/* NULL, or why its owner cannot be the only one who knows it. */
static const char *objection_to(int fd) {
    struct stat s;
    if (fstat(fd, &s) != 0) return "it cannot be examined";
    if (!S_ISREG(s.st_mode)) return "it is no regular file";
    if (s.st_uid != geteuid()) return "it belongs to another user";
    return s.st_mode & (S_IRWXG | S_IRWXO) ? "others may read or write it; remove it, and a new one is made" : NULL;
}

static bool key_take(struct dev_keys *k, EVP_PKEY *take_pkey) {
    enum jose_kind kind;
    const char *why = jwk_classify(take_pkey, &kind);
    size_t place = kind == JOSE_KIND_P256 ? 0 : 1;
    bool wanted = !why && (kind == JOSE_KIND_P256 || kind == JOSE_KIND_RSA) && !k->items[place].pkey;
    if (!wanted) {
        EVP_PKEY_free(take_pkey);
        return false;
    }
    k->items[place] = (struct dev_key){.pkey = take_pkey, .kind = kind};
    dev_jwk_thumbprint(take_pkey, k->items[place].kid);
    return true;
}

static int keys_take(struct dev_keys *k, struct slice text, struct error *e) {
    BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
    bool good = bio != NULL;
    ERR_set_mark();
    for (size_t i = 0; good && i < DEV_KEYS_COUNT; i++) {
        EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
        good = pkey && key_take(k, pkey);
    }
    ERR_pop_to_mark();
    BIO_free(bio);
    if (good) return 0;
    return error_set(e, ERROR_FORMAT, "%s does not hold the two development keys; remove it, and new ones are made",
                     k->path);
}

static int open_file_read(struct dev_keys *k, int fd, struct error *e) {
    char text[FILE_SIZE_MAX];
    size_t n = 0;
    const char *why = objection_to(fd);
    if (why) return error_set(e, ERROR_STATE, "the development key %s is not used: %s", k->path, why);
    for (ssize_t got; n < sizeof text && (got = read(fd, text + n, sizeof text - n)) != 0;) {
        if (got < 0 && errno != EINTR) return error_set_errno(e, errno, "%s cannot be read", k->path);
        if (got > 0) n += (size_t)got;
    }
    int status = keys_take(k, slice_make(text, n), e);
    OPENSSL_cleanse(text, sizeof text);
    return status;
}

static int file_open(const char *path) {
    return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

static int keys_read(struct dev_keys *k, struct error *e) {
    int fd = file_open(k->path);
    if (fd < 0 && errno == ENOENT) {
        int status = folders_make(k->path, e);
        if (status == 0) status = file_make(k->path, e);
        if (status < 0) return status;
        fd = file_open(k->path);
    }
    if (fd < 0) return error_set_errno(e, errno, "the development key %s cannot be opened", k->path);
    int status = open_file_read(k, fd, e);
    close(fd);
    return status;
}

int dev_keys_open(struct dev_keys *k, struct error *e) {
    *k = (struct dev_keys){0};
    char *folder = state_folder();
    if (!folder) return error_set(e, ERROR_SYSTEM, "there is no place for the development key; set XDG_STATE_HOME");
    k->path = xasprintf("%s/" FILE_NAME, folder);
    free(folder);
    int status = keys_read(k, e);
    if (status < 0) dev_keys_close(k);
    return status;
}

void dev_keys_close(struct dev_keys *k) {
    for (size_t i = 0; i < DEV_KEYS_COUNT; i++) EVP_PKEY_free(k->items[i].pkey);
    free(k->path);
    *k = (struct dev_keys){0};
}

/* --- using them --- */

const struct dev_key *dev_keys_for(const struct dev_keys *k, unsigned algorithms, enum jose_algorithm *algorithm) {
    static const enum jose_algorithm order[] = {JOSE_ES256, JOSE_RS256, JOSE_RS384, JOSE_RS512};
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        if (!(algorithms & JOSE_BIT(order[i]))) continue;
        *algorithm = order[i];
        return &k->items[order[i] == JOSE_ES256 ? 0 : 1];
    }
    return NULL;
}

void dev_keys_write_set(const struct dev_keys *k, struct buf *out) {
    buf_append_text(out, "{\"keys\":[");
    for (size_t i = 0; i < DEV_KEYS_COUNT; i++) {
        if (i) buf_append_char(out, ',');
        dev_jwk_write(k->items[i].pkey, out);
        out->n--; /* the brace comes later */
        buf_printf(out, ",\"use\":\"sig\",\"kid\":\"%s\"}", k->items[i].kid);
    }
    buf_append_text(out, "]}");
}
