/*
 * images/format.h - what the `ibrik` command and the kernel say to each other.
 *
 * This header is the contract: the image on disk, the settings inside it, the
 * console ports and the control channel. The kernel and the host tool both
 * include it, so it uses only <stdint.h>.
 *
 * The image is a raw disk:
 *
 *   byte 0       boot sector and second stage for a BIOS boot (images that hold
 *                a kernel; zero elsewhere), at most 61,440 bytes counted with
 *                the header's page left out: 0-4095 and 8192-65535
 *   byte 4096    struct ibrik_header, then its sections: one 4096-byte page
 *   byte 65536   the sections, each aligned to 4096 bytes
 *
 * A *container* is any disk with such a header. A machine may have several:
 * `ibrik run app.jar` gives the guest a small container for the application, the
 * cached container of the JDK, and one for what the command line asked for. The
 * kernel looks at every block device, takes every container it finds and merges
 * them in order of `priority`: layers of a higher priority lie above those of a
 * lower one, settings of a higher priority win. Within a container, later layers lie
 * above earlier ones.
 *
 * Integrity: every section has a table with one XXH64 (seed 0) for each 4096-byte
 * block of the section, the last block being padded with zeros. The table lies at
 * hash_offset, has (length + 4095) / 4096 entries of 8 bytes, and its own XXH64 is
 * root_hash. header_hash is the XXH64 of the 4096-byte page with header_hash taken
 * as zero. boot_hash is the XXH64 of bytes 0-4095 and 8192-65535 in one, 0 where there is
 * no boot code. The kernel checks header and root hashes when it mounts, and each block
 * when it is first read; `ibrik inspect --verify` checks all.
 * All numbers are little-endian.
 */
#ifndef IBRIK_IMAGES_FORMAT_H
#define IBRIK_IMAGES_FORMAT_H

#include <stdint.h>

#define IBRIK_MAGIC "IBRIKIMG"
#define IBRIK_VERSION 1
#define IBRIK_HEADER_OFFSET 4096
#define IBRIK_DATA_OFFSET 65536
#define IBRIK_BLOCK 4096
#define IBRIK_MAX_SECTIONS 15

enum ibrik_section_type {
	IBRIK_KERNEL = 1,   /* the stripped kernel ELF */
	IBRIK_SETTINGS = 2, /* records, see below */
	IBRIK_LAYER = 3,    /* a squashfs file system */
};

/*
 * Flags of a layer. A layer without IBRIK_LAYER_VOLUME is merged into the root
 * (its files appear at their own paths, hiding those of lower layers). A volume
 * covers `mount` and is read-only: writing there answers EROFS.
 */
#define IBRIK_LAYER_VOLUME 1u

struct ibrik_section {
	uint32_t type;
	uint32_t flags;
	uint64_t offset; /* bytes from the start of the disk, multiple of 4096 */
	uint64_t length; /* bytes */
	uint64_t hash_offset;
	uint64_t root_hash;
	char name[40];   /* for people: "jdk-17", "app"; NUL-terminated */
	char mount[176]; /* absolute path, NUL-terminated; "/" for merged layers */
};

struct ibrik_header {
	char magic[8];
	uint32_t version;
	uint32_t header_bytes; /* sizeof(struct ibrik_header) */
	uint32_t nsections;
	uint32_t priority;     /* 0 JDK, 10 application, 20 command line, 30 up: volumes */
	uint64_t image_bytes;  /* the disk must be at least this large */
	uint64_t header_hash;
	uint64_t boot_hash;
	uint64_t reserved[2];
	struct ibrik_section sections[IBRIK_MAX_SECTIONS];
};

_Static_assert(sizeof(struct ibrik_section) == 256, "section is 256 bytes");
_Static_assert(sizeof(struct ibrik_header) == 3904, "header fits its page");

