/*
 * kernel/linux/futex.c - fast user-space mutexes.
 *
 * Theory. A waiter puts a record (on its own kernel stack) into the bucket its address hashes to and
 * sleeps; a waker takes records out of the bucket and wakes their threads. Nothing is allocated. The value
 * is compared under the bucket's mutex, which a waker takes too, so a wake cannot fall between comparison
 * and sleep. The comparison may fault; the fault path takes no bucket.
 *
 * A futex is named by a key: its address for a private one, cache and offset for a shared one in a shared
 * file mapping (so that two mappings of a file meet), and its address with a mark for a shared one elsewhere.
 *
 * Locking: one mutex per bucket; requeue takes two, the lower first.
 * Interface: sys_futex and the robust-list calls; futex_thread_exit(), futex_wake_addr() in task.h.
 * Source: futex(2), Linux Documentation/locking/robust-futexes.rst.
 */
#include "core/clock.h"
#include "core/log.h"
#include "core/mutex.h"
#include "core/rcu.h"
#include "core/sched.h"
#include "core/uaccess.h"
#include "linux/process.h"
#include "linux/signal_private.h"
#include "linux/syscall.h"
#include "linux/task.h"
#include "linux/timespec.h"
#include "mm/mm.h"
#include <linux/futex.h>

#define BUCKETS 256

struct key {
	uint64_t object; /* 0 private, 1 shared but in no file, else the page cache */
	uint64_t offset; /* address, or byte in the file */
};

struct waiter {
	struct list link;
	struct thread *thread;
	struct key key;
	uint32_t bitset;
	struct bucket *_Atomic bucket; /* where it is queued; NULL once it was woken */
};

static struct bucket {
	struct mutex lock;
	struct list waiters;
} buckets[BUCKETS];

static struct key key_of(uaddr_t addr, bool shared)
{
	struct key k = { shared, addr };

	if (shared)
		mm_shared_key(addr, &k.object, &k.offset);
	return k;
}

static bool key_equal(const struct key *a, const struct key *b)
{
	return a->object == b->object && a->offset == b->offset;
}

static struct bucket *bucket_of(const struct key *k)
{
	uint64_t h = (k->offset >> 2 ^ k->object << 7) * 0x9e3779b97f4a7c15ull;
	return &buckets[h >> 56];
}

void futex_init(void)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		mutex_init(&buckets[i].lock, "futex");
		list_init(&buckets[i].waiters);
	}
}

/* Takes w out of its queue and wakes it. Bucket held. The record belongs to its thread from the store on. */
static inline void release(struct waiter *w)
{
	struct thread *t = w->thread;

	list_del(&w->link);
	rcu_read_lock();
	atomic_store_explicit(&w->bucket, NULL, memory_order_release);
	thread_wake_unhurried(t);
	rcu_read_unlock();
}

static int wake(const struct key *key, int n, uint32_t bitset)
{
	struct bucket *b = bucket_of(key);
	struct waiter *w, *tmp;
	int woken = 0;

	mutex_lock(&b->lock);
	list_for_each_safe(w, tmp, &b->waiters, link) {
		if (woken >= n)
			break;
		if (key_equal(&w->key, key) && (w->bitset & bitset)) {
			release(w);
			woken++;
		}
	}
	mutex_unlock(&b->lock);
	return woken;
}

void futex_wake_addr(uaddr_t addr, int n)
{
	struct key k = key_of(addr, true);
	wake(&k, n, FUTEX_BITSET_MATCH_ANY);
}

/* Leaves the queue if still in it. True if nobody has woken us. A requeue may move us meanwhile. */
static bool unqueue(struct waiter *w)
{
	for (;;) {
		struct bucket *b = atomic_load_explicit(&w->bucket, memory_order_acquire);
		if (!b)
			return false;
		mutex_lock(&b->lock);
		if (atomic_load(&w->bucket) == b) {
			list_del(&w->link);
			atomic_store(&w->bucket, NULL);
			mutex_unlock(&b->lock);
			return true;
		}
		mutex_unlock(&b->lock);
	}
}

