/*
 * kernel/core/bytering.c - a ring of bytes over pages. See bytering.h.
 */
#include "core/bytering.h"
#include "core/uaccess.h"
#include "lib/string.h"

static struct page **ring_slot(const struct bytering *r, uint64_t pos)
{
	return &r->pages[(pos / PAGE_SIZE) & (r->npages - 1)];
}

int bytering_init(struct bytering *r, unsigned npages)
{
	memset(r, 0, sizeof(*r));
	r->pages = kzalloc(npages * sizeof(*r->pages));
	if (!r->pages)
		return -ENOMEM;
	r->npages = npages;
	return 0;
}

static void pages_put(struct page **pages, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (pages[i])
			page_put(pages[i]);
		pages[i] = NULL;
	}
}

static void pages_free(struct page **pages, unsigned n)
{
	pages_put(pages, n);
	kfree(pages);
}

void bytering_clear(struct bytering *r)
{
	pages_put(r->pages, r->npages);
	r->head = r->tail = 0;
}

void bytering_free(struct bytering *r)
{
	if (!r->pages)
		return;
	pages_free(r->pages, r->npages);
	if (r->spare)
		page_put(r->spare);
	memset(r, 0, sizeof(*r));
}

ssize_t bytering_put(struct bytering *r, uaddr_t from, size_t len)
{
	size_t done = 0;

	len = MIN(len, bytering_space(r));
	while (done < len) {
		struct page **slot = ring_slot(r, r->head);
		size_t off = r->head % PAGE_SIZE;
		size_t n = MIN(len - done, PAGE_SIZE - off);
		size_t left;

		if (!*slot) {
			*slot = r->spare ? r->spare : page_alloc(0, 0);
			r->spare = NULL;
			if (!*slot)
				return done ? (ssize_t)done : -ENOMEM;
		}
		left = copy_from_user_partial((char *)page_to_virt(*slot) + off, from + done, n);
		r->head += n - left;
		done += n - left;
		if (left)
			return done ? (ssize_t)done : -EFAULT;
	}
	return done;
}

/* The reader has reached the end of a page: gives it back, unless the writer went around into it. */
static void ring_leave_page(struct bytering *r, struct page **slot)
{
	if (bytering_used(r) > (r->npages - 1) * PAGE_SIZE)
		return;
	if (!r->spare)
		r->spare = *slot;
	else
		page_put(*slot);
	*slot = NULL;
}

ssize_t bytering_get(struct bytering *r, uaddr_t to, size_t len)
{
	size_t done = 0;
	ssize_t result;

	len = MIN(len, bytering_used(r));
	result = len;
	while (done < len) {
		struct page **slot = ring_slot(r, r->tail);
		size_t off = r->tail % PAGE_SIZE;
		size_t n = MIN(len - done, PAGE_SIZE - off);
		size_t left = copy_to_user_partial(to + done, (char *)page_to_virt(*slot) + off, n);

		r->tail += n - left;
		done += n - left;
		if (n > left && r->tail % PAGE_SIZE == 0)
			ring_leave_page(r, slot);
		if (left) {
			result = done ? (ssize_t)done : -EFAULT;
			break;
		}
	}
	/* Empty: start the current page over, so that the next message finds it warm. */
	if (r->head == r->tail)
		r->head = r->tail = ALIGN_DOWN(r->head, PAGE_SIZE);
	return result;
}

ssize_t bytering_peek(const struct bytering *r, size_t skip, uaddr_t to, size_t len)
{
	size_t done = 0, used = bytering_used(r);

	len = skip < used ? MIN(len, used - skip) : 0;
	while (done < len) {
		uint64_t pos = r->tail + skip + done;
		size_t off = pos % PAGE_SIZE;
		size_t n = MIN(len - done, PAGE_SIZE - off);
		size_t left = copy_to_user_partial(to + done,
						   (char *)page_to_virt(*ring_slot(r, pos)) + off, n);

		done += n - left;
		if (left)
			return done ? (ssize_t)done : -EFAULT;
	}
	return done;
}

/* Fills fresh[0..] with pages that hold the bytes of the ring in order. 0 or -ENOMEM. */
static int ring_copy(const struct bytering *r, struct page **fresh)
{
	uint64_t from = r->tail, to = 0;

	while (from < r->head) {
		struct page **slot = &fresh[to / PAGE_SIZE];
		size_t n = MIN(r->head - from,
			       MIN(PAGE_SIZE - from % PAGE_SIZE, PAGE_SIZE - to % PAGE_SIZE));

		if (!*slot)
			*slot = page_alloc(0, 0);
		if (!*slot)
			return -ENOMEM;
		memcpy((char *)page_to_virt(*slot) + to % PAGE_SIZE,
		       (char *)page_to_virt(*ring_slot(r, from)) + from % PAGE_SIZE, n);
		from += n;
		to += n;
	}
	return 0;
}

int bytering_resize(struct bytering *r, unsigned npages)
{
	struct page **fresh;
	int err;

	if (bytering_used(r) > npages * PAGE_SIZE)
		return -EBUSY;
	fresh = kzalloc(npages * sizeof(*fresh));
	if (!fresh)
		return -ENOMEM;
	err = ring_copy(r, fresh);
	if (err) {
		pages_free(fresh, npages);
		return err;
	}
	pages_free(r->pages, r->npages);
	r->pages = fresh;
	r->npages = npages;
	r->head -= r->tail;
	r->tail = 0;
	return 0;
}
