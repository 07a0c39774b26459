/* redis_words.h - Redis' protocol (RESP) as far as it is written and read by hand.
 *
 * A command is "*N" and N bulks; hiredis reads what comes back. Redis knows a script by the SHA-1 of its text, and runs
 * it by that (EVALSHA) once it was loaded over any connection, until it restarts.
 */
#pragma once
#include "gateway/base/buf.h"

struct redisReply;
#define REDIS_DIGEST_SIZE 40

void redis_command_begin(struct buf *out, size_t words);
void redis_bulk(struct buf *out, struct slice argument); /* absent = empty */
void redis_bulk_number(struct buf *out, uint64_t number);
/* Of a script's text; NUL-terminated. */
void redis_digest(struct slice text, char digest[REDIS_DIGEST_SIZE + 1]);

/* What stands at a place of an array. */
uint64_t redis_number(const struct redisReply *r, size_t at);   /* 0 for what is no positive number */
struct slice redis_text(const struct redisReply *r, size_t at); /* absent for what is not text */
