/*
 * tests/unit/io_shim.h - pipes, epoll, eventfd, timers and AF_UNIX on the host, with real threads.
 *
 * The files under test are the kernel's own, with its mutex and wait queue. io_shim.c gives them what lies
 * below: sleeping and waking on top of pthreads, pages and kmalloc on malloc, application memory that is
 * the program's (with one range that faults), descriptors in an array, signals that are counted.
 *
 * Interface: a test calls the handlers (sys_pipe2 ...) with addresses made by U(); threads that sleep in
 * them are made by io_thread(). io_interrupt() makes the interruptible sleep of a thread end as a signal does.
 */
#ifndef TESTS_UNIT_IO_SHIM_H
#define TESTS_UNIT_IO_SHIM_H

#include "lib/types.h"
#include "core/thread.h"
#include "core/clock.h"
#include "core/uaccess.h"
#include "fs/vfs.h"
#include "linux/syscall.h"

#define U(p) ((uaddr_t)(uintptr_t)(p))

struct process *io_process(void);
void io_init(void);
/* Starts fn(arg) as a kernel-visible thread; io_join() waits for its end. */
struct io_thread;
struct io_thread *io_thread(void (*fn)(void *arg), void *arg);
void io_join(struct io_thread *t);
void io_interrupt(struct io_thread *t, bool on);
/* True while the thread sleeps in the kernel. */
void io_sleep_ms(unsigned ms);
bool io_asleep(struct io_thread *t);
void io_wait_asleep(struct io_thread *t);

ssize_t io_read(int fd, void *buf, size_t len);
ssize_t io_write(int fd, const void *buf, size_t len);
int io_close(int fd);
/* O_* flags of an open file. */
void io_flags(int fd, unsigned flags);

extern _Atomic int io_sigpipes;
extern _Atomic long io_pages, io_blocks;   /* allocated now */
extern _Atomic int io_fail_after;          /* allocations until one fails; negative: never */
extern uaddr_t io_bad_start, io_bad_end;   /* faults */

#define CHECK(cond)                                                                              \
	do {                                                                                     \
		if (!(cond)) {                                                                   \
			printf("not ok %s: %s:%d: %s\n", io_case, __FILE__, __LINE__, #cond);    \
			fflush(stdout);                                                          \
			abort();                                                                 \
		}                                                                                \
	} while (0)
#define CHECK_EQ(got, want)                                                                      \
	do {                                                                                     \
		long long got_ = (long long)(got), want_ = (long long)(want);                    \
		if (got_ != want_) {                                                             \
			printf("not ok %s: %s:%d: %s is %lld, not %lld\n", io_case, __FILE__,    \
			       __LINE__, #got, got_, want_);                                     \
			fflush(stdout);                                                          \
			abort();                                                                 \
		}                                                                                \
	} while (0)
extern const char *io_case;
#define RUN(fn)                                                                                  \
	do {                                                                                     \
		io_case = #fn;                                                                   \
		fn();                                                                            \
		printf("ok %s\n", io_case);                                                      \
	} while (0)

#endif
