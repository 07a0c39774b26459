#include "gateway/queue/redis_script.h"
#include "gateway/base/memory.h"

/* The assembler copies the files in, seen from the root of the tree, where everything is built. */
#define EMBEDDED(name)                                                                                                 \
    extern const char redis_lua_##name[], redis_lua_##name##_end[];                                                    \
    __asm__(".pushsection .rodata\n"                                                                                   \
            "redis_lua_" #name ":\n.incbin \"gateway/queue/redis/" #name ".lua\"\nredis_lua_" #name "_end:\n"          \
            ".popsection\n")
EMBEDDED(common);
EMBEDDED(add);
EMBEDDED(message);
EMBEDDED(send);
EMBEDDED(receive);
EMBEDDED(settle);
EMBEDDED(upkeep);
EMBEDDED(notes);
EMBEDDED(finish);

struct part {
    const char *start;
    const char *end;
};
#define PART(name)                                                                                                     \
    { redis_lua_##name, redis_lua_##name##_end }
#define PARTS_MAX 5
static const struct part parts[REDIS_SCRIPTS][PARTS_MAX] = {
    [REDIS_SCRIPT_SEND] = {PART(common), PART(add), PART(send), PART(finish)},
    [REDIS_SCRIPT_RECEIVE] = {PART(common), PART(add), PART(message), PART(receive), PART(finish)},
    [REDIS_SCRIPT_SETTLE] = {PART(common), PART(add), PART(message), PART(settle), PART(finish)},
    [REDIS_SCRIPT_UPKEEP] = {PART(common), PART(add), PART(message), PART(upkeep), PART(finish)},
    [REDIS_SCRIPT_NOTES] = {PART(common), PART(notes), PART(finish)},
};

void redis_scripts_init(struct redis_scripts *s) {
    for (int i = 0; i < REDIS_SCRIPTS; i++) {
        s->texts[i] = (struct buf){0};
        for (int k = 0; k < PARTS_MAX && parts[i][k].start; k++)
            buf_append(&s->texts[i], parts[i][k].start, (size_t)(parts[i][k].end - parts[i][k].start));
        redis_digest(buf_slice(&s->texts[i]), s->digests[i]);
    }
}

void redis_scripts_free(struct redis_scripts *s) {
    for (int i = 0; i < REDIS_SCRIPTS; i++) buf_free(&s->texts[i]);
}