static __attribute__((noinline)) int wait(uaddr_t addr, bool shared, uint32_t val, uint64_t deadline, uint32_t bitset)
{
	struct waiter w; /* filled field by field: to clear it first costs more than that */
	struct bucket *b;
	uint32_t now;
	int r;

	if (!bitset)
		return -EINVAL;
	w.thread = current;
	w.key = key_of(addr, shared);
	w.bitset = bitset;
	b = bucket_of(&w.key);
	mutex_lock(&b->lock);
	r = get_user(now, addr);
	if (r == 0 && now != val)
		r = -EAGAIN;
	if (r) {
		mutex_unlock(&b->lock);
		return r;
	}
	list_push_back(&b->waiters, &w.link);
	atomic_init(&w.bucket, b);
	mutex_unlock(&b->lock);

	for (;;) {
		sleep_prepare(SLEEP_INTERRUPTIBLE);
		if (!atomic_load_explicit(&w.bucket, memory_order_acquire)) {
			r = 0;
			break;
		}
		if (signal_pending()) {
			r = -ERESTARTSYS;
			break;
		}
		r = sleep_until(deadline);
		if (!atomic_load_explicit(&w.bucket, memory_order_acquire))
			return 0;
		if (r)
			break;
	}
	sleep_cancel();
	if (!unqueue(&w))
		return 0;
	return r;
}

static void lock_two(struct bucket *a, struct bucket *b)
{
	if (a > b) {
		struct bucket *t = a;
		a = b;
		b = t;
	}
	mutex_lock(&a->lock);
	if (a != b)
		mutex_lock(&b->lock);
}

static void unlock_two(struct bucket *a, struct bucket *b)
{
	mutex_unlock(&a->lock);
	if (a != b)
		mutex_unlock(&b->lock);
}

static long requeue(uaddr_t from, uaddr_t to, bool shared, int nwake, int nmove, const uint32_t *expect)
{
	struct key from_key = key_of(from, shared), to_key = key_of(to, shared);
	struct bucket *a = bucket_of(&from_key), *b = bucket_of(&to_key);
	struct waiter *w, *tmp;
	struct list moved = LIST_INIT(moved);
	int woken = 0, requeued = 0;

	if (nwake < 0 || nmove < 0)
		return -EINVAL;
	lock_two(a, b);
	if (expect) {
		uint32_t now;
		int r = user_load32(&now, from);
		if (r == 0 && now != *expect)
			r = -EAGAIN;
		if (r) {
			unlock_two(a, b);
			return r;
		}
	}
	list_for_each_safe(w, tmp, &a->waiters, link) {
		if (!key_equal(&w->key, &from_key))
			continue;
		if (woken < nwake) {
			release(w);
			woken++;
		} else if (requeued < nmove) {
			list_del(&w->link);
			w->key = to_key;
			list_push_back(&moved, &w->link);
			atomic_store(&w->bucket, b);
			requeued++;
		} else {
			break;
		}
	}
	list_splice_back(&b->waiters, &moved);
	unlock_two(a, b);
	return woken + requeued;
}

