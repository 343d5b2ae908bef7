/*
 * tests/unit/io_host.c - the half of the shim that uses the C library: threads, memory, time. See io_shim.h.
 *
 * It includes no header of the kernel that brings definitions of the ABI, which clash with the library's.
 */
#include "io_shim.h"
#include "core/log.h"
#include "mm/mm.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct io_thread {
	struct thread t;
	pthread_t pthread;
	pthread_mutex_t m;
	pthread_cond_t c;
	void (*fn)(void *arg);
	void *arg;
	_Atomic bool interrupted;
};

const char *io_case = "";
_Atomic long io_pages, io_blocks;
_Atomic int io_fail_after = -1;
uaddr_t io_bad_start, io_bad_end;

static __thread struct io_thread *self;
unsigned mm_fail_every;
int log_level = LOG_WARN;

/* --- threads ------------------------------------------------------------------------------------- */

static struct io_thread *thread_make(void)
{
	struct io_thread *t = calloc(1, sizeof(*t));
	pthread_condattr_t attr;

	pthread_mutex_init(&t->m, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->c, &attr);
	t->t.process = io_process();
	t->t.refs = 1;
	return t;
}

void io_init(void)
{
	self = thread_make();
}

struct thread *thread_current(void) { return &self->t; }

static void *thread_main(void *arg)
{
	self = arg;
	self->fn(self->arg);
	return NULL;
}

struct io_thread *io_thread(void (*fn)(void *arg), void *arg)
{
	struct io_thread *t = thread_make();

	t->fn = fn;
	t->arg = arg;
	pthread_create(&t->pthread, NULL, thread_main, t);
	return t;
}

void io_join(struct io_thread *t)
{
	pthread_join(t->pthread, NULL);
	free(t);
}

struct thread *thread_create_kernel(const char *name, void (*fn)(void *arg), void *arg)
{
	return &io_thread(fn, arg)->t;
}

void preempt_disable(void) {}
void preempt_enable(void) {}
void thread_get(struct thread *t) {}
void thread_put(struct thread *t) {}

void sleep_prepare(enum thread_state how) { atomic_store(&self->t.state, how); }
void sleep_cancel(void) { atomic_store(&self->t.state, THREAD_RUNNABLE); }

int sleep_until(uint64_t deadline)
{
	struct timespec ts = { deadline / NSEC_PER_SEC, deadline % NSEC_PER_SEC };
	int r = 0;

	pthread_mutex_lock(&self->m);
	while (atomic_load(&self->t.state) != THREAD_RUNNABLE && !r) {
		if (deadline == DEADLINE_NEVER)
			pthread_cond_wait(&self->c, &self->m);
		else if (pthread_cond_timedwait(&self->c, &self->m, &ts) == ETIMEDOUT)
			r = -ETIMEDOUT;
	}
	pthread_mutex_unlock(&self->m);
	if (r && atomic_exchange(&self->t.state, THREAD_RUNNABLE) == THREAD_RUNNABLE)
		r = 0;
	return r;
}

static bool wake_from(struct thread *t, int from)
{
	struct io_thread *h = container_of(t, struct io_thread, t);
	bool woke;

	pthread_mutex_lock(&h->m);
	woke = atomic_compare_exchange_strong(&t->state, &from, THREAD_RUNNABLE);
	pthread_cond_signal(&h->c);
	pthread_mutex_unlock(&h->m);
	return woke;
}

bool thread_wake(struct thread *t)
{
	return wake_from(t, SLEEP_UNINTERRUPTIBLE) || wake_from(t, SLEEP_INTERRUPTIBLE);
}

bool thread_wake_interruptible(struct thread *t) { return wake_from(t, SLEEP_INTERRUPTIBLE); }
bool signal_pending(void) { return atomic_load(&self->interrupted); }

void io_interrupt(struct io_thread *t, bool on)
{
	atomic_store(&t->interrupted, on);
	if (on)
		thread_wake_interruptible(&t->t);
}

bool io_asleep(struct io_thread *t) { return atomic_load(&t->t.state) != THREAD_RUNNABLE; }

void io_wait_asleep(struct io_thread *t)
{
	struct timespec pause = { 0, 2000000 };

	do
		nanosleep(&pause, NULL);
	while (!io_asleep(t));
}

uint64_t clock_monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

int64_t clock_realtime_offset_ns(void) { return 1000 * (int64_t)NSEC_PER_SEC; }

/* --- memory -------------------------------------------------------------------------------------- */

static bool alloc_fails(void)
{
	return atomic_load(&io_fail_after) >= 0 && atomic_fetch_sub(&io_fail_after, 1) == 0;
}

void *kmalloc(size_t n)
{
	if (alloc_fails())
		return NULL;
	atomic_fetch_add(&io_blocks, 1);
	return malloc(n);
}

void *kzalloc(size_t n)
{
	void *p = kmalloc(n);

	return p ? memset(p, 0, n) : NULL;
}

void kfree(void *p)
{
	if (p)
		atomic_fetch_sub(&io_blocks, 1);
	free(p);
}

struct page *page_alloc(unsigned order, unsigned flags)
{
	struct page *p = alloc_fails() ? NULL : calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->index = (uintptr_t)aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	atomic_fetch_add(&io_pages, 1);
	return p;
}

void page_put(struct page *p)
{
	free((void *)p->index);
	free(p);
	atomic_fetch_sub(&io_pages, 1);
}

paddr_t page_to_phys(const struct page *p) { return p->index - DIRECT_BASE; }

/* Bytes of [addr, addr + len) before the range that faults. */
static size_t reachable(uaddr_t addr, size_t len)
{
	if (io_bad_end <= addr || addr + len <= io_bad_start)
		return len;
	return addr >= io_bad_start ? 0 : io_bad_start - addr;
}

size_t copy_from_user_partial(void *dst, uaddr_t src, size_t len)
{
	size_t n = reachable(src, len);

	memcpy(dst, (void *)src, n);
	return len - n;
}

size_t copy_to_user_partial(uaddr_t dst, const void *src, size_t len)
{
	size_t n = reachable(dst, len);

	memcpy((void *)dst, src, n);
	return len - n;
}

int copy_from_user(void *dst, uaddr_t src, size_t len)
{
	return copy_from_user_partial(dst, src, len) ? -EFAULT : 0;
}

int copy_to_user(uaddr_t dst, const void *src, size_t len)
{
	return copy_to_user_partial(dst, src, len) ? -EFAULT : 0;
}

/* --- the rest ---------------------------------------------------------------------------------- */

void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	abort();
}

void sappendf(char *buf, size_t size, size_t *len, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf + *len, size - *len, fmt, ap);
	va_end(ap);
	*len = MIN(*len + n, size - 1);
}

void io_sleep_ms(unsigned ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}
