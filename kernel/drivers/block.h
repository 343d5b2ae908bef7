/*
 * kernel/drivers/block.h - helpers that block drivers share (the door for others is device.h).
 */
#ifndef IBRIK_DRIVERS_BLOCK_H
#define IBRIK_DRIVERS_BLOCK_H

#include "drivers/device.h"

/* The next free name with this prefix: "vd" gives vda, vdb ... */
void block_name(char name[16], const char *prefix);
/* Is this read within the device's limits? 0 and its size in bytes, or -EINVAL. */
int block_check(const struct block_device *dev, uint64_t offset, const struct block_segment *segs,
		unsigned nsegs, uint32_t *bytes);

/*
 * How long a disk may take, counted in sleeps of a second and not by the clock alone: the clock goes on while the host stops the whole machine, its
 * disks do not, and however long that takes it is one sleep. One for each request, on the stack of the thread that waits for it.
 */
struct block_patience {
	unsigned seconds;     /* left, this one included */
	uint64_t second_ends; /* monotonic, ns */
};
struct block_patience block_patience(unsigned seconds);
/* Sleeps behind sleep_prepare(), like sleep_until(). 0: look again, for whatever reason; -ETIMEDOUT when all is used up. */
int block_sleep(struct block_patience *p);

/* Counters are read by statistics without a lock; several readers add to them. */
static inline void block_count(struct block_device *dev, uint32_t bytes, int result)
{
	__atomic_fetch_add(&dev->reads, 1, __ATOMIC_RELAXED);
	if (result == 0)
		__atomic_fetch_add(&dev->bytes_read, bytes, __ATOMIC_RELAXED);
	else
		__atomic_fetch_add(&dev->errors, 1, __ATOMIC_RELAXED);
}

#endif
