/*
 * kernel/linux/exec.c - loads a program into the current process: execve's second half.
 *
 * The program's segments are mapped from the page cache (private, so that only written pages are copied),
 * its interpreter likewise, and a stack is made with arguments, environment and auxiliary vector in the
 * order of the ABI. Position-independent programs go where Linux puts them (0x555555554000 plus a random
 * part), so that the low 36 GiB stay free for compressed oops.
 *
 * exec_load() runs in a thread whose process has an empty mm. On an error the process is unusable and
 * ends. Source: System V ABI AMD64 supplement, 3.4.1 (initial stack).
 */
#include "core/boot.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/random.h"
#include "core/uaccess.h"
#include "cpu.h"
#include "fpu.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "linux/elf_image.h"
#include "linux/process.h"
#include "linux/signal.h"
#include "linux/task.h"
#include "linux/vdso.h"
#include "mm/mm.h"
#include <linux/mman.h>
#include <linux/auxvec.h>
#include <linux/fcntl.h>

#define STACK_BYTES MIB(8)
#define STACK_RANDOM_BYTES GIB(16)
#define PIE_BASE 0x555555554000ull
#define MAX_ARG_BYTES MIB(2)

struct image {
	struct elf_plan plan;
	uaddr_t base; /* added to the plan's addresses */
	char interp[256];
};

static int map_image(struct mm *mm, struct file *f, struct image *im, uaddr_t hint)
{
	struct elf_plan *p = &im->plan;
	uint64_t span = p->high - p->low;
	long at;

	if (p->pie) {
		uint64_t slack = p->align > PAGE_SIZE ? p->align : 0;
		at = mm_mmap(mm, hint, span + slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, NULL, 0);
		if (at < 0)
			return (int)at;
		uaddr_t start = ALIGN_UP((uaddr_t)at, p->align);
		if (slack)
			mm_munmap(mm, (uaddr_t)at, span + slack);
		im->base = start - p->low;
	}
	for (unsigned i = 0; i < p->nsegments; i++) {
		const struct elf_segment *s = &p->segments[i];
		uaddr_t start = ALIGN_DOWN(im->base + s->vaddr, PAGE_SIZE);
		uaddr_t file_end = im->base + s->vaddr + s->filesz;
		uaddr_t end = ALIGN_UP(im->base + s->vaddr + s->memsz, PAGE_SIZE);
		uaddr_t mapped_end = s->filesz ? ALIGN_UP(file_end, PAGE_SIZE) : start;

		if (s->filesz) {
			at = mm_mmap(mm, start, mapped_end - start, s->prot, MAP_PRIVATE | MAP_FIXED, f,
				     ALIGN_DOWN(s->offset, PAGE_SIZE));
			if (at < 0)
				return (int)at;
		}
		if (end > mapped_end) {
			at = mm_mmap(mm, mapped_end, end - mapped_end, s->prot,
				     MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, NULL, 0);
			if (at < 0)
				return (int)at;
		}
		/* The rest of the last file page belongs to the zero-initialised data. */
		if (s->memsz > s->filesz && s->filesz && (s->prot & PROT_WRITE) &&
		    clear_user(file_end, mapped_end - file_end))
			return -EFAULT;
		/* Between segments nothing is mapped: the reservation of a PIE has holes. */
		if (p->pie && i + 1 < p->nsegments) {
			uaddr_t next = ALIGN_DOWN(im->base + p->segments[i + 1].vaddr, PAGE_SIZE);
			if (next > MAX(end, mapped_end))
				mm_munmap(mm, MAX(end, mapped_end), next - MAX(end, mapped_end));
		}
	}
	return 0;
}

