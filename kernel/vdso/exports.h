/*
 * kernel/vdso/exports.h - the kernel functions that an application may call directly: the one list, and the contract.
 *
 * Theory:    Application and kernel share ring and page tables, so a kernel function can be called like one of a library. These
 *            are symbols (version IBRIK_1) of the vDSO, the ELF shared object that the kernel maps into every program:
 *            dlopen("linux-vdso.so.1") and dlsym() find them, and so do SymbolLookup.libraryLookup() of Java and, by
 *            them, the class ibrik.Kernel (docs/jvm.md). On Linux the object has no such symbols.
 *            Nothing here is a system call: what only reads is code of the vDSO and reads the kernel's own words; the
 *            others jump to the kernel and are entered on the thread's kernel stack, with the way back of a
 *            system call (signals, preemption).
 * Contract:  C calling convention. Any thread may call at any time, in a signal handler too. A function changes no errno and no
 *            memory but what its text says. Answers below 0 are negative numbers of errno. No argument can make the
 *            kernel fail: what is wrong answers an error. Functions and numbers of figures are added at the end of
 *            their lists and never change their meaning.
 */
#ifndef IBRIK_VDSO_EXPORTS_H
#define IBRIK_VDSO_EXPORTS_H

#include <stdint.h>

#define IBRIK_EXPORTS_OBJECT "linux-vdso.so.1"

/*
 * Monotonic time in nanoseconds since the machine started, at least 0: CLOCK_MONOTONIC, from the same numbers. Never goes back, on any CPU.
 * Does not sleep, cannot fail.
 */
int64_t ibrik_nano_time(void);

/*
 * The number of the CPU that the caller ran on, from 0. It may be another one when the call has returned.
 * Does not sleep, cannot fail.
 */
int32_t ibrik_cpu(void);

/*
 * The value of a figure (the list below), at least 0. Figures that the kernel counts for each CPU are summed without
 * stopping anybody: exact at rest. Does not sleep.
 * Errors: -EINVAL: there is no figure of this number.
 */
int64_t ibrik_figure(int32_t which);

/*
 * The name of a figure, a constant string of at most IBRIK_FIGURE_NAME_MAX bytes without its end. Numbers count from 0
 * without gaps, so the first NULL is the end of the list. Does not sleep.
 * Errors: NULL: there is no figure of this number.
 */
const char *ibrik_figure_name(int32_t which);

/*
 * Gives the memory of the whole pages inside [address, address + bytes) back to the kernel. It reads as zero from then on, and
 * memory is there again when it is written. No byte of a page that lies only partly in the range changes. The
 * answer is the number of bytes that were given back: pages that held memory. It is 0 for a range without a whole page.
 * The range has to be private writable memory that belongs to no file; that is what malloc() gives. May sleep.
 * Errors, and then nothing has changed:
 *   -EINVAL  the range wraps around, or part of it is a file, shared memory or pages of MAP_HUGETLB
 *   -ENOMEM  part of it is not mapped, or does not belong to the application; or there is no memory to split a large page
 *   -EACCES  part of it is not writable
 */
int64_t ibrik_release(uint64_t address, uint64_t bytes);

/*
 * F(NUMBER, "name", "what it is"). Names begin with the group: memory. and pressure. are of now (bytes unless they say else),
 * counter. counts from the start of the machine.
 */
#define IBRIK_FIGURES(F) \
	F(MEMORY_TOTAL, "memory.total", "bytes that the kernel manages") \
	F(MEMORY_FREE, "memory.free", "bytes that nobody uses") \
	F(MEMORY_AVAILABLE, "memory.available", "free, and pages of files that can be read again, without the kernel's reserve") \
	F(MEMORY_FILES, "memory.files", "the page cache: bytes of files on disk that are in memory") \
	F(MEMORY_FILES_MAPPED, "memory.files_mapped", "those of them that are mapped into a program") \
	F(MEMORY_TMPFS, "memory.tmpfs", "files that exist in memory only: /tmp, memfd, shared memory") \
	F(MEMORY_ANONYMOUS, "memory.anonymous", "heaps and stacks: bytes that were touched") \
	F(MEMORY_ANONYMOUS_HUGE, "memory.anonymous_huge", "those of them that lie in pages of 2 MiB") \
	F(MEMORY_SLAB, "memory.slab", "small objects of the kernel") \
	F(MEMORY_PAGE_TABLES, "memory.page_tables", "page tables") \
	F(MEMORY_KERNEL_STACKS, "memory.kernel_stacks", "kernel stacks of threads") \
	F(MEMORY_COMMITTED, "memory.committed", "bytes that were promised to the application, touched or not") \
	F(MEMORY_COMMIT_LIMIT, "memory.commit_limit", "how much can be promised at most") \
	F(MEMORY_RESERVE, "memory.reserve", "free bytes that only the kernel may use") \
	F(PRESSURE_LOW, "pressure.low", "when less than this is free, pages of files are given up") \
	F(PRESSURE_HIGH, "pressure.high", "until so much is free again") \
	F(PRESSURE_RECLAIMED, "pressure.reclaimed", "bytes of files that were given up since the start") \
	F(PRESSURE_REFUSED, "pressure.refused", "the largest promise that was refused since the start; 0: none was") \
	F(PRESSURE_FAILURES, "pressure.failures", "allocations of the kernel that failed since the start (a number)") \
	F(COUNTER_FAULTS, "counter.faults", "page faults that gave a page from memory") \
	F(COUNTER_FAULTS_DISK, "counter.faults_disk", "page faults that waited for a disk") \
	F(COUNTER_FAULTS_HUGE, "counter.faults_huge", "page faults that gave 2 MiB at once") \
	F(COUNTER_SWITCHES, "counter.switches", "switches from one thread to another") \
	F(COUNTER_INTERRUPTS, "counter.interrupts", "interrupts of devices, timers and other CPUs") \
	F(COUNTER_IPIS, "counter.ipis", "interrupts that CPUs got from each other") \
	F(COUNTER_IDLE_NS, "counter.idle_ns", "nanoseconds that CPUs were idle, over all CPUs; a pause counts when it ends")

#define IBRIK_FIGURE_NAME_MAX 23

#define IBRIK_FIGURE_NUMBER(number, name, what) IBRIK_##number,
enum ibrik_figure { IBRIK_FIGURES(IBRIK_FIGURE_NUMBER) IBRIK_FIGURE_COUNT };
#undef IBRIK_FIGURE_NUMBER

#endif