static int apply_op(uint32_t encoded, uaddr_t addr, uint32_t *old)
{
	unsigned op = encoded >> 28 & 7, cmp = encoded >> 24 & 15;
	int oparg = (int)(encoded << 8) >> 20, cmparg = (int)(encoded << 20) >> 20;
	uint32_t found, desired;

	if (encoded >> 28 & FUTEX_OP_OPARG_SHIFT)
		oparg = 1 << (oparg & 31);
	if (user_load32(&found, addr))
		return -EFAULT;
	for (;;) {
		uint32_t expect = found;
		switch (op) {
		case FUTEX_OP_SET:
			desired = (uint32_t)oparg;
			break;
		case FUTEX_OP_ADD:
			desired = expect + (uint32_t)oparg;
			break;
		case FUTEX_OP_OR:
			desired = expect | (uint32_t)oparg;
			break;
		case FUTEX_OP_ANDN:
			desired = expect & ~(uint32_t)oparg;
			break;
		case FUTEX_OP_XOR:
			desired = expect ^ (uint32_t)oparg;
			break;
		default:
			return -ENOSYS;
		}
		if (user_cmpxchg32(addr, expect, desired, &found))
			return -EFAULT;
		if (found == expect)
			break;
	}
	*old = found;
	switch (cmp) {
	case FUTEX_OP_CMP_EQ:
		return (int)*old == cmparg;
	case FUTEX_OP_CMP_NE:
		return (int)*old != cmparg;
	case FUTEX_OP_CMP_LT:
		return (int)*old < cmparg;
	case FUTEX_OP_CMP_LE:
		return (int)*old <= cmparg;
	case FUTEX_OP_CMP_GT:
		return (int)*old > cmparg;
	case FUTEX_OP_CMP_GE:
		return (int)*old >= cmparg;
	}
	return -ENOSYS;
}

/* The two buckets' locks are not held across the change of the word: a waiter that compares in between sees
 * the new value, and one that was queued before is woken below. */
static long wake_op(uaddr_t addr, uaddr_t addr2, bool shared, int n, int n2, uint32_t encoded)
{
	struct key key = key_of(addr, shared), key2 = key_of(addr2, shared);
	uint32_t old;
	int condition = apply_op(encoded, addr2, &old);

	if (condition < 0)
		return condition;
	int woken = wake(&key, n, FUTEX_BITSET_MATCH_ANY);
	if (condition)
		woken += wake(&key2, n2, FUTEX_BITSET_MATCH_ANY);
	return woken;
}

/* A wait with a relative timeout. */
static long wait_for(const struct restart *r)
{
	int result = wait(r->addr, r->shared, r->value, r->deadline_ns, FUTEX_BITSET_MATCH_ANY);

	return result == -ERESTARTSYS ? restart_with(*r) : result;
}

/* A handler ends waits that have a timeout, whatever its flags say: Linux goes on with them as with sleeps. */
static long wait_timed(uaddr_t uaddr, int op, uint32_t val, uint64_t ns, uint32_t bitset)
{
	struct restart r = { .fn = wait_for, .addr = uaddr, .value = val, .shared = !(op & FUTEX_PRIVATE_FLAG) };
	int result;

	if ((op & FUTEX_CMD_MASK) == FUTEX_WAIT) {
		r.deadline_ns = deadline_after(ns);
		return wait_for(&r);
	}
	if (op & FUTEX_CLOCK_REALTIME) {
		int64_t d = (int64_t)ns - clock_realtime_offset_ns();
		ns = d > 0 ? (uint64_t)d : 0;
	}
	result = wait(uaddr, r.shared, val, ns, bitset);
	return result == -ERESTARTSYS ? -ERESTARTNOHAND : result;
}

static __attribute__((noinline)) long futex_any(uaddr_t uaddr, int op, uint32_t val, uaddr_t timeout, uaddr_t uaddr2, uint32_t val3)
{
	int cmd = op & FUTEX_CMD_MASK;
	bool shared = !(op & FUTEX_PRIVATE_FLAG);
	struct key key;
	uint64_t ns;

	if ((op & FUTEX_CLOCK_REALTIME) && cmd != FUTEX_WAIT_BITSET)
		return -ENOSYS;
	switch (cmd) {
	case FUTEX_WAIT:
		val3 = FUTEX_BITSET_MATCH_ANY;
		/* fall through */
	case FUTEX_WAIT_BITSET:
		if (timeout) {
			int r = timespec_get_user(timeout, &ns);
			return r ? r : wait_timed(uaddr, op, val, ns, val3);
		}
		return wait(uaddr, shared, val, DEADLINE_NEVER, val3);
	case FUTEX_WAKE:
	case FUTEX_WAKE_BITSET:
		if (cmd == FUTEX_WAKE)
			val3 = FUTEX_BITSET_MATCH_ANY;
		if (!val3)
			return -EINVAL;
		key = key_of(uaddr, shared);
		return wake(&key, (int)val, val3);
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
		if ((uaddr2 & 3) || !uaddr_ok(uaddr2, 4))
			return uaddr2 & 3 ? -EINVAL : -EFAULT;
		return requeue(uaddr, uaddr2, shared, (int)val, (int)timeout, cmd == FUTEX_CMP_REQUEUE ? &val3 : NULL);
	case FUTEX_WAKE_OP:
		if ((uaddr2 & 3) || !uaddr_ok(uaddr2, 4))
			return uaddr2 & 3 ? -EINVAL : -EFAULT;
		return wake_op(uaddr, uaddr2, shared, (int)val, (int)timeout, val3);
	}
	return -ENOSYS;
}