static int read_image(struct file *f, struct image *im)
{
	struct kstat st;
	uint8_t *head = kmalloc(ELF_HEAD_BYTES);
	int r;

	if (!head)
		return -ENOMEM;
	r = file_stat(f, &st);
	if (r)
		goto out;
	if ((st.mode & 0170000) != 0100000 || !(st.mode & 0111)) {
		r = -EACCES;
		goto out;
	}
	ssize_t n = file_read_kernel(f, head, ELF_HEAD_BYTES, 0);
	if (n < 0) {
		r = (int)n;
		goto out;
	}
	r = elf_parse(head, (size_t)n, st.size, &im->plan);
	if (r || !im->plan.interp_bytes)
		goto out;
	if (im->plan.interp_bytes > sizeof(im->interp)) {
		r = -ENOEXEC;
		goto out;
	}
	n = file_read_kernel(f, im->interp, im->plan.interp_bytes, im->plan.interp_offset);
	if (n != (ssize_t)im->plan.interp_bytes || im->interp[n - 1] != 0)
		r = n < 0 ? (int)n : -ENOEXEC;
out:
	kfree(head);
	return r;
}

static size_t strings_bytes(char *const v[], unsigned *count)
{
	size_t n = 0;
	for (*count = 0; v[*count]; (*count)++)
		n += strlen(v[*count]) + 1;
	return n;
}

static int push_strings(uaddr_t *at, char *const v[], uint64_t *pointers)
{
	for (unsigned i = 0; v[i]; i++) {
		size_t n = strlen(v[i]) + 1;
		if (copy_to_user(*at, v[i], n))
			return -EFAULT;
		pointers[i] = *at;
		*at += n;
	}
	return 0;
}

static int make_stack(struct mm *mm, const char *path, char *const argv[], char *const envp[], const struct image *im,
		      uaddr_t interp_base, uaddr_t *sp)
{
	unsigned argc, envc;
	size_t bytes = strings_bytes(argv, &argc) + strings_bytes(envp, &envc) + strlen(path) + 1;
	uint8_t seed[16];
	uint32_t a, b, c, d;

	if (bytes > MAX_ARG_BYTES)
		return -E2BIG;
	uaddr_t top = UADDR_END - PAGE_SIZE - ALIGN_DOWN(random_u64() % STACK_RANDOM_BYTES, PAGE_SIZE);
	long at = mm_mmap(mm, top - STACK_BYTES, STACK_BYTES, PROT_READ | PROT_WRITE | (im->plan.exec_stack ? PROT_EXEC : 0),
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_GROWSDOWN | MAP_NORESERVE | MAP_FIXED_NOREPLACE, NULL, 0);
	if (at < 0)
		return (int)at;
	mm->stack_top = top;

	uint64_t *words = kmalloc((argc + envc + 3) * 8 + sizeof(mm->auxv));
	if (!words)
		return -ENOMEM;
	/* From the top: path, strings, platform, random bytes; then the words. */
	uaddr_t strings = ALIGN_DOWN(top - 8 - bytes, 16);
	uaddr_t p = strings, exec_name;
	size_t n = 0;
	int r = -EFAULT;
	words[n++] = argc;
	mm->arg_start = p;
	if (push_strings(&p, argv, words + n))
		goto out;
	n += argc;
	words[n++] = 0;
	mm->arg_end = mm->env_start = p;
	if (push_strings(&p, envp, words + n))
		goto out;
	n += envc;
	words[n++] = 0;
	mm->env_end = p;
	exec_name = p;
	if (copy_to_user(p, path, strlen(path) + 1))
		goto out;
	uaddr_t platform = ALIGN_DOWN(strings - 16, 16);
	if (copy_to_user(platform, "x86_64", 7))
		goto out;
	uaddr_t entropy = platform - 16;
	random_bytes(seed, sizeof(seed));
	if (copy_to_user(entropy, seed, sizeof(seed)))
		goto out;

	cpuid(1, 0, &a, &b, &c, &d);
	const uint64_t aux[] = {
		AT_HWCAP, d,
		AT_PAGESZ, PAGE_SIZE,
		AT_CLKTCK, 100,
		AT_PHDR, im->plan.phdr_vaddr ? im->base + im->plan.phdr_vaddr : 0,
		AT_PHENT, 56,
		AT_PHNUM, im->plan.phnum,
		AT_BASE, interp_base,
		AT_FLAGS, 0,
		AT_ENTRY, im->base + im->plan.entry,
		AT_UID, 0,
		AT_EUID, 0,
		AT_GID, 0,
		AT_EGID, 0,
		AT_SECURE, 0,
		AT_RANDOM, entropy,
		AT_HWCAP2, 0, /* FSGSBASE is not for the application: GS is the kernel's */
		AT_EXECFN, exec_name,
		AT_PLATFORM, platform,
		AT_MINSIGSTKSZ, sigframe_min_stack(),
		mm->vdso ? AT_SYSINFO_EHDR : AT_IGNORE, mm->vdso,
		AT_NULL, 0,
	};
	_Static_assert(sizeof(aux) <= sizeof(mm->auxv), "auxv fits");
	memcpy(words + n, aux, sizeof(aux));
	memcpy(mm->auxv, aux, sizeof(aux));
	mm->auxv_words = ARRAY_SIZE(aux);
	n += ARRAY_SIZE(aux);
	*sp = ALIGN_DOWN(entropy - n * 8, 16);
	r = copy_to_user(*sp, words, n * 8);
out:
	kfree(words);
	return r;
}

