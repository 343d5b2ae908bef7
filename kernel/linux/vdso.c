/*
 * kernel/linux/vdso.c - maps the vDSO into programs.
 *
 * Theory:    A file without a name holds what programs see: the page of data (kernel/vdso/data.h), then the
 *            ELF object. The kernel keeps the data page and writes the time's numbers there through the
 *            direct map; programs map it shared from a file that is open for reading only, so that mprotect cannot make it
 *            writable. The code is mapped privately: a debugger's breakpoint stays in one process.
 * Interface: vdso.h. /proc/self/maps names the two areas [vvar] and [vdso] (mm/query.c).
 * Locking:   written once before programs run.
 * Errors:    without memory at boot there is one line in the log and no vDSO: the C library makes system calls.
 */
#include "linux/vdso.h"
#include "core/clock.h"
#include "core/log.h"
#include "fs/vfs.h"
#include "linux/exports.h"
#include "mm/mm.h"
#include "mm/pagecache.h"
#include "vdso/data.h"
#include <linux/fcntl.h>
#include <linux/mman.h>

extern const char vdso_image[], vdso_image_end[];

_Static_assert(sizeof(struct vdso_page) <= PAGE_SIZE, "one page");

static struct file *vdso_file; /* NULL: there is none */

static uint64_t code_bytes(void) { return ALIGN_UP((uint64_t)(vdso_image_end - vdso_image), PAGE_SIZE); }

void vdso_init(void)
{
	struct file *f = memfd_new("vdso", 0);
	struct pagecache *cache;
	struct vdso_page *shared;
	struct page *page;

	if (IS_ERR(f))
		goto none;
	cache = f->ops->map(f);
	if (pagecache_truncate(cache, PAGE_SIZE + code_bytes()))
		goto put;
	if (pagecache_write_kernel(cache, PAGE_SIZE, vdso_image, (size_t)(vdso_image_end - vdso_image)) !=
	    vdso_image_end - vdso_image)
		goto put;
	page = pagecache_get(cache, 0, PAGECACHE_CREATE);
	if (IS_ERR(page))
		goto put;
	/* The reference stays: the kernel uses the page from now on. */
	shared = page_to_virt(page);
	clock_share(&shared->clock);
	exports_fill(shared);
	atomic_store(&f->flags, O_RDONLY | O_LARGEFILE);
	vdso_file = f;
	return;
put:
	file_put(f);
none:
	log_warn("no memory for the vDSO: programs read the time by system calls");
}

int vdso_map(struct mm *mm)
{
	long at;

	if (!vdso_file)
		return 0;
	/* Both at once, so that they are neighbours; the data's part is then mapped over. */
	at = mm_mmap(mm, 0, PAGE_SIZE + code_bytes(), PROT_READ | PROT_EXEC, MAP_PRIVATE, vdso_file, 0);
	if (at < 0)
		return (int)at;
	mm->vdso = (uaddr_t)at + PAGE_SIZE;
	at = mm_mmap(mm, (uaddr_t)at, PAGE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, vdso_file, 0);
	return at < 0 ? (int)at : 0;
}
