/*
 * mm/sharedkey.c - names for memory that several mappings share.
 *
 * Interface: mm_shared_key() in mm.h, for futexes. Locking: the area is looked up under RCU.
 */
#include "mm/internal.h"

bool mm_shared_key(uaddr_t addr, uint64_t *object, uint64_t *offset)
{
	bool found = false;

	rcu_read_lock();
	struct area *a = area_search(addr);
	if (a && a->d.start <= addr && (a->d.kind & AREA_SHARED) && a->d.cache) {
		*object = (uint64_t)a->d.cache;
		*offset = (area_page_index(a, addr) << PAGE_SHIFT) + (addr & (PAGE_SIZE - 1));
		found = true;
	}
	rcu_read_unlock();
	return found;
}

bool mm_is_program_text(uaddr_t addr)
{
	rcu_read_lock();
	struct area *a = area_search(addr);
	bool text = a && a->d.start <= addr && a->d.cache && !(a->d.kind & AREA_SHARED);
	rcu_read_unlock();
	return text;
}