int exec_load(const char *path, char *const argv[], char *const envp[], struct regs *r)
{
	struct process *proc = current->process;
	struct mm *mm = proc->mm;
	struct image *im = kzalloc(sizeof(*im)), *interp = kzalloc(sizeof(*interp));
	struct file *f = NULL, *fi = NULL;
	uaddr_t entry, sp = 0;
	int err = -ENOMEM;

	if (!im || !interp)
		goto out;
	f = vfs_open(path, O_RDONLY, 0);
	if (IS_ERR(f)) {
		err = (int)PTR_ERR(f);
		f = NULL;
		goto out;
	}
	err = read_image(f, im);
	if (err)
		goto out;
	err = map_image(mm, f, im, PIE_BASE + ALIGN_DOWN(random_u64() % (1ull << 40), PAGE_SIZE));
	if (err)
		goto out;
	entry = im->base + im->plan.entry;
	if (im->interp[0]) {
		fi = vfs_open(im->interp, O_RDONLY, 0);
		if (IS_ERR(fi)) {
			err = (int)PTR_ERR(fi);
			fi = NULL;
			log_err("%s: its interpreter %s cannot be opened", path, im->interp);
			goto out;
		}
		err = read_image(fi, interp);
		if (!err && !interp->plan.pie)
			err = -ENOEXEC;
		if (!err)
			err = map_image(mm, fi, interp, 0);
		if (err)
			goto out;
		entry = interp->base + interp->plan.entry;
	}
	err = vdso_map(mm);
	if (err)
		goto out;
	mm->brk_start = mm->brk_end = ALIGN_UP(im->base + im->plan.high, PAGE_SIZE) +
				      ALIGN_DOWN(random_u64() % MIB(32), PAGE_SIZE);
	err = make_stack(mm, path, argv, envp, im, interp->base, &sp);
	if (err)
		goto out;

	mm->exe_path = kmalloc(4096);
	if (mm->exe_path) {
		ssize_t n = file_path(f, mm->exe_path, 4096);
		if (n < 0)
			mm->exe_path[0] = 0;
	}
	mm->exe_file = f;
	f = NULL;
	const char *base = strrchr(path, '/');
	strlcpy(proc->comm, base ? base + 1 : path, sizeof(proc->comm));
	strlcpy(current->name, proc->comm, sizeof(current->name));

	memset(r, 0, sizeof(*r));
	r->rip = entry;
	r->rsp = sp;
	r->rflags = RFLAGS_IF | 2;
	r->cs = SEL_CODE;
	r->ss = SEL_DATA;
	r->orig_rax = (uint64_t)-1;
	current->fs_base = 0;
	current->rseq = 0;
	preempt_disable();
	wrmsr(MSR_FS_BASE, 0);
	preempt_enable();
	fpu_reset();
	current->start_ns = clock_monotonic_ns();
	boot_mark(path);
out:
	if (f)
		file_put(f);
	if (fi)
		file_put(fi);
	kfree(im);
	kfree(interp);
	return err;
}
