#include "gateway/redis/redis_words.h"
#include <assert.h>
#include <hiredis/hiredis.h>
#include <openssl/evp.h>
#include <stdio.h>

/* --- writing --- */

void redis_command_begin(struct buf *out, size_t words) {
    buf_append_char(out, '*');
    buf_append_u64(out, words);
    buf_append(out, "\r\n", 2);
}

void redis_bulk(struct buf *out, struct slice argument) {
    buf_append_char(out, '$');
    buf_append_u64(out, argument.n);
    buf_append(out, "\r\n", 2);
    buf_append_slice(out, argument);
    buf_append(out, "\r\n", 2);
}

void redis_bulk_number(struct buf *out, uint64_t number) {
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    redis_bulk(out, slice_make(digits, (size_t)n));
}

void redis_digest(struct slice text, char digest[REDIS_DIGEST_SIZE + 1]) {
    unsigned char bytes[REDIS_DIGEST_SIZE / 2];
    int ok = EVP_Digest(text.p, text.n, bytes, NULL, EVP_sha1(), NULL);
    assert(ok == 1);
    (void)ok;
    for (size_t i = 0; i < sizeof bytes; i++) snprintf(digest + 2 * i, 3, "%02x", bytes[i]);
}

/* --- reading; what Redis says is not trusted to have the right form --- */

static const redisReply *element(const redisReply *r, size_t at) {
    static const redisReply nothing = {.type = REDIS_REPLY_NIL};
    return r && r->type == REDIS_REPLY_ARRAY && at < r->elements ? r->element[at] : &nothing;
}

struct slice redis_text(const redisReply *r, size_t at) {
    const redisReply *e = element(r, at);
    return e->type == REDIS_REPLY_STRING || e->type == REDIS_REPLY_STATUS ? slice_make(e->str, e->len) : SLICE_NONE;
}

uint64_t redis_number(const redisReply *r, size_t at) {
    const redisReply *e = element(r, at);
    uint64_t number = 0;
    if (e->type == REDIS_REPLY_INTEGER) return e->integer > 0 ? (uint64_t)e->integer : 0;
    return slice_to_u64(redis_text(r, at), &number) ? number : 0;
}
