/*
 * tests/unit/shim/io.h - memory that host programs made of kernel files share with the devices they play: threads, at most.
 */
#ifndef TESTS_UNIT_SHIM_IO_H
#define TESTS_UNIT_SHIM_IO_H

#include <stdatomic.h>
#include <stdint.h>

static inline void device_fence(void) { atomic_thread_fence(memory_order_seq_cst); }

static inline uint8_t mmio_read8(const volatile void *p) { return *(const volatile uint8_t *)p; }
static inline uint16_t mmio_read16(const volatile void *p) { return *(const volatile uint16_t *)p; }
static inline uint32_t mmio_read32(const volatile void *p) { return *(const volatile uint32_t *)p; }

#endif
