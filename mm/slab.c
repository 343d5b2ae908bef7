/*
 * mm/slab.c - kmalloc: small objects out of pages.
 *
 * Theory: after Bonwick's slab allocator (USENIX 1994) and its per-CPU magazines (2001). A slab is a block of pages
 * cut into objects of one size class. Each CPU has a list of free objects for every class, touched only with
 * preemption disabled: that is the whole fast path. When the list grows too long half of it goes back
 * to the slabs; a slab whose objects are all free goes back to the page allocator.
 *
 * kfree() may run where sleeping is forbidden, so going back to the slabs only tries the class's mutex; if it is busy
 * the objects go to a lock-free stack that the next holder empties.
 *
 * A slab's state lies in the struct page of its first page: cache = first free object, index = class |
 * free objects << 16, link = list of slabs with free objects. Further pages have PAGE_TAIL and the class.
 * Larger requests are blocks of the page allocator.
 *
 * Interface: mm.h. Errors: NULL.
 */
#include "mm/internal.h"
#include "core/log.h"
#include "core/thread.h"
#include "lib/string.h"

static const struct {
	uint16_t size;
	uint8_t order;
} classes[] = {
	{ 16, 0 }, { 32, 0 }, { 48, 0 }, { 64, 0 }, { 128, 0 }, { 192, 0 }, { 256, 0 }, { 320, 0 },
	{ 384, 0 }, { 448, 0 }, { 512, 0 }, { 576, 0 }, { 640, 1 }, { 768, 1 }, { 1024, 1 }, { 1344, 1 },
	{ 1600, 1 }, { 2048, 2 }, { 2688, 1 }, { 4096, 2 }, { 5440, 2 }, { 8192, 2 },
};
#define CLASS_COUNT ARRAY_SIZE(classes)
#define SIZE_MAX_CLASS 8192

struct object {
	struct object *next;
};

static struct slab_class {
	struct mutex lock;
	struct list partial;            /* slabs with a free object */
	struct object *_Atomic deferred; /* freed while the mutex was busy */
	unsigned per_slab;
	unsigned batch;                 /* objects moved at once; a CPU keeps at most two of them */
	unsigned empty_slabs;           /* wholly free slabs kept, at most one */
} slab_classes[CLASS_COUNT];

struct cpu_list {
	struct object *head;
	uint32_t n, most;
};
static struct cpu_lists {
	struct cpu_list list[CLASS_COUNT];
} __attribute__((aligned(64))) cpu_lists[MAX_CPUS];

/* Class of a size, by 16-byte steps up to 1 KiB. */
static uint8_t class_of_step[1024 / 16 + 1];

static inline unsigned class_of(size_t size)
{
	unsigned c;

	if (size <= 1024)
		return class_of_step[(size + 15) / 16];
	for (c = class_of_step[1024 / 16]; classes[c].size < size; c++)
		;
	return c;
}

void slab_init(void)
{
	unsigned c = 0;

	for (unsigned step = 0; step < ARRAY_SIZE(class_of_step); step++) {
		while (classes[c].size < step * 16)
			c++;
		class_of_step[step] = (uint8_t)c;
	}
	for (c = 0; c < CLASS_COUNT; c++) {
		struct slab_class *k = &slab_classes[c];

		mutex_init(&k->lock, "slab");
		list_init(&k->partial);
		k->per_slab = (unsigned)((PAGE_SIZE << classes[c].order) / classes[c].size);
		k->batch = MAX(2u, MIN(32u, 4096u / classes[c].size));
		for (unsigned i = 0; i < MAX_CPUS; i++)
			cpu_lists[i].list[c].most = 2 * k->batch;
	}
}

/* --- slabs; the class's mutex held --------------------------------------------------------------------- */
static inline unsigned slab_free_count(const struct page *s) { return (unsigned)(s->index >> 16); }
static inline unsigned slab_class_index(const struct page *s) { return s->index & 0xffff; }

static void slab_push(unsigned c, struct page *s, struct object *o)
{
	o->next = (struct object *)s->cache;
	s->cache = (struct pagecache *)o;
	s->index += 1u << 16;
	assert(slab_free_count(s) <= slab_classes[c].per_slab);
}

static struct page *slab_of(const void *v, unsigned c)
{
	return virt_to_page((void *)ALIGN_DOWN((uintptr_t)v, PAGE_SIZE << classes[c].order));
}

