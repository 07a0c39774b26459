/* list.h - an intrusive doubly linked list that knows its length.
 *
 * "State is a place": an object is in the state whose list holds it, and counting a state is
 * list->length. A node is in at most one list and knows which, so removing needs only the node.
 */
#pragma once
#include "gateway/base/memory.h"
#include <stdbool.h>
#include <stddef.h>

struct list;
struct list_node {
    struct list_node *next;
    struct list_node *previous;
    struct list *list; /* NULL when in none */
};
struct list {
    struct list_node head; /* circular; head.list unused */
    size_t length;
};

void list_init(struct list *l);
/* The node must be in no list. */
void list_push(struct list *l, struct list_node *n);       /* at the tail */
void list_push_front(struct list *l, struct list_node *n); /* at the head */
void list_remove(struct list_node *n);                     /* nothing happens when it is in none */
static inline bool list_empty(const struct list *l) {
    return l->length == 0;
}
static inline bool list_holds(const struct list *l, const struct list_node *n) {
    return n->list == l;
}
/* NULL when empty / at the end. */
struct list_node *list_first(const struct list *l);
struct list_node *list_next(const struct list *l, const struct list_node *n);

#define list_entry(node, type, member) container_of(node, type, member)
/* The current node may be removed while iterating, no other one. */
#define list_each(l, node)                                                                                             \
    for (struct list_node *node = (l)->head.next, *node##_next = node->next; node != &(l)->head;                       \
         node = node##_next, node##_next = node->next)
