/*
 * kernel/core/rcu.h - read-copy-update.
 *
 * A reader section is one with preemption disabled (rcu_read_lock nests). rcu_synchronize()
 * returns after every section that was running has ended; it forces quiescence by IPI and sleeps.
 * rcu_call() runs fn(head) from a kernel thread after a grace period, some milliseconds later; it never fails or sleeps.
 */
#ifndef IBRIK_CORE_RCU_H
#define IBRIK_CORE_RCU_H

#include "core/thread.h"

struct rcu_head {
	struct rcu_head *next;
	void (*fn)(struct rcu_head *head);
};

static inline void rcu_read_lock(void) { preempt_disable(); }
static inline void rcu_read_unlock(void) { preempt_enable(); }
#define rcu_dereference(p) atomic_load_explicit(&(p), memory_order_acquire)
#define rcu_assign(p, v) atomic_store_explicit(&(p), (v), memory_order_release)

void rcu_synchronize(void);
void rcu_call(struct rcu_head *head, void (*fn)(struct rcu_head *head));

#endif