static struct page *slab_new(unsigned c, unsigned flags)
{
	unsigned order = classes[c].order;
	struct page *s = page_alloc(order, flags & ~ALLOC_ZERO);
	char *mem;

	if (!s)
		return NULL;
	mem = page_virt(s);
	atomic_store_explicit(&s->flags, PAGE_SLAB, memory_order_relaxed);
	s->index = c;
	for (unsigned i = 1; i < 1u << order; i++) {
		s[i].index = c;
		atomic_store_explicit(&s[i].flags, PAGE_SLAB | PAGE_TAIL, memory_order_relaxed);
	}
	for (unsigned i = slab_classes[c].per_slab; i-- > 0;)
		slab_push(c, s, (struct object *)(mem + (size_t)i * classes[c].size));
	stat_add(STAT_SLAB, 1 << order);
	return s;
}

static void slab_destroy(unsigned c, struct page *s)
{
	unsigned order = classes[c].order;

	for (unsigned i = 1; i < 1u << order; i++)
		atomic_store_explicit(&s[i].flags, 0, memory_order_relaxed);
	stat_add(STAT_SLAB, -(1 << order));
	page_put(s);
}

static void object_return(unsigned c, struct object *o)
{
	struct slab_class *k = &slab_classes[c];
	struct page *s = slab_of(o, c);

	if (slab_free_count(s) == 0)
		list_push_front(&k->partial, &s->link);
	slab_push(c, s, o);
	if (slab_free_count(s) == k->per_slab) {
		list_del(&s->link);
		if (k->empty_slabs == 0) {
			k->empty_slabs = 1;
			list_push_back(&k->partial, &s->link);
		} else {
			slab_destroy(c, s);
		}
	}
}

static struct object *object_take(unsigned c)
{
	struct slab_class *k = &slab_classes[c];
	struct page *s;
	struct object *o;

	if (list_empty(&k->partial))
		return NULL;
	s = list_first(&k->partial, struct page, link);
	if (slab_free_count(s) == k->per_slab)
		k->empty_slabs = 0;
	o = (struct object *)s->cache;
	s->cache = (struct pagecache *)o->next;
	s->index -= 1u << 16;
	if (slab_free_count(s) == 0)
		list_del(&s->link);
	return o;
}

static void deferred_drain(unsigned c)
{
	struct slab_class *k = &slab_classes[c];
	struct object *o;

	if (likely(!atomic_load_explicit(&k->deferred, memory_order_relaxed)))
		return;
	o = atomic_exchange_explicit(&k->deferred, NULL, memory_order_acquire);
	while (o) {
		struct object *next = o->next;

		object_return(c, o);
		o = next;
	}
}

/* --- between the CPU's list and the slabs ------------------------------------------------------------------ */
static void *refill(unsigned c, unsigned flags)
{
	struct slab_class *k = &slab_classes[c];
	struct object *first, *more = NULL;
	struct cpu_list *l;
	unsigned n = 0;

	if (flags & ALLOC_NOWAIT) {
		if (!mutex_trylock(&k->lock))
			return NULL;
	} else {
		mutex_lock(&k->lock);
	}
	deferred_drain(c);
	first = object_take(c);
	if (!first) {
		struct page *s;

		/*
		 * The mutex is dropped: page_alloc() may reclaim, and what reclaim frees must find
		 * its way back to this class.
		 */
		mutex_unlock(&k->lock);
		s = slab_new(c, flags);
		if (!s)
			return NULL;
		if (flags & ALLOC_NOWAIT) {
			if (!mutex_trylock(&k->lock)) {
				slab_destroy(c, s);
				return NULL;
			}
		} else {
			mutex_lock(&k->lock);
		}
		list_push_front(&k->partial, &s->link);
		first = object_take(c);
	}
	while (n < k->batch - 1) {
		struct object *o = object_take(c);

		if (!o)
			break;
		o->next = more;
		more = o;
		n++;
	}
	mutex_unlock(&k->lock);

	preempt_disable();
	l = &cpu_lists[cpu_id()].list[c];
	while (more) {
		struct object *next = more->next;

		more->next = l->head;
		l->head = more;
		more = next;
	}
	l->n += n;
	preempt_enable();
	return first;
}

