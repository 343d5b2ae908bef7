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
#include "linux/syscall.h"
#include "net/counters.h"
#include <asm/errno.h>
#include <asm/signal.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/sched.h>
#include <linux/time.h>

enum format { F_END, F_INT, F_LONG, F_HEX, F_OCT, F_FD, F_DIRFD, F_PTR, F_STR, F_BUF, F_SIZE, F_OFLAGS, F_PROT,
	      F_MAPFLAGS, F_SIG, F_CLONE, F_FUTEX, F_FCNTL, F_CLOCK, F_MADV, F_TIMESPEC, F_ACCESS, F_ATFLAGS };

#define PATH_SHOWN 128ul
#define DATA_SHOWN 32ul
#define RESULT_ROOM 35 /* of a line, for the longest name of an error */

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
	char v[64], *word, *next;
	uint64_t pid;

	if (!option_get("trace", v, sizeof(v)))
		return;
	for (word = v; word; word = next) {
		next = strchr(word, ',');
		if (next)
			*next++ = 0;
		if (str_starts(word, "syscalls:") && parse_u64(word + 9, NULL, &pid) == 0) {
			trace_pid = (int)pid;
			trace_syscalls = true;
		} else if (!strcmp(word, "syscalls")) {
			trace_syscalls = true;
		} else if (!strcmp(word, "net")) {
			net_trace_start();
		} else {
			log_warn("option trace=%s: syscalls[:PID] and net are known", word);
		}
	}
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

/* A table of names: bits for flags(), whole values for named(). */
#define NAME(value) { value, #value }
#define END { 0, NULL }

static const struct flag oflags[] = { NAME(O_WRONLY), NAME(O_RDWR), NAME(O_CREAT), NAME(O_EXCL), NAME(O_NOCTTY), NAME(O_TRUNC),
	NAME(O_APPEND), NAME(O_NONBLOCK), NAME(O_SYNC), NAME(O_DSYNC), NAME(O_DIRECT), NAME(O_TMPFILE), NAME(O_DIRECTORY),
	NAME(O_NOFOLLOW), NAME(O_NOATIME), NAME(O_CLOEXEC), NAME(O_PATH), END };
static const struct flag prots[] = { NAME(PROT_READ), NAME(PROT_WRITE), NAME(PROT_EXEC), END };
static const struct flag mapflags[] = { NAME(MAP_SHARED), NAME(MAP_PRIVATE), NAME(MAP_FIXED), NAME(MAP_ANONYMOUS),
	NAME(MAP_GROWSDOWN), NAME(MAP_DENYWRITE), NAME(MAP_NORESERVE), NAME(MAP_POPULATE), NAME(MAP_STACK), NAME(MAP_HUGETLB),
	NAME(MAP_FIXED_NOREPLACE), END };
static const struct flag cloneflags[] = { NAME(CLONE_VM), NAME(CLONE_FS), NAME(CLONE_FILES), NAME(CLONE_SIGHAND),
	NAME(CLONE_VFORK), NAME(CLONE_THREAD), NAME(CLONE_SYSVSEM), NAME(CLONE_SETTLS), NAME(CLONE_PARENT_SETTID),
	NAME(CLONE_CHILD_CLEARTID), END };
static const struct flag atflags[] = { NAME(AT_SYMLINK_NOFOLLOW), NAME(AT_REMOVEDIR), NAME(AT_SYMLINK_FOLLOW), NAME(AT_NO_AUTOMOUNT),
	NAME(AT_EMPTY_PATH), NAME(AT_STATX_FORCE_SYNC), NAME(AT_STATX_DONT_SYNC), END };
static const struct flag modes[] = { { 4, "R_OK" }, { 2, "W_OK" }, { 1, "X_OK" }, END };
static const struct flag clocks[] = { NAME(CLOCK_REALTIME), NAME(CLOCK_MONOTONIC), NAME(CLOCK_PROCESS_CPUTIME_ID),
	NAME(CLOCK_THREAD_CPUTIME_ID), NAME(CLOCK_MONOTONIC_RAW), NAME(CLOCK_REALTIME_COARSE), NAME(CLOCK_MONOTONIC_COARSE),
	NAME(CLOCK_BOOTTIME), END };
