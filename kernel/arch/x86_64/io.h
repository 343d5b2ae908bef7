/*
 * kernel/arch/x86_64/io.h - ports and device memory.
 *
 * Device memory is uncached and accessed in program order; the compiler is kept in order by volatile. Memory that is shared with a device
 * is ordinary memory: there device_fence() is needed where a store must come before a load.
 */
#ifndef IBRIK_ARCH_IO_H
#define IBRIK_ARCH_IO_H

#include "lib/types.h"

static inline void outb(uint16_t port, uint8_t v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port) : "memory"); }
static inline void outw(uint16_t port, uint16_t v) { __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port) : "memory"); }
static inline void outl(uint16_t port, uint32_t v) { __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port) : "memory"); }
static inline uint8_t inb(uint16_t port) { uint8_t v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory"); return v; }
static inline uint16_t inw(uint16_t port) { uint16_t v; __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory"); return v; }
static inline uint32_t inl(uint16_t port) { uint32_t v; __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory"); return v; }
static inline void insw(uint16_t port, void *buf, size_t n) { __asm__ volatile("rep insw" : "+D"(buf), "+c"(n) : "d"(port) : "memory"); }

static inline uint8_t mmio_read8(const volatile void *p) { return *(const volatile uint8_t *)p; }
static inline uint16_t mmio_read16(const volatile void *p) { return *(const volatile uint16_t *)p; }
static inline uint32_t mmio_read32(const volatile void *p) { return *(const volatile uint32_t *)p; }
static inline uint64_t mmio_read64(const volatile void *p) { return *(const volatile uint64_t *)p; }
static inline void mmio_write8(volatile void *p, uint8_t v) { __asm__ volatile("" ::: "memory"); *(volatile uint8_t *)p = v; }
static inline void mmio_write16(volatile void *p, uint16_t v) { __asm__ volatile("" ::: "memory"); *(volatile uint16_t *)p = v; }
static inline void mmio_write32(volatile void *p, uint32_t v) { __asm__ volatile("" ::: "memory"); *(volatile uint32_t *)p = v; }
static inline void mmio_write64(volatile void *p, uint64_t v) { __asm__ volatile("" ::: "memory"); *(volatile uint64_t *)p = v; }

/*
 * What was stored before is seen by a device before anything behind is loaded.
 *
 * A locked instruction, the usual fence, is none under QEMU's translator where there is one CPU, or one thread for all of them: QEMU takes it apart into a load and a
 * store without LOCK (do_nonatomic_op_i64()), and before 8.1 it leaves MFENCE out, too (tcg_gen_mb()). But devices work in other threads of QEMU, on other
 * cores of the host, and there the store waits in the core's buffer while the load is done: an interrupt or a notification that each side thinks unnecessary is lost. RDTSC
 * calls a function of QEMU's that takes a lock (cpu_get_ticks()); on a host that is x86 that is an exchange, and so a fence.
 */
static inline void device_fence(void)
{
	__asm__ volatile("mfence; rdtsc" : : : "eax", "edx", "memory");
}

#endif
