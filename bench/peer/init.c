/*
 * bench/peer/init.c - process 1 of the Linux guest that ibrik is compared with.
 *
 * It does what an image of one Java application needs under Linux and no more:
 * load the modules of the initramfs, put the same squashfs layers under a tmpfs
 * overlay, run the program, power off. It has no C library, so that it costs the
 * guest neither memory nor time: its file is a few pages.
 *
 * Interface: the kernel passes what follows `--` on its command line:
 *
 *	layers=N        the first N virtio disks are squashfs layers; disk 0 is the
 *	                highest one
 *	thp=WORD        written to transparent_hugepage/enabled
 *	net=A.B.C.D     address of eth0, in a /24
 *	cwd=PATH        working directory of the program
 *	ports           the program's streams are virtio-serial ports (images/format.h):
 *	                ibrik.stdin, ibrik.stdout and ibrik.stderr; otherwise the console
 *	run PATH ARG... the program; the rest of the line is its command
 *
 * Marks go to /dev/console, a line each, so that the harness can time them:
 *
 *	init MICROSECONDS TSC   first thing, with CLOCK_BOOTTIME and the raw counter
 *	exec MICROSECONDS TSC   directly before the program is started
 *	exit STATUS             wait status of the program, 128 + n for a signal
 *	peer: TEXT              something failed; the guest powers off
 *
 * Errors: every step that the program depends on ends the guest with a line.
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/in.h>
#include <linux/reboot.h>
#include <linux/sockios.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>

#define PATH_BYTES 256
#define PORT_TRIES 2000
#define PORT_WAIT_NS 1000000
#define MAX_LAYERS 8

static long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#define sys(nr, a, b, c, d) sys6(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

/* gcc turns loops into calls of these two; there is no library to find them in. */
void *memset(void *to, int byte, size_t len)
{
	char *p = to;

	while (len--)
		*p++ = (char)byte;
	return to;
}

void *memcpy(void *to, const void *from, size_t len)
{
	char *d = to;
	const char *s = from;

	while (len--)
		*d++ = *s++;
	return to;
}

