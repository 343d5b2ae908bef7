// sources: kernel/lib/heap.c
/*
 * tests/unit/lib_heap_test.c - the pairing heap against a plain array: order, removal from the middle.
 */
#include <stdio.h>
#include <stdlib.h>
#include "lib/heap.h"

#define N 2000

static struct heap_node nodes[N];
static int in_heap[N];

static int report(const char *name, int ok)
{
	printf(ok ? "ok %s\n" : "not ok %s wrong order or content\n", name);
	return !ok;
}

static uint64_t least(void)
{
	uint64_t min = UINT64_MAX;
	for (int i = 0; i < N; i++)
		if (in_heap[i] && nodes[i].key < min)
			min = nodes[i].key;
	return min;
}

static int sorted_output(void)
{
	struct heap h = { NULL };
	uint64_t last = 0;
	int n = 0;

	for (int i = 0; i < N; i++) {
		nodes[i].key = (uint64_t)rand() % 500;
		heap_insert(&h, &nodes[i]);
	}
	for (struct heap_node *x; (x = heap_pop(&h)); n++) {
		if (x->key < last)
			return 0;
		last = x->key;
	}
	return n == N;
}

static int random_operations(void)
{
	struct heap h = { NULL };
	int count = 0;

	for (int step = 0; step < 40000; step++) {
		int i = rand() % N;
		if (!in_heap[i]) {
			nodes[i].key = (uint64_t)rand();
			heap_insert(&h, &nodes[i]);
			in_heap[i] = 1;
			count++;
		} else if (rand() % 2) {
			heap_remove(&h, &nodes[i]);
			in_heap[i] = 0;
			count--;
		} else {
			struct heap_node *x = heap_pop(&h);
			if (x->key != least())
				return 0;
			in_heap[x - nodes] = 0;
			count--;
		}
		if ((heap_first(&h) == NULL) != (count == 0))
			return 0;
		if (step % 64 == 0 && count && heap_first(&h)->key != least())
			return 0;
	}
	while (count-- > 0)
		heap_pop(&h);
	return heap_first(&h) == NULL;
}

int main(void)
{
	int failed = 0;

	srand(1);
	failed |= report("pops_in_order_of_key", sorted_output());
	failed |= report("insert_remove_pop_agree_with_a_plain_search", random_operations());
	return failed;
}