static const struct flag signals[] = { NAME(SIGHUP), NAME(SIGINT), NAME(SIGQUIT), NAME(SIGILL), NAME(SIGTRAP), NAME(SIGABRT),
	NAME(SIGBUS), NAME(SIGFPE), NAME(SIGKILL), NAME(SIGUSR1), NAME(SIGSEGV), NAME(SIGUSR2), NAME(SIGPIPE), NAME(SIGALRM),
	NAME(SIGTERM), NAME(SIGSTKFLT), NAME(SIGCHLD), NAME(SIGCONT), NAME(SIGSTOP), NAME(SIGTSTP), NAME(SIGTTIN), NAME(SIGTTOU),
	NAME(SIGURG), NAME(SIGXCPU), NAME(SIGXFSZ), NAME(SIGVTALRM), NAME(SIGPROF), NAME(SIGWINCH), NAME(SIGIO), NAME(SIGPWR),
	NAME(SIGSYS), END };
static const struct flag fcntls[] = { NAME(F_DUPFD), NAME(F_GETFD), NAME(F_SETFD), NAME(F_GETFL), NAME(F_SETFL), NAME(F_GETLK),
	NAME(F_SETLK), NAME(F_SETLKW), NAME(F_SETOWN), NAME(F_GETOWN), NAME(F_OFD_GETLK), NAME(F_OFD_SETLK), NAME(F_OFD_SETLKW),
	NAME(F_DUPFD_CLOEXEC), NAME(F_SETPIPE_SZ), NAME(F_GETPIPE_SZ), NAME(F_ADD_SEALS), NAME(F_GET_SEALS), END };
static const struct flag advices[] = { NAME(MADV_NORMAL), NAME(MADV_RANDOM), NAME(MADV_SEQUENTIAL), NAME(MADV_WILLNEED),
	NAME(MADV_DONTNEED), NAME(MADV_FREE), NAME(MADV_REMOVE), NAME(MADV_DONTFORK), NAME(MADV_DOFORK), NAME(MADV_MERGEABLE),
	NAME(MADV_UNMERGEABLE), NAME(MADV_HUGEPAGE), NAME(MADV_NOHUGEPAGE), NAME(MADV_DONTDUMP), NAME(MADV_DODUMP),
	NAME(MADV_COLD), NAME(MADV_PAGEOUT), NAME(MADV_POPULATE_READ), NAME(MADV_POPULATE_WRITE), END };
/* What our calls answer, and the codes that a call leaves for resolve_restart(). */
static const struct flag errors[] = { NAME(EPERM), NAME(ENOENT), NAME(ESRCH), NAME(EINTR), NAME(EIO), NAME(ENXIO), NAME(E2BIG),
	NAME(ENOEXEC), NAME(EBADF), NAME(ECHILD), NAME(EAGAIN), NAME(ENOMEM), NAME(EACCES), NAME(EFAULT), NAME(EBUSY), NAME(EEXIST),
	NAME(EXDEV), NAME(ENODEV), NAME(ENOTDIR), NAME(EISDIR), NAME(EINVAL), NAME(ENFILE), NAME(EMFILE), NAME(ENOTTY),
	NAME(ETXTBSY), NAME(EFBIG), NAME(ENOSPC), NAME(ESPIPE), NAME(EROFS), NAME(EMLINK), NAME(EPIPE), NAME(ERANGE), NAME(EDEADLK),
	NAME(ENAMETOOLONG), NAME(ENOSYS), NAME(ENOTEMPTY), NAME(ELOOP), NAME(ENODATA), NAME(EOVERFLOW), NAME(ENOTSOCK),
	NAME(EDESTADDRREQ), NAME(EMSGSIZE), NAME(EPROTOTYPE), NAME(ENOPROTOOPT), NAME(EPROTONOSUPPORT), NAME(EOPNOTSUPP),
	NAME(EAFNOSUPPORT), NAME(EADDRINUSE), NAME(EADDRNOTAVAIL), NAME(ECONNRESET), NAME(ENOBUFS), NAME(EISCONN), NAME(ENOTCONN),
	NAME(ETIMEDOUT), NAME(ECONNREFUSED), NAME(EALREADY), NAME(EINPROGRESS), NAME(ECANCELED), NAME(EOWNERDEAD),
	NAME(ERESTARTSYS), NAME(ERESTARTNOINTR), NAME(ERESTARTNOHAND), NAME(ERESTART_RESTARTBLOCK), END };