static size_t text_len(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

/* The rest of s after prefix, or NULL when s begins otherwise. */
static const char *text_after(const char *s, const char *prefix)
{
	while (*prefix)
		if (*s++ != *prefix++)
			return NULL;
	return s;
}

static int text_equal(const char *a, const char *b)
{
	const char *rest = text_after(a, b);

	return rest && !*rest;
}

/* Appends s to the string in buf; what does not fit is cut. */
static void text_add(char *buf, size_t size, const char *s)
{
	size_t n = text_len(buf);

	while (*s && n + 1 < size)
		buf[n++] = *s++;
	buf[n] = 0;
}

static void text_add_number(char *buf, size_t size, uint64_t number)
{
	char digits[24];
	size_t i = sizeof(digits) - 1;

	digits[i] = 0;
	do
		digits[--i] = (char)('0' + number % 10);
	while (number /= 10);
	text_add(buf, size, digits + i);
}

static long file_write(const char *path, const char *text)
{
	long fd = sys(SYS_open, path, O_WRONLY, 0, 0);
	long n;

	if (fd < 0)
		return fd;
	n = sys(SYS_write, fd, text, text_len(text), 0);
	sys(SYS_close, fd, 0, 0, 0);
	return n;
}

/* Reads a short file as a string without its last newline. */
static long file_read(const char *path, char *buf, size_t size)
{
	long fd = sys(SYS_open, path, O_RDONLY, 0, 0);
	long n;

	if (fd < 0)
		return fd;
	n = sys(SYS_read, fd, buf, size - 1, 0);
	sys(SYS_close, fd, 0, 0, 0);
	if (n < 0)
		return n;
	if (n && buf[n - 1] == '\n')
		n--;
	buf[n] = 0;
	return n;
}

static void line_write(const char *text)
{
	sys(SYS_write, 1, text, text_len(text), 0);
}

static _Noreturn void power_off(void)
{
	for (;;) {
		sys(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_POWER_OFF, 0);
		sys(SYS_pause, 0, 0, 0, 0);
	}
}

static _Noreturn void fail(const char *what, const char *name, long error)
{
	char line[PATH_BYTES * 2] = "peer: ";

	text_add(line, sizeof(line), what);
	text_add(line, sizeof(line), " ");
	text_add(line, sizeof(line), name);
	text_add(line, sizeof(line), ": error ");
	text_add_number(line, sizeof(line), (uint64_t)-error);
	text_add(line, sizeof(line), "\n");
	line_write(line);
	power_off();
}

static void mark(const char *name)
{
	struct timespec now = { 0 };
	char line[80] = "";
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	sys(SYS_clock_gettime, CLOCK_BOOTTIME, &now, 0, 0);
	text_add(line, sizeof(line), name);
	text_add(line, sizeof(line), " ");
	text_add_number(line, sizeof(line), (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	text_add(line, sizeof(line), " ");
	text_add_number(line, sizeof(line), (uint64_t)high << 32 | low);
	text_add(line, sizeof(line), "\n");
	line_write(line);
}

static void mount_must(const char *what, const char *where, const char *type, unsigned long flags, const char *data)
{
	long ret = sys6(SYS_mount, (long)what, (long)where, (long)type, (long)flags, (long)data, 0);

	if (ret)
		fail("mount", where, ret);
}

/*
 * /modules names the modules of the initramfs in the order in which they must be
 * loaded. Each file is removed afterwards: the initramfs is memory.
 */
static void modules_load(void)
{
	static char list[2048];
	char *name = list, *p;
	long fd, ret;

	if (file_read("/modules", list, sizeof(list)) < 0)
		return;
	for (p = list;; p++) {
		int last = !*p;

		if (!last && *p != '\n')
			continue;
		*p = 0;
		if (*name) {
			fd = sys(SYS_open, name, O_RDONLY, 0, 0);
			if (fd < 0)
				fail("open", name, fd);
			ret = sys(SYS_finit_module, fd, "", 0, 0);
			if (ret)
				fail("load", name, ret);
			sys(SYS_close, fd, 0, 0, 0);
			sys(SYS_unlink, name, 0, 0, 0);
		}
		if (last)
			return;
		name = p + 1;
	}
}

/* Mounts the squashfs disks and the tmpfs over them, and makes that the root. */
static void root_mount(unsigned layers)
{
	char options[PATH_BYTES] = "upperdir=/upper/files,workdir=/upper/work,lowerdir=";
	unsigned i;

	sys(SYS_mkdir, "/root", 0755, 0, 0);
	sys(SYS_mkdir, "/upper", 0755, 0, 0);
	mount_must("tmpfs", "/upper", "tmpfs", 0, "mode=755");
	sys(SYS_mkdir, "/upper/files", 0755, 0, 0);
	sys(SYS_mkdir, "/upper/work", 0755, 0, 0);
	for (i = 0; i < layers; i++) {
		char disk[] = "/dev/vda", where[] = "/l0";

		disk[7] = (char)(disk[7] + i);
		where[2] = (char)(where[2] + i);
		sys(SYS_mkdir, where, 0755, 0, 0);
		mount_must(disk, where, "squashfs", MS_RDONLY, "");
		if (i)
			text_add(options, sizeof(options), ":");
		text_add(options, sizeof(options), where);
	}
	mount_must("overlay", "/root", "overlay", 0, options);
}

static void root_enter(void)
{
	static const char *const moved[] = { "dev", "proc", "sys" };
	size_t i;

	for (i = 0; i < 3; i++) {
		char from[16] = "/", to[16] = "/root/";

		text_add(from, sizeof(from), moved[i]);
		text_add(to, sizeof(to), moved[i]);
		sys(SYS_mkdir, to, 0755, 0, 0);
		mount_must(from, to, NULL, MS_MOVE, NULL);
	}
	sys(SYS_chdir, "/root", 0, 0, 0);
	mount_must(".", "/", NULL, MS_MOVE, NULL);
	sys(SYS_chroot, ".", 0, 0, 0);
	sys(SYS_chdir, "/", 0, 0, 0);
	sys(SYS_mkdir, "/tmp", 01777, 0, 0);
	mount_must("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	sys(SYS_mkdir, "/dev/shm", 01777, 0, 0);
	mount_must("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
}

static uint32_t address_parse(const char *text)
{
	uint32_t address = 0, byte = 0;
	int bytes = 1;

	for (; *text; text++) {
		if (*text == '.') {
			address |= byte << (8 * (bytes - 1));
			byte = 0;
			bytes++;
		} else if (*text >= '0' && *text <= '9') {
			byte = byte * 10 + (uint32_t)(*text - '0');
		}
		if (bytes > 4 || byte > 255)
			return 0;
	}
	return bytes == 4 ? address | byte << 24 : 0;
}

static void interface_must(long socket, long request, struct ifreq *ifr)
{
	long ret = sys(SYS_ioctl, socket, request, ifr, 0);

	if (ret)
		fail("set up", ifr->ifr_name, ret);
}

/* The loopback interface, and eth0 if it is to have an address. */
static void network_start(const char *text)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	struct sockaddr_in *in = (struct sockaddr_in *)&ifr.ifr_addr;
	long socket = sys(SYS_socket, AF_INET, SOCK_DGRAM, 0, 0);
	uint32_t address = address_parse(text);

	if (socket < 0 || !address)
		fail("set the address", text, socket < 0 ? socket : -22);
	ifr.ifr_flags = IFF_UP;
	interface_must(socket, SIOCSIFFLAGS, &ifr);
	ifr = (struct ifreq){ .ifr_name = "eth0" };
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = address;
	interface_must(socket, SIOCSIFADDR, &ifr);
	in->sin_addr.s_addr = 0x00ffffff;
	interface_must(socket, SIOCSIFNETMASK, &ifr);
	ifr = (struct ifreq){ .ifr_name = "eth0" };
	ifr.ifr_flags = IFF_UP;
	interface_must(socket, SIOCSIFFLAGS, &ifr);
	sys(SYS_close, socket, 0, 0, 0);
}

/*
 * Opens the virtio-serial port of that name on descriptor `fd`. The host announces
 * ports one by one after the driver has started, so a port may be a moment late.
 */
static void port_open(const char *name, int fd, int flags)
{
	char path[PATH_BYTES], found[64];
	unsigned tries, number;
	const struct timespec pause = { 0, PORT_WAIT_NS };

	for (tries = 0; tries < PORT_TRIES; tries++) {
		for (number = 0; number < 64; number++) {
			char port[] = "vport0p0"; /* virtio device and port number */
			long from;

			port[5] = (char)('0' + number / 8);
			port[7] = (char)('0' + number % 8);
			path[0] = 0;
			text_add(path, sizeof(path), "/sys/class/virtio-ports/");
			text_add(path, sizeof(path), port);
			text_add(path, sizeof(path), "/name");
			if (file_read(path, found, sizeof(found)) <= 0 || !text_equal(found, name))
				continue;
			path[0] = 0;
			text_add(path, sizeof(path), "/dev/");
			text_add(path, sizeof(path), port);
			from = sys(SYS_open, path, flags, 0, 0);
			if (from < 0)
				fail("open", path, from);
			sys(SYS_dup3, from, fd, 0, 0);
			sys(SYS_close, from, 0, 0, 0);
			return;
		}
		sys(SYS_nanosleep, &pause, 0, 0, 0);
	}
	fail("find the port", name, -2);
}

/*
 * The program runs as a child, so that its status can be reported: process 1 that
 * ends is a kernel panic. fork is one system call of a process of a few pages.
 */
static _Noreturn void program_run(char **argv, char **envp, int ports)
{
	char line[40] = "exit ";
	int status = 0;
	long pid;

	pid = sys(SYS_fork, 0, 0, 0, 0);
	if (pid < 0)
		fail("fork for", argv[0], pid);
	if (pid == 0) {
		long console = sys(SYS_dup, 1, 0, 0, 0), ret;

		sys(SYS_fcntl, console, F_SETFD, FD_CLOEXEC, 0);
		sys(SYS_setsid, 0, 0, 0, 0);
		mark("exec");
		if (ports) {
			port_open("ibrik.stdin", 0, O_RDONLY);
			port_open("ibrik.stdout", 1, O_WRONLY);
			port_open("ibrik.stderr", 2, O_WRONLY);
		}
		ret = sys(SYS_execve, argv[0], argv, envp, 0);
		sys(SYS_dup2, console, 1, 0, 0);
		fail("exec", argv[0], ret);
	}
	while (sys(SYS_wait4, -1, &status, 0, 0) != pid)
		;
	text_add_number(line, sizeof(line), (status & 0x7f) ? 128u + (status & 0x7f) : (unsigned)status >> 8 & 0xff);
	text_add(line, sizeof(line), "\n");
	line_write(line);
	power_off();
}

__attribute__((used)) static _Noreturn void start(long *stack)
{
	int argc = (int)stack[0], ports = 0, i;
	char **argv = (char **)(stack + 1), **envp = argv + argc + 1;
	const char *thp = NULL, *net = NULL, *cwd = "/", *value;
	unsigned layers = 1;

	mark("init");
	for (i = 1; i < argc && !text_equal(argv[i], "run"); i++) {
		if ((value = text_after(argv[i], "layers=")) && *value >= '1' && *value < '1' + MAX_LAYERS)
			layers = (unsigned)(*value - '0');
		else if ((value = text_after(argv[i], "thp=")))
			thp = value;
		else if ((value = text_after(argv[i], "net=")))
			net = value;
		else if ((value = text_after(argv[i], "cwd=")))
			cwd = value;
		else if (text_equal(argv[i], "ports"))
			ports = 1;
		else
			fail("argument not understood", argv[i], -22);
	}
	if (i + 1 >= argc)
		fail("no program", "on the command line", -22);

	sys(SYS_mkdir, "/proc", 0755, 0, 0);
	sys(SYS_mkdir, "/sys", 0755, 0, 0);
	sys(SYS_mkdir, "/dev", 0755, 0, 0);
	mount_must("proc", "/proc", "proc", 0, "");
	mount_must("sysfs", "/sys", "sysfs", 0, "");
	mount_must("devtmpfs", "/dev", "devtmpfs", 0, "mode=755");
	if (thp && file_write("/sys/kernel/mm/transparent_hugepage/enabled", thp) < 0)
		fail("set transparent_hugepage to", thp, -22);
	modules_load();
	if (net)
		network_start(net);
	root_mount(layers);
	root_enter();
	sys(SYS_sethostname, "linux", 5, 0, 0);
	if (sys(SYS_chdir, cwd, 0, 0, 0))
		fail("enter", cwd, -2);
	program_run(argv + i + 1, envp, ports);
}

__asm__(".globl _start\n"
	"_start:\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call start\n");
