/*
 * kernel/linux/memory.c - the system calls about memory: arguments here, work in mm/.
 */
#include "fs/vfs.h"
#include "linux/process.h"
#include "linux/syscall.h"
#include "mm/mm.h"
#include <linux/mempolicy.h>
#include <linux/mman.h>

static struct mm *this_mm(void) { return current->process->mm; }

long sys_mmap(uaddr_t addr, size_t len, int prot, int flags, int fd, long offset)
{
	struct file *f = NULL;
	long r;

	if (offset & (long)(PAGE_SIZE - 1))
		return -EINVAL;
	if (!(flags & MAP_ANONYMOUS)) {
		f = fd_get_io(fd);
		if (!f)
			return -EBADF;
	}
	r = mm_mmap(this_mm(), addr, len, prot, flags, f, (uint64_t)offset);
	if (f)
		file_put(f);
	return r;
}

long sys_munmap(uaddr_t addr, size_t len) { return mm_munmap(this_mm(), addr, len); }
long sys_mprotect(uaddr_t addr, size_t len, int prot) { return mm_mprotect(this_mm(), addr, len, prot); }
long sys_brk(uaddr_t addr) { return mm_brk(this_mm(), addr); }
long sys_madvise(uaddr_t addr, size_t len, int advice) { return mm_madvise(this_mm(), addr, len, advice); }
long sys_ibrik_release(uaddr_t addr, size_t len) { return mm_release(this_mm(), addr, len); }
long sys_msync(uaddr_t addr, size_t len, int flags) { return mm_msync(this_mm(), addr, len, flags); }
long sys_mincore(uaddr_t addr, size_t len, uaddr_t vec) { return mm_mincore(this_mm(), addr, len, vec); }

long sys_mremap(uaddr_t old, size_t old_len, size_t new_len, int flags, uaddr_t addr)
{
	return mm_mremap(this_mm(), old, old_len, new_len, flags, addr);
}

/* Nothing is ever written to a swap device; locking a range means that its pages are there. */
long sys_mlock2(uaddr_t addr, size_t len, int flags)
{
	uaddr_t start = ALIGN_DOWN(addr, PAGE_SIZE);
	long r;

	if (flags & ~1) /* MLOCK_ONFAULT */
		return -EINVAL;
	if (addr + len < addr)
		return -EINVAL;
	len = ALIGN_UP(addr + len, PAGE_SIZE) - start;
	if (flags & 1)
		return mm_madvise(this_mm(), start, len, MADV_NORMAL);
	r = mm_madvise(this_mm(), start, len, 23 /* MADV_POPULATE_WRITE */);
	if (r == -EINVAL)
		r = mm_madvise(this_mm(), start, len, 22 /* MADV_POPULATE_READ */);
	return r == -EINVAL || r == -EFAULT ? -ENOMEM : r;
}

long sys_mlock(uaddr_t addr, size_t len) { return sys_mlock2(addr, len, 0); }

long sys_munlock(uaddr_t addr, size_t len)
{
	uaddr_t start = ALIGN_DOWN(addr, PAGE_SIZE);

	if (addr + len < addr)
		return -EINVAL;
	return mm_madvise(this_mm(), start, ALIGN_UP(addr + len, PAGE_SIZE) - start, MADV_NORMAL);
}

long sys_mlockall(int flags) { return flags && !(flags & ~7) && flags != 4 ? 0 : -EINVAL; }
long sys_munlockall(void) { return 0; }

/* One node: every policy means node 0. */
static bool policy_ok(int mode)
{
	mode &= ~(MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES);
	return mode >= 0 && mode < MPOL_MAX;
}

long sys_mbind(uaddr_t addr, size_t len, int mode, uaddr_t mask, unsigned long max, unsigned flags)
{
	if ((addr & (PAGE_SIZE - 1)) || !policy_ok(mode) || (flags & ~7u))
		return -EINVAL;
	return mm_madvise(this_mm(), addr, len, MADV_NORMAL) == -ENOMEM ? -EFAULT : 0;
}

long sys_set_mempolicy(int mode, uaddr_t mask, unsigned long max) { return policy_ok(mode) ? 0 : -EINVAL; }

long sys_get_mempolicy(uaddr_t mode, uaddr_t mask, unsigned long max, uaddr_t addr, unsigned long flags)
{
	uint64_t nodes = flags & MPOL_F_MEMS_ALLOWED ? 1 : 0;
	int policy = MPOL_DEFAULT; /* with MPOL_F_NODE: the node, 0 as well */

	if (flags & ~(unsigned long)(MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED))
		return -EINVAL;
	if (mode && put_user(mode, policy))
		return -EFAULT;
	if (!mask)
		return 0;
	if (max < 2)
		return -EINVAL;
	uint64_t words = ALIGN_UP((uint64_t)max - 1, 64) / 64;
	if (words > 512)
		return -EINVAL;
	if (put_user(mask, nodes) || (words > 1 && clear_user(mask + 8, (words - 1) * 8)))
		return -EFAULT;
	return 0;
}
