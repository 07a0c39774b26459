/* redis_script.h - what the Redis store runs inside Redis.
 *
 * The scripts are the Lua files in redis/: each kind of call is common.lua, what it needs of add.lua and message.lua, a
 * file of its own, and finish.lua, joined. Redis knows a script by the SHA-1 of its text (EVALSHA) once it was loaded
 * over any connection, until it restarts; so the text travels once for each connection, and the digest with each call.
 */
#pragma once
#include "gateway/redis/redis_words.h"

enum redis_script {
    REDIS_SCRIPT_SEND,
    REDIS_SCRIPT_RECEIVE,
    REDIS_SCRIPT_SETTLE,
    REDIS_SCRIPT_UPKEEP,
    REDIS_SCRIPT_NOTES,
    REDIS_SCRIPTS
};

struct redis_scripts {
    struct buf texts[REDIS_SCRIPTS];
    char digests[REDIS_SCRIPTS][REDIS_DIGEST_SIZE + 1];
};
void redis_scripts_init(struct redis_scripts *s);
void redis_scripts_free(struct redis_scripts *s);