/* Gives a chain of objects back to their slabs, or leaves them for the next holder of the mutex. */
static void give_back(unsigned c, struct object *chain)
{
	struct slab_class *k = &slab_classes[c];

	if (mutex_trylock(&k->lock)) {
		deferred_drain(c);
		while (chain) {
			struct object *next = chain->next;

			object_return(c, chain);
			chain = next;
		}
		mutex_unlock(&k->lock);
		return;
	}
	while (chain) {
		struct object *next = chain->next;
		struct object *head = atomic_load_explicit(&k->deferred, memory_order_relaxed);

		do
			chain->next = head;
		while (!atomic_compare_exchange_weak_explicit(&k->deferred, &head, chain,
							      memory_order_release, memory_order_relaxed));
		chain = next;
	}
}

/* --- interface ------------------------------------------------------------------------------------------------ */
/* More than a class has: a block of pages. */
static __attribute__((noinline)) void *block_alloc(size_t size, unsigned flags)
{
	unsigned order = 0;
	struct page *p;

	while ((PAGE_SIZE << order) < size) {
		if (++order > MAX_ORDER)
			return NULL;
	}
	p = page_alloc(order, flags);
	if (!p)
		return NULL;
	stat_add(STAT_SLAB, 1ll << order);
	return page_virt(p);
}

static __attribute__((noinline)) void block_free(struct page *p)
{
	stat_add(STAT_SLAB, -(1ll << p->order));
	page_put(p);
}

/* An object of this CPU's list, or NULL. The whole allocation, mostly. */
static inline struct object *list_take(unsigned c)
{
	struct cpu_list *l;
	struct object *o;

	preempt_disable();
	l = &cpu_lists[cpu_id()].list[c];
	o = l->head;
	if (likely(o)) {
		l->head = o->next;
		l->n--;
	}
	preempt_enable();
	return o;
}

void *kmalloc_flags(size_t size, unsigned flags)
{
	struct object *o;
	unsigned c;

	if (unlikely(mm_fail_every) && !(flags & (ALLOC_RESERVE | ALLOC_FAULT)) && alloc_should_fail())
		return NULL;
	/* One decision for the whole request: the pages below do not fail on purpose again. */
	flags |= ALLOC_FAULT;
	if (unlikely(size > SIZE_MAX_CLASS))
		return block_alloc(size, flags);
	c = class_of(size);
	o = list_take(c);
	if (unlikely(!o)) {
		o = refill(c, flags);
		if (!o)
			return NULL;
	}
	if (flags & ALLOC_ZERO)
		memset(o, 0, size);
	return o;
}

void *kmalloc(size_t size)
{
	struct object *o = NULL;

	if (likely(size <= 1024 && !mm_fail_every))
		o = list_take(class_of(size));
	return likely(o) ? o : kmalloc_flags(size, 0);
}

void *kzalloc(size_t size)
{
	return kmalloc_flags(size, ALLOC_ZERO);
}

/* This CPU's list has grown too long: half of it goes. Ends with preemption enabled. */
static __attribute__((noinline)) void list_shorten(unsigned c, struct cpu_list *l)
{
	struct object *o, *chain = NULL;

	for (unsigned i = 0; i < slab_classes[c].batch; i++) {
		o = l->head;
		l->head = o->next;
		o->next = chain;
		chain = o;
	}
	l->n -= slab_classes[c].batch;
	preempt_enable();
	give_back(c, chain);
}

void kfree(void *v)
{
	struct object *o = v;
	struct cpu_list *l;
	struct page *p;
	unsigned c;

	if (!v)
		return;
	p = virt_to_page(v);
	if (unlikely(!(atomic_load_explicit(&p->flags, memory_order_relaxed) & PAGE_SLAB))) {
		block_free(p);
		return;
	}
	c = slab_class_index(p);
	preempt_disable();
	l = &cpu_lists[cpu_id()].list[c];
	o->next = l->head;
	l->head = o;
	if (unlikely(++l->n > l->most)) {
		list_shorten(c, l);
		return;
	}
	preempt_enable();
}

void *krealloc(void *old, size_t old_size, size_t new_size)
{
	void *fresh;

	if (old && new_size <= SIZE_MAX_CLASS && old_size <= SIZE_MAX_CLASS && old_size > 0 &&
	    class_of(old_size) == class_of(new_size))
		return old;
	fresh = kmalloc(new_size);
	if (!fresh)
		return NULL;
	if (old) {
		memcpy(fresh, old, MIN(old_size, new_size));
		kfree(old);
	}
	return fresh;
}

char *kstrdup(const char *s)
{
	size_t len = strlen(s) + 1;
	char *copy = kmalloc(len);

	if (copy)
		memcpy(copy, s, len);
	return copy;
}