static const char *const futex_ops[] = { "WAIT", "WAKE", "FD", "REQUEUE", "CMP_REQUEUE", "WAKE_OP", "LOCK_PI",
	"UNLOCK_PI", "TRYLOCK_PI", "WAIT_BITSET", "WAKE_BITSET" };

static void named(char *b, size_t size, size_t *n, int v, const struct flag *f)
{
	while (f->name && (int)f->bit != v)
		f++;
	if (f->name)
		sappendf(b, size, n, "%s", f->name);
	else
		sappendf(b, size, n, "%d", v);
}

static void quote(char *b, size_t size, size_t *n, uaddr_t p, size_t len, bool string)
{
	char text[PATH_SHOWN + 1];
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
		quote(b, size, n, v, PATH_SHOWN, true);
		break;
	case F_BUF:
		quote(b, size, n, v, result > 0 ? MIN(MIN((uint64_t)result, next), DATA_SHOWN) : 0, false);
		break;
	case F_OFLAGS:
		v = (uint32_t)v;
		if (!(v & O_ACCMODE))
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
		named(b, size, n, (int)v, clocks);
		break;
	case F_SIG:
		named(b, size, n, (int)v, signals);
		break;
	case F_FCNTL:
		named(b, size, n, (int)v, fcntls);
		break;
	case F_MADV:
		named(b, size, n, (int)v, advices);
		break;
	case F_ACCESS:
		flags(b, size, n, (uint32_t)v, modes, "F_OK");
		break;
	case F_ATFLAGS:
		flags(b, size, n, (uint32_t)v, atflags, "0");
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
	const struct call *c = &calls[(uint32_t)r->orig_rax];
	uint64_t args[6] = { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 };
	struct thread *t = current;
	uint64_t t0 = clock_monotonic_ns();
	char line[220];
	const size_t args_end = sizeof(line) - RESULT_ROOM; /* long arguments are cut, the result is not */
	size_t n = 0;
	bool wanted = !trace_pid || trace_pid == t->process->pid;

	/* These do not come back here. */
	if (wanted && (c == &calls[60] || c == &calls[231]))
		log_warn("[%d %s] %s(%d)", t->tid, t->name, c->name, (int)args[0]);
	long result = fn((long)args[0], (long)args[1], (long)args[2], (long)args[3], (long)args[4], (long)args[5]);
	uint64_t us = (clock_monotonic_ns() - t0) / 1000;
	if (!wanted)
		return result;
	sappendf(line, sizeof(line), &n, "[%d %s] %s(", t->tid, t->name, c->name);
	for (unsigned i = 0; i < c->nargs; i++) {
		if (i)
			sappendf(line, args_end, &n, ", ");
		print_arg(line, args_end, &n, c->args[i].format, args[i], i < 5 ? args[i + 1] : 0, result);
	}
	if (n == args_end - 1)
		sappendf(line, sizeof(line), &n, "...");
	if (result < 0 && result > -4096) {
		sappendf(line, sizeof(line), &n, ") = -1 ");
		named(line, sizeof(line), &n, (int)-result, errors);
	} else {
		sappendf(line, sizeof(line), &n, (uint64_t)result > 1u << 20 ? ") = %#lx" : ") = %ld", result);
	}
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
