#include "gateway/cluster/cluster_private.h"

/* The assembler copies the file in, seen from the root of the tree, where everything is built. */
extern const char cluster_lua[], cluster_lua_end[];
__asm__(".pushsection .rodata\ncluster_lua:\n.incbin \"gateway/cluster/cluster.lua\"\ncluster_lua_end:\n.popsection\n");

struct cluster_script cluster_script(void) {
    struct cluster_script s = {.text = slice_make(cluster_lua, (size_t)(cluster_lua_end - cluster_lua))};
    redis_digest(s.text, s.digest);
    return s;
}

/* EVALSHA digest 1 prefix what tag ... */
void cluster_run(struct cluster *c, const char *what, struct slice tag, size_t words) {
    c->command.n = 0;
    redis_command_begin(&c->command, 6 + words);
    redis_bulk(&c->command, SLICE("EVALSHA"));
    redis_bulk(&c->command, slice_make(c->script.digest, REDIS_DIGEST_SIZE));
    redis_bulk(&c->command, SLICE("1"));
    redis_bulk(&c->command, c->prefix);
    redis_bulk(&c->command, slice_of(what));
    redis_bulk(&c->command, tag);
}

void cluster_send(struct cluster *c, struct redis_wait *w) {
    redis_link_send(c->link, buf_slice(&c->command), w);
}
