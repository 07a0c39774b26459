/* tree.h - a YAML file as a tree whose every node knows where it stands.
 *
 * The tree keeps scalars as the text they are, with one bit of style: plain (`yes`) or quoted
 * ("yes"). What a scalar means is decided by the schema (schema.h), never guessed from its looks.
 *
 * Only the part of YAML that can be read without surprises is accepted: one document of UTF-8, at
 * most TREE_MAX_SIZE bytes and TREE_MAX_DEPTH levels; no anchors, aliases, merge keys or tags; no
 * key twice. So a tree is really a tree, and its size is bounded by the file's. The file is read as
 * a stream of events, which stops at the first one too deep, before libyaml's quadratic handling
 * of deep nesting costs anything.
 */
#pragma once
#include "gateway/blueprint/problems.h"

#define TREE_MAX_SIZE ((size_t)1 << 20)
#define TREE_MAX_DEPTH 64

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };
enum node_state {
    NODE_WRITTEN,  /* text as in the file */
    NODE_RESOLVED, /* substitutions made (substitute.h) */
    NODE_BROKEN,   /* its substitution failed and was reported */
};

struct node {
    enum node_kind kind;
    enum node_state state;
    struct position at;
    bool plain;         /* a scalar without quotes, not a block */
    bool substituted;   /* part of the text came from a ${...} */
    bool secret;        /* never to be shown */
    bool confidential;  /* and no variable that may be shown may be part of it (FIELD_SECRET) */
    int end_line;       /* NODE_SCALAR */
    struct slice text;  /* NODE_SCALAR; NUL-terminated, without NUL bytes inside */
    struct node **keys; /* NODE_MAP: keys[i] names items[i] */
    struct node **items;
    size_t count;
};

/* NULL when there is no tree to speak of. Lesser problems (a key given twice) are added and leave the tree usable. */
struct node *tree_parse(struct slice text, struct arena *a, struct problems *p);
/* The member of a map; NULL when absent or when `n` is NULL or no map. */
struct node *node_get(const struct node *n, const char *key);
/* The last line that one of the node's values begins or ends on. */
int node_last_line(const struct node *n);
/* A scalar that says nothing: `key:`, `key: ~`, `key: null`. */
bool node_is_null(const struct node *n);

#define NODE_SHOWN_SIZE 280
/* What was found, for messages: `"text"`, `(secret)`, `a list`, `a map`, `nothing`. Returns `out`. */
const char *node_show(const struct node *n, char out[NODE_SHOWN_SIZE]);
