#include "gateway/base/list.h"
#include <assert.h>

void list_init(struct list *l) {
    l->head = (struct list_node){&l->head, &l->head, NULL};
    l->length = 0;
}

static void list_insert_before(struct list *l, struct list_node *n, struct list_node *next) {
    assert(n->list == NULL);
    n->next = next;
    n->previous = next->previous;
    n->list = l;
    next->previous->next = n;
    next->previous = n;
    l->length++;
}

void list_push(struct list *l, struct list_node *n) {
    list_insert_before(l, n, &l->head);
}

void list_push_front(struct list *l, struct list_node *n) {
    list_insert_before(l, n, l->head.next);
}

void list_remove(struct list_node *n) {
    if (!n->list) return;
    n->next->previous = n->previous;
    n->previous->next = n->next;
    n->list->length--;
    *n = (struct list_node){0};
}

struct list_node *list_first(const struct list *l) {
    return l->length ? l->head.next : NULL;
}

struct list_node *list_next(const struct list *l, const struct list_node *n) {
    return n->next == &l->head ? NULL : n->next;
}
