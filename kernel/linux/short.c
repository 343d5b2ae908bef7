/*
 * kernel/linux/short.c - short calls: the usual case of calls that are over in a few instructions.
 *
 * Theory:    A call through the gate costs about as much as it takes to look at an open file. What needs no lock, no reference and no sleep is
 *            therefore answered here, without a frame, by functions that preserve all registers (SHORT_CALL, gate.h). Whatever is unusual, wrong or
 *            slow answers SHORT_NO, and the call is made as any other: the handlers in their rooms know everything, these know a subset.
 * Interface: gate.S calls short_*().
 * Locking:   none: no switch interrupts a short call, so each is an RCU section.
 * Errors:    left to the handlers.
 */
#include "core/sched.h"
#include "core/uaccess.h"
#include "cpu.h"
#include "fs/fdtable.h"
#include "gate.h"
#include "linux/plain.h"
#include "linux/process.h"
#include "mm/peek.h"

/* Frames of functions that call nothing tell an unwinder nothing. */
#pragma GCC optimize("omit-frame-pointer")

/* Bytes of a read that are moved one by one. */
#define READ_MAX 8

long short_lseek(unsigned fd, long offset, int whence);
long short_read(unsigned fd, uaddr_t buf, size_t count);
long short_pread64(unsigned fd, uaddr_t buf, size_t count, long pos);
long short_write(unsigned fd, uaddr_t buf, size_t count);
long short_fcntl(unsigned fd, unsigned command, unsigned long arg);
long short_sched_getaffinity(int pid, size_t len, uaddr_t mask);

static inline __attribute__((always_inline)) struct file *peek(unsigned fd)
{
	return fd_table_peek(current->process->fds, (int)fd);
}

/* Of what is shared with the handlers. */
static inline __attribute__((always_inline)) long answer(long r) { return r == -ENOSYS ? SHORT_NO : r; }

SHORT_CALL long short_lseek(unsigned fd, long offset, int whence)
{
	struct file *f = peek(fd);

	return f ? answer(plain_seek(f, offset, whence)) : SHORT_NO;
}

SHORT_CALL long short_fcntl(unsigned fd, unsigned command, unsigned long arg)
{
	struct file *f = peek(fd);

	return f && command == F_GETFL ? (long)atomic_load_explicit(&f->flags, memory_order_relaxed) : SHORT_NO;
}

/* A few bytes at pos of a file that is cached. */
static inline __attribute__((always_inline)) long read_cached(struct file *f, uaddr_t buf, size_t count, uint64_t pos)
{
	struct pagecache *c = atomic_load_explicit(&f->inode->data, memory_order_acquire);
	const char *from;
	uint64_t mark, bytes = 0;

	if (unlikely(!c || !uaddr_ok(buf, count) || plain_watched()))
		return SHORT_NO;
	from = pagecache_piece(c, pos, count, &mark);
	if (unlikely(!from))
		return SHORT_NO;
	for (size_t i = 0; i < count; i++)
		bytes |= (uint64_t)(uint8_t)from[i] << (8 * i);
	/* Before the application sees any of it: the long way may find less, and then the buffer must be what it was. */
	if (unlikely(!pagecache_piece_valid(c, pos + count, mark)))
		return SHORT_NO;
	for (size_t i = 0; i < count; i++)
		USER_STORE("b", "q", (char *)buf + i, (char)(bytes >> (8 * i)));
	return (long)count;
fault:
	return SHORT_NO;
}

/*
 * No lock is taken: if the position is still the same afterwards, nobody has read in between. Who holds the lock and finds that we
 * were faster reads again (position_move() in file.c). If somebody was faster than us, the long way reads from the new position; the bytes that
 * have been stored are the file's own, and it stores its own over them.
 */
static SHORT_CALL __attribute__((noinline)) long read_plain(unsigned fd, uaddr_t buf, size_t count)
{
	struct file *f = peek(fd);
	uint64_t pos;
	long r;

	if (unlikely(!f || !file_reads_short(f)))
		return SHORT_NO;
	pos = atomic_load_explicit(&f->pos, memory_order_relaxed);
	r = read_cached(f, buf, count, pos);
	return likely(r > 0 && file_pos_move(f, pos, pos + count)) ? r : SHORT_NO;
}

/* Most reads are of sockets and pipes: they learn soon that this is not for them. So the work, which needs many registers, is apart. */
SHORT_CALL long short_read(unsigned fd, uaddr_t buf, size_t count)
{
	struct file *f;

	if (count - 1 >= READ_MAX)
		return SHORT_NO;
	f = peek(fd);
	return f && f->ops->plain_position ? read_plain(fd, buf, count) : SHORT_NO;
}

SHORT_CALL long short_pread64(unsigned fd, uaddr_t buf, size_t count, long pos)
{
	struct file *f = peek(fd);

	if (unlikely(count - 1 >= READ_MAX || !f || !f->ops->plain_position || !plain_allowed(f, false)))
		return SHORT_NO;
	return read_cached(f, buf, count, (uint64_t)pos);
}

SHORT_CALL long short_write(unsigned fd, uaddr_t buf, size_t count)
{
	struct file *f = peek(fd);

	return f ? answer(plain_swallow(f, buf, count)) : SHORT_NO;
}

SHORT_CALL long short_sched_getaffinity(int pid, size_t len, uaddr_t mask)
{
	struct thread *t = current;
	unsigned n = cpu_count();
	uint64_t online = n >= 64 ? ~0ull : (1ull << n) - 1;

	if (unlikely((pid && pid != t->tid) || len < 8 || (len & 7) || !uaddr_ok(mask, 8)))
		return SHORT_NO;
	USER_STORE("q", "r", (uint64_t *)mask, atomic_load_explicit(&t->affinity, memory_order_relaxed) & online);
	return 8;
fault:
	return SHORT_NO;
}
