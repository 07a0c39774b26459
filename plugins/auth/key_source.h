/* key_source.h - where the keys come from that a jwt guard verifies with.
 *
 * Keys that stand in a file or in the blueprint are there from the start (key_source_static); those of a file are
 * replaced when it changes. Keys that an issuer publishes are fetched (jwks_source.h): they may not be there yet, may
 * be replaced at any time, and may be asked for again when a token names one that is not among them.
 *
 *   current  what there is now; verify with it
 *   fetch    a token named a key that `current` lacks, or there is nothing yet: are newer keys to be had?
 *            KEY_FETCH_WAIT: on_keys is called once the fetch has ended, well or badly; look at `current` again
 *            KEY_FETCH_NO_NEWER: what there is, is all: of a static source, or asked for too short a time ago
 *            KEY_FETCH_FAILED: nothing is there, and the issuer could not be asked a moment ago
 *
 * One fetch serves all who wait for it. A waiter belongs to the caller, and on_keys is called from the turn, never
 * before fetch has returned; whoever lost interest says so by key_source_forget.
 */
#pragma once
#include "gateway/base/list.h"
#include "plugins/auth/jwk.h"

enum key_fetch { KEY_FETCH_WAIT, KEY_FETCH_NO_NEWER, KEY_FETCH_FAILED };

struct key_waiter {
    struct list_node node; /* the source's list of those who wait; in none otherwise */
    uint64_t until_ms;     /* the source's: monotonic */
    void (*on_keys)(struct key_waiter *w);
};

struct key_source;
struct key_source_ops {
    /* NULL: none yet. Lent until the caller returns to the loop; jwk_set_hold keeps it longer. */
    const struct jwk_set *(*current)(struct key_source *s);
    enum key_fetch (*fetch)(struct key_source *s, struct key_waiter *w);
    void (*forget)(struct key_source *s, struct key_waiter *w); /* nothing happens when it does not wait */
    /* Begins with what `old`, of the same kind, has learnt, if it was told to look in the same place; NULL = there is
     * nothing to learn. */
    void (*inherit)(struct key_source *s, const struct key_source *old);
    void (*free)(struct key_source *s); /* nobody waits any more */
};
/* Embedded at the start of what implements it. */
struct key_source {
    const struct key_source_ops *ops;
};

/* A set that is all there is, until it is replaced. Both take over one reference. */
struct key_source *key_source_static(struct jwk_set *take_set);
void key_source_static_replace(struct key_source *s, struct jwk_set *take_set);

static inline const struct jwk_set *key_source_current(struct key_source *s) {
    return s->ops->current(s);
}
static inline enum key_fetch key_source_fetch(struct key_source *s, struct key_waiter *w) {
    return s->ops->fetch(s, w);
}
static inline void key_source_forget(struct key_source *s, struct key_waiter *w) {
    s->ops->forget(s, w);
}
static inline void key_source_inherit(struct key_source *s, const struct key_source *old) {
    if (s->ops->inherit && s->ops == old->ops) s->ops->inherit(s, old);
}
static inline void key_source_free(struct key_source *s) { /* NULL is fine */
    if (s) s->ops->free(s);
}