/*
 * Settings: a sequence of "key=value" records, each ended by a NUL byte. A value
 * may hold any byte but NUL, newlines included. Unknown keys are ignored with a
 * log line. A section holds at most 1 MiB of records.
 *
 *   exec=PATH           program to run when there is no java.* setting
 *   arg=VALUE           one argument of the application (repeat, in order). If a
 *                       higher-priority section has any arg, its list replaces
 *                       the lower one; args.clear=1 replaces it by nothing
 *   env=NAME=VALUE      (repeat) merged by NAME, higher priority wins
 *   workdir=PATH        working directory, default /
 *   name=TEXT           host name, default "ibrik"
 *   java.home=PATH      the JDK inside the image, e.g. /usr/lib/jvm/java-17-openjdk-amd64
 *   java.release=N      17, 21, 25 ... : feature release of that JDK
 *   java.jar=PATH       runnable jar; or
 *   java.main=CLASS     main class (or module/class) with
 *   java.cp=PATH[:..]   its class path
 *   java.opt=OPTION     one JVM option (repeat; higher priorities are appended)
 *   java.cds=PATH       AppCDS archive (17, 21) or AOT cache (25) in the image
 *   kernel.opts=TEXT    kernel options, space-separated; appended across priorities,
 *                       the kernel command line comes last and wins
 *   run=PATH\1ARG\1...  (repeat) programs run one after the other instead of exec
 *                       or java: each is a process of its own. The exit status of
 *                       the machine is that of the last one that failed, or 0. On
 *                       the control channel each end is reported by `ran`.
 *
 * The kernel's launcher (jvm/launcher.c) turns these into the command line of java:
 *   java.home/bin/java  <defaults for a sole tenant> <java.opt...>
 *        [-XX:SharedArchiveFile= or -XX:AOTCache= java.cds]
 *        (-jar java.jar | -cp java.cp java.main)  <arg...>
 */

/*
 * Consoles. `ibrik run` attaches one virtio-serial device with these named ports.
 * A guest without them (plain QEMU, EC2) uses the first serial port for all three
 * streams and for the kernel log, and writes to the VGA text screen too.
 */
#define IBRIK_PORT_STDIN "ibrik.stdin"     /* host to guest; host close = end of file */
#define IBRIK_PORT_STDOUT "ibrik.stdout"
#define IBRIK_PORT_STDERR "ibrik.stderr"
#define IBRIK_PORT_CONTROL "ibrik.control"

/*
 * The kernel log goes to the first serial port (COM1), one line each, in the form
 *   <LEVEL>[SECONDS.MICROSECONDS] text
 * with LEVEL a digit: 0 panic, 3 error, 4 warning, 6 info, 7 debug. The default level
 * with the option `log=` unset is 4. `ibrik run` shows levels 0-4 on standard error with
 * the prefix `ibrik: ` and puts everything into --log.
 *
 * Control channel: lines of text, at most 256 bytes with their newline.
 * Guest to host:
 *   hello 1                 first line, after the port is opened
 *   exec MICROSECONDS       the first program was started, time since kernel entry
 *   stdin                   the application asks for its standard input for the first time; the host
 *                           sends none before, so that a program which does not read leaves it alone
 *   ran INDEX STATUS        a `run=` program ended; STATUS as wait(2) gives it
 *   exit STATUS             the application ended; STATUS 0-255 (128+n after signal n).
 *                           All output was handed to the device before this line.
 *   fail STATUS TEXT        ibrik itself gives up (bad image, not found, out of memory):
 *                           TEXT is one line for people, STATUS 125, 126 or 127
 * Host to guest:
 *   signal N                send signal N to the application
 *   tty ROWS COLUMNS        standard streams are a terminal of that size (before `hello`
 *                           is answered; absent when they are pipes or files)
 *   poweroff                like the power button: SIGTERM, then the end
 *
 * How the machine ends: after `exit` or `fail` the guest leaves through isa-debug-exit at
 * I/O port 0xf4 if the kernel option debugexit=1 is set (the value written is
 * IBRIK_EXIT_*), else by ACPI S5, else by keyboard-controller reset. A panic prints its
 * report on COM1 and leaves with IBRIK_EXIT_PANIC; `ibrik run` answers 125 then.
 */
#define IBRIK_EXIT_PORT 0xf4
#define IBRIK_EXIT_CLEAN 0x10 /* QEMU's own status becomes (0x10 << 1) | 1 = 33 */
#define IBRIK_EXIT_PANIC 0x11 /* 35 */

/*
 * Kernel options (space-separated, on the command line and in kernel.opts):
 *   log=LEVEL         emerg|err|warn|info|debug or the digit
 *   trace=syscalls    strace-like lines in the log; trace=syscalls:PID for one process
 *   trace=net         addresses as they come and go, and counters
 *   boot.trace        a time line from entry to exec
 *   debugexit=1       see above
 *   cpus=N            use at most N CPUs
 *   idle.watch=MICROSECONDS   how long an idle CPU looks for work before it halts
 *   net.ip=ADDR/LEN[,...]     the address, instead of DHCP
 *   tmp.max=BYTES     cap of tmpfs (suffix K, M, G; or N%), default 50% of memory
 *   virtio_mmio.device=SIZE@ADDR:IRQ   as Linux; QEMU microvm adds these itself
 *   panic.test=KIND   write, text, stack, assert or others (all other CPUs at once): makes the kernel panic before the application starts
 *   panic.halt        after a panic halt instead of powering off
 *   mm.fail=N         every Nth allocation fails once the first program is loaded
 *   syscalls=trap     no system call is rewritten
 */
#endif
