/*
 * kernel/linux/trace.c - prints system calls as strace does, from the one list of calls.
 *
 * A line is logged at level warning when the call returns (so that it shows without log=):
 *   [tid name] openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC, 0) = 3 <0.000041>
 * Calls that may sleep for long are announced by nothing: the panic report names the call of each thread.
 */
#include "linux/trace.h"
#include "core/boot.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/thread.h"
#include "core/uaccess.h"
#include "cpu.h"
#include "lib/string.h"
#include "linux/process.h"

enum format { F_END, F_INT, F_LONG, F_HEX, F_OCT, F_FD, F_DIRFD, F_PTR, F_STR, F_BUF, F_SIZE, F_OFLAGS, F_PROT,
	      F_MAPFLAGS, F_SIG, F_CLONE, F_FUTEX, F_FCNTL, F_CLOCK, F_MADV, F_TIMESPEC };

struct arg {
	const char *name;
	uint8_t format;
};
struct call {
	const char *name;
	uint8_t nargs;
	struct arg args[6];
};

#define A1(t, n, f) { #n, F_##f }
#define A2(t, n, f, ...) { #n, F_##f }, A1(__VA_ARGS__)
#define A3(t, n, f, ...) { #n, F_##f }, A2(__VA_ARGS__)
#define A4(t, n, f, ...) { #n, F_##f }, A3(__VA_ARGS__)
#define A5(t, n, f, ...) { #n, F_##f }, A4(__VA_ARGS__)
#define A6(t, n, f, ...) { #n, F_##f }, A5(__VA_ARGS__)
#define A0(...) { NULL, F_END }
#define SYSCALL(nr, name, status, note, nargs, ...) [nr] = { #name, nargs, { A##nargs(__VA_ARGS__) } },
static const struct call calls[SYSCALL_LIMIT] = {
#include "linux/syscalls.def"
};
#undef SYSCALL

bool trace_syscalls;
static int trace_pid;

void trace_init(void)
{
	char v[64];
	uint64_t pid;

	if (!option_get("trace", v, sizeof(v)))
		return;
	if (!str_starts(v, "syscalls")) {
		log_warn("option trace=%s: only trace=syscalls[:PID] is known", v);
		return;
	}
	if (v[8] == ':' && parse_u64(v + 9, NULL, &pid) == 0)
		trace_pid = (int)pid;
	trace_syscalls = true;
}

const char *syscall_name(unsigned nr) { return nr < SYSCALL_LIMIT ? calls[nr].name : NULL; }

struct flag {
	uint64_t bit;
	const char *name;
};

static void flags(char *b, size_t size, size_t *n, uint64_t v, const struct flag *f, const char *zero)
{
	const char *sep = "";

	if (!v && zero) {
		sappendf(b, size, n, "%s", zero);
		return;
	}
	for (; f->name; f++) {
		if ((v & f->bit) == f->bit) {
			sappendf(b, size, n, "%s%s", sep, f->name);
			v &= ~f->bit;
			sep = "|";
		}
	}
	if (v || !*sep)
		sappendf(b, size, n, "%s%#lx", sep, v);
}

static const struct flag oflags[] = { { 01, "O_WRONLY" }, { 02, "O_RDWR" }, { 0100, "O_CREAT" }, { 0200, "O_EXCL" },
	{ 01000, "O_TRUNC" }, { 02000, "O_APPEND" }, { 04000, "O_NONBLOCK" }, { 0200000, "O_DIRECTORY" },
	{ 0400000, "O_NOFOLLOW" }, { 02000000, "O_CLOEXEC" }, { 010000000, "O_PATH" }, { 0, NULL } };
static const struct flag prots[] = { { 1, "PROT_READ" }, { 2, "PROT_WRITE" }, { 4, "PROT_EXEC" }, { 0, NULL } };
static const struct flag mapflags[] = { { 1, "MAP_SHARED" }, { 2, "MAP_PRIVATE" }, { 0x10, "MAP_FIXED" },
	{ 0x20, "MAP_ANONYMOUS" }, { 0x100, "MAP_GROWSDOWN" }, { 0x800, "MAP_DENYWRITE" }, { 0x4000, "MAP_NORESERVE" },
	{ 0x8000, "MAP_POPULATE" }, { 0x20000, "MAP_STACK" }, { 0x40000, "MAP_HUGETLB" },
	{ 0x100000, "MAP_FIXED_NOREPLACE" }, { 0, NULL } };
static const struct flag cloneflags[] = { { 0x100, "CLONE_VM" }, { 0x200, "CLONE_FS" }, { 0x400, "CLONE_FILES" },
	{ 0x800, "CLONE_SIGHAND" }, { 0x4000, "CLONE_VFORK" }, { 0x10000, "CLONE_THREAD" }, { 0x40000, "CLONE_SYSVSEM" },
	{ 0x80000, "CLONE_SETTLS" }, { 0x100000, "CLONE_PARENT_SETTID" }, { 0x200000, "CLONE_CHILD_CLEARTID" },
	{ 0, NULL } };
static const char *const futex_ops[] = { "WAIT", "WAKE", "FD", "REQUEUE", "CMP_REQUEUE", "WAKE_OP", "LOCK_PI",
	"UNLOCK_PI", "TRYLOCK_PI", "WAIT_BITSET", "WAKE_BITSET" };
static const char *const clocks[] = { "CLOCK_REALTIME", "CLOCK_MONOTONIC", "CLOCK_PROCESS_CPUTIME_ID",
	"CLOCK_THREAD_CPUTIME_ID", "CLOCK_MONOTONIC_RAW", "CLOCK_REALTIME_COARSE", "CLOCK_MONOTONIC_COARSE",
	"CLOCK_BOOTTIME" };