/* What nearly all calls are, first. */
long sys_futex(uaddr_t uaddr, int op, uint32_t val, uaddr_t timeout, uaddr_t uaddr2, uint32_t val3)
{
	struct key key = { 0, uaddr };

	if (unlikely((uaddr & 3) || !uaddr_ok(uaddr, 4)))
		return uaddr & 3 ? -EINVAL : -EFAULT;
	if (op == FUTEX_WAKE_PRIVATE)
		return wake(&key, (int)val, FUTEX_BITSET_MATCH_ANY);
	if (op == FUTEX_WAIT_PRIVATE && !timeout)
		return wait(uaddr, false, val, DEADLINE_NEVER, FUTEX_BITSET_MATCH_ANY);
	if ((op & ~FUTEX_CLOCK_REALTIME) == FUTEX_WAIT_BITSET_PRIVATE && !timeout)
		return wait(uaddr, false, val, DEADLINE_NEVER, val3);
	return futex_any(uaddr, op, val, timeout, uaddr2, val3);
}

long sys_set_robust_list(uaddr_t head, size_t len)
{
	if (len != sizeof(struct robust_list_head))
		return -EINVAL;
	current->robust_list = head;
	return 0;
}

long sys_get_robust_list(int pid, uaddr_t head, uaddr_t len)
{
	uint64_t size = sizeof(struct robust_list_head);
	struct thread *t = pid ? thread_find(pid) : current;

	if (!t)
		return -ESRCH;
	uint64_t list = t->robust_list;
	if (pid)
		thread_put(t);
	if (put_user(len, size) || put_user(head, list))
		return -EFAULT;
	return 0;
}

/* One lock that the dying thread may hold: if so, marks the owner dead and wakes a waiter. */
static void abandon(struct thread *t, uaddr_t addr, bool pending)
{
	uint32_t value, found;

	if ((addr & 3) || user_load32(&value, addr))
		return;
	for (;;) {
		if (pending && value == 0) {
			/* It may have unlocked and died before it woke the next: wake one to be safe. */
			futex_wake_addr(addr, 1);
			return;
		}
		if ((value & FUTEX_TID_MASK) != (uint32_t)t->tid)
			return;
		if (user_cmpxchg32(addr, value, (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED, &found))
			return;
		if (found == value)
			break;
		value = found;
	}
	if (value & FUTEX_WAITERS)
		futex_wake_addr(addr, 1);
}

void futex_thread_exit(struct thread *t)
{
	struct robust_list_head head;
	uaddr_t entry;

	if (!t->robust_list || copy_from_user(&head, t->robust_list, sizeof(head)))
		return;
	uaddr_t pending = (uaddr_t)head.list_op_pending & ~1ull;
	entry = (uaddr_t)head.list.next;
	/* The list is the application's, so it may be a ring: ROBUST_LIST_LIMIT ends it. */
	for (int i = 0; i < ROBUST_LIST_LIMIT && (entry & ~1ull) != t->robust_list; i++) {
		uaddr_t next;
		if (get_user(next, entry & ~1ull))
			return;
		if ((entry & ~1ull) != pending)
			abandon(t, (entry & ~1ull) + (uaddr_t)head.futex_offset, false);
		entry = next;
	}
	if (pending)
		abandon(t, pending + (uaddr_t)head.futex_offset, true);
}
