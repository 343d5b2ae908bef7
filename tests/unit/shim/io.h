/*
 * tests/unit/shim/io.h - memory that host programs made of kernel files share with the devices they play: threads, at most.
 */
#ifndef TESTS_UNIT_SHIM_IO_H
#define TESTS_UNIT_SHIM_IO_H

#include <stdatomic.h>

static inline void device_fence(void) { atomic_thread_fence(memory_order_seq_cst); }

#endif