static void quote(char *b, size_t size, size_t *n, uaddr_t p, size_t len, bool string)
{
	char text[33];
	size_t want = MIN(len, sizeof(text) - 1);
	size_t got = want - copy_from_user_partial(text, p, want);

	if (!p || (got == 0 && len)) {
		sappendf(b, size, n, p ? "%#lx" : "NULL", p);
		return;
	}
	sappendf(b, size, n, "\"");
	size_t i = 0;
	for (; i < got; i++) {
		char c = text[i];
		if (string && !c)
			break;
		if (c == '\n')
			sappendf(b, size, n, "\\n");
		else if (c < 32 || c > 126)
			sappendf(b, size, n, "\\%o", (unsigned char)c);
		else
			sappendf(b, size, n, "%c", c);
	}
	sappendf(b, size, n, i == got && (string || got < len) ? "\"..." : "\"");
}

static void print_arg(char *b, size_t size, size_t *n, enum format f, uint64_t v, uint64_t next, long result)
{
	int64_t ts[2];

	switch (f) {
	case F_INT:
	case F_FD:
		sappendf(b, size, n, "%d", (int)v);
		break;
	case F_DIRFD:
		if ((int)v == -100)
			sappendf(b, size, n, "AT_FDCWD");
		else
			sappendf(b, size, n, "%d", (int)v);
		break;
	case F_LONG:
	case F_SIZE:
		sappendf(b, size, n, "%ld", v);
		break;
	case F_OCT:
		sappendf(b, size, n, "%#o", (unsigned)v);
		break;
	case F_STR:
		quote(b, size, n, v, 32, true);
		break;
	case F_BUF:
		quote(b, size, n, v, result > 0 ? MIN((uint64_t)result, next) : 0, false);
		break;
	case F_OFLAGS:
		if (!(v & 3))
			sappendf(b, size, n, v ? "O_RDONLY|" : "O_RDONLY");
		if (v)
			flags(b, size, n, v, oflags, NULL);
		break;
	case F_PROT:
		flags(b, size, n, v, prots, "PROT_NONE");
		break;
	case F_MAPFLAGS:
		flags(b, size, n, v, mapflags, "0");
		break;
	case F_CLONE:
		flags(b, size, n, v, cloneflags, "0");
		break;
	case F_FUTEX:
		if ((v & 127) < ARRAY_SIZE(futex_ops))
			sappendf(b, size, n, "FUTEX_%s%s%s", futex_ops[v & 127], v & 128 ? "_PRIVATE" : "",
				 v & 256 ? "|FUTEX_CLOCK_REALTIME" : "");
		else
			sappendf(b, size, n, "%#lx", v);
		break;
	case F_CLOCK:
		if (v < ARRAY_SIZE(clocks))
			sappendf(b, size, n, "%s", clocks[v]);
		else
			sappendf(b, size, n, "%d", (int)v);
		break;
	case F_TIMESPEC:
		if (v && get_user(ts, v) == 0)
			sappendf(b, size, n, "{%ld, %ld}", ts[0], ts[1]);
		else
			sappendf(b, size, n, v ? "%#lx" : "NULL", v);
		break;
	case F_PTR:
		sappendf(b, size, n, v ? "%#lx" : "NULL", v);
		break;
	default:
		sappendf(b, size, n, "%#lx", v);
	}
}

long trace_call(struct regs *r, syscall_fn *fn)
{
	const struct call *c = &calls[r->orig_rax];
	uint64_t args[6] = { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 };
	struct thread *t = current;
	uint64_t t0 = clock_monotonic_ns();
	char line[220];
	size_t n = 0;
	bool wanted = !trace_pid || trace_pid == t->process->pid;

	/* These do not come back here. */
	if (wanted && (r->orig_rax == 60 || r->orig_rax == 231))
		log_warn("[%d %s] %s(%d)", t->tid, t->name, c->name, (int)args[0]);
	long result = fn((long)args[0], (long)args[1], (long)args[2], (long)args[3], (long)args[4], (long)args[5]);
	uint64_t us = (clock_monotonic_ns() - t0) / 1000;
	if (!wanted)
		return result;
	sappendf(line, sizeof(line), &n, "[%d %s] %s(", t->tid, t->name, c->name);
	for (unsigned i = 0; i < c->nargs; i++) {
		if (i)
			sappendf(line, sizeof(line), &n, ", ");
		print_arg(line, sizeof(line), &n, c->args[i].format, args[i], i < 5 ? args[i + 1] : 0, result);
	}
	if (result < 0 && result > -4096)
		sappendf(line, sizeof(line), &n, ") = -1 errno %ld", -result);
	else
		sappendf(line, sizeof(line), &n, (uint64_t)result > 1u << 20 ? ") = %#lx" : ") = %ld", result);
	log_warn("%s <%lu.%06lu>", line, us / 1000000, us % 1000000);
	return result;
}

void trace_unknown(uint64_t nr)
{
	static _Atomic uint64_t seen[SYSCALL_LIMIT / 64];

	if (nr >= SYSCALL_LIMIT) {
		log_info("system call %lu does not exist", nr);
		return;
	}
	if (!(atomic_fetch_or(&seen[nr / 64], 1ull << nr % 64) & 1ull << nr % 64))
		log_info("system call %lu (%s) answers ENOSYS", nr, calls[nr].name ? calls[nr].name : "unlisted");
}
