/*
 * kernel/lib/list.h - circular doubly linked list, intrusive.
 *
 * The head is a struct list that points to itself when empty. An entry that is on no
 * list and was initialised or removed with list_del() also points to itself, so that
 * list_empty(&entry->link) asks "is it queued?". No locking: the owner's.
 */
#ifndef IBRIK_LIB_LIST_H
#define IBRIK_LIB_LIST_H

#include "lib/types.h"

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(name) { &(name), &(name) }

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }

static inline void list_insert_between(struct list *e, struct list *prev, struct list *next)
{
	e->prev = prev;
	e->next = next;
	prev->next = e;
	next->prev = e;
}

static inline void list_push_back(struct list *head, struct list *e)
{
	list_insert_between(e, head->prev, head);
}

static inline void list_push_front(struct list *head, struct list *e)
{
	list_insert_between(e, head, head->next);
}

static inline void list_del(struct list *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	list_init(e);
}

/* Moves every entry of `from` to the end of `to`; `from` is empty afterwards. */
static inline void list_splice_back(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)
#define list_for_each(e, head, member)                                       \
	for (e = list_entry((head)->next, __typeof__(*e), member);           \
	     &e->member != (head);                                           \
	     e = list_entry(e->member.next, __typeof__(*e), member))
/* The same, when the body may remove `e`. */
#define list_for_each_safe(e, tmp, head, member)                             \
	for (e = list_entry((head)->next, __typeof__(*e), member),           \
	    tmp = list_entry(e->member.next, __typeof__(*e), member);        \
	     &e->member != (head);                                           \
	     e = tmp, tmp = list_entry(tmp->member.next, __typeof__(*e), member))

#endif
