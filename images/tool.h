/*
 * images/tool.h - what the files of the `ibrik` command share: the map of the command.
 *
 * The command does one thing and ends, so memory is not freed at every turn and an error
 * ends it: die() prints one line that begins with "ibrik: " and leaves with the status
 * given, removing the temporary folder on the way.
 */
#ifndef IBRIK_IMAGES_TOOL_H
#define IBRIK_IMAGES_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <sys/types.h>

#include "format.h"
#include "settings.h"

#define TOOL_VERSION "0.1"
#define NAME_DEFAULT "ibrik" /* the host name, as base.sh writes it, too */
#define STATUS_ERROR 125      /* ibrik's own errors */
#define STATUS_NOT_EXEC 126   /* the program cannot be executed */
#define STATUS_NOT_FOUND 127  /* the program, jar or image is not there */

/* util.c: strings, files, commands */
struct strings {
	char **items;
	size_t count;
};

void die(int status, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));
void say(const char *format, ...) __attribute__((format(printf, 1, 2))); /* a line on stderr with the prefix */
void progress(const char *format, ...) __attribute__((format(printf, 1, 2))); /* the same, only on a terminal */
void *xalloc(size_t bytes); /* zeroed */
void *xrealloc(void *memory, size_t bytes);
char *xstrdup(const char *text);
char *format(const char *format, ...) __attribute__((format(printf, 1, 2)));
void strings_add(struct strings *list, const char *text);
void strings_split(struct strings *list, const char *text, const char *option); /* words; quotes group */
const char *temp_dir(void);     /* made on first use, removed at exit */
/* The file to write in place of `output` until it is whole: beside it, and removed whenever the command ends before partial_finish(). One at a time. */
char *partial_begin(const char *output);
void partial_finish(const char *output); /* gives it its name; dies */
bool same_file(const char *a, const char *b); /* are both there, and one? */
void temp_remove(void);         /* or now, when nothing needs it any more */
char *cache_dir(void);          /* made if missing */
char *data_file(const char *name, bool required); /* beside the command, or in ../lib/ibrik; NULL if missing */
void make_dirs(const char *path);
void make_parent(const char *path);
char *read_whole(const char *path, size_t *bytes); /* NUL added after the end; dies */
void write_whole(const char *path, const void *data, size_t bytes);
void copy_range(int from, uint64_t from_at, int to, uint64_t to_at, uint64_t bytes, const char *name);
void pwrite_all(int fd, const void *data, size_t bytes, uint64_t at, const char *name);
void pread_all(int fd, void *data, size_t bytes, uint64_t at, const char *name);
void command_run(char *const argv[]); /* output discarded; dies with its last line of error */
char *command_output(char *const argv[], int *status); /* standard output; status NULL: dies on failure */
uint64_t round_up(uint64_t value, uint64_t unit);

/* options.c: the command line */
enum accel { ACCEL_AUTO, ACCEL_KVM, ACCEL_TCG };
enum compress { COMPRESS_NONE, COMPRESS_GZIP };

struct options {
	char *app;               /* jar or image */
	struct strings args;
	bool has_args;           /* "--" given or arguments present */
	char *main_class;
	struct strings class_path;
	char *exec;
	struct strings runs;     /* --run: programs one after the other */
	struct strings env;      /* env-file first, then -e: the last of a name wins */
	struct strings files;    /* HOST:GUEST */
	struct strings volumes;  /* HOST:GUEST[:ro] */
	struct strings publish;  /* [ADDR:]HOST:GUEST[/udp] */
	char *network, *ip;      /* NULL: user-mode networking; DHCP */
	char *workdir, *name, *jdk, *output, *kernel;
	struct strings jvm_opts;
	char *kernel_opts;
	const char *image_opts;  /* those of the finished image that is run, or NULL */
	bool cds;
	enum compress compress;
	uint64_t memory, cpus, stop_timeout;
	enum accel accel;
	bool accel_given;
	char *machine, *log;
	bool debug;
};

/* Reads the options of build (run false) or run into `options`; answers --help itself. */
void options_parse(struct options *options, bool run, int argc, char **argv);
void options_help(bool run);

char *escape_commas(const char *text); /* qemu.c: a value inside an option of QEMU */

/* network.c: the network of `ibrik run` */
void network_check(const struct options *options); /* dies when something cannot be */
void network_arguments(struct strings *argv, const struct options *options, bool mmio); /* of QEMU */
char *network_append(const struct options *options); /* for the kernel's command line; begins with a blank, or empty */

/* image.c: containers */
struct part { /* a section to be written */
	uint32_t type, flags;
	const char *name, *mount;
	int fd;             /* where its bytes are, or -1: in memory */
	uint64_t fd_offset;
	const void *data;
	uint64_t length;
	const void *hashes; /* its table if known already, else NULL */
	uint64_t hashes_bytes;
};

struct container { /* a container that was opened and whose header is sound */
	int fd;
	const char *path;
	uint64_t bytes;
	struct ibrik_header header;
};

/* Writes a container to the file; boot is the boot code or NULL. */
void container_write(int fd, const char *path, uint32_t priority, struct part *parts, unsigned nparts,
                     const void *boot, size_t boot_bytes);
/* 0, or -EINVAL with a line in *why: not a container, cut short, damaged. Opens read-only. */
int container_open(struct container *container, const char *path, char **why);
struct ibrik_section *container_find(struct container *container, uint32_t type, unsigned index);
/* Checks every block of a section: 0, or -EINVAL with *block the first that is wrong (-1: the table). */
int container_verify(struct container *container, const struct ibrik_section *section, int64_t *block);
bool container_boot_verify(struct container *container); /* the boot code; true when there is none */
void *section_read(struct container *container, const struct ibrik_section *section);
struct settings settings_of_image(struct container *container); /* empty when it has none */
/* A section of an open container as a part to write elsewhere; the table goes along. */
void part_from_section(struct part *part, struct container *container, const struct ibrik_section *section);
bool file_is_container(const char *path);
/* The text of a file in the merged layers, by its path without the first /; NULL when it is not there. */
char *container_file(struct container *container, const char *name);

/* layer.c: squashfs files from staged folders */
void stage_file(const char *root, const char *host, const char *guest); /* one file, links followed */
void stage_tree(const char *root, const char *host, const char *guest); /* a file or a folder with all in it */
/* Packs the folder; `all_times` gives every file the time, else they keep their own. */
void layer_pack(const char *root, const char *file, int64_t time, bool all_times, enum compress compress);
int64_t source_date(int64_t otherwise);
void guest_path_check(const char *path, const char *what); /* absolute, no "..", fits; dies */
const char *guest_path_plain(const char *path); /* without what says nothing at its beginning: "//", "/."; may be empty for / */
bool guest_hides(const char *path); /* the guest mounts a file system of its own over it */
char *stage_path(const char *root, const char *guest); /* where a file of the guest is staged */

/* elf.c: programs and their libraries */
void program_stage(const char *root, const char *path, char **guest); /* dies with 126 or 127 */

/* jar.c: what a jar says about itself */
struct jar {
	char *main_class;   /* from the manifest, or NULL */
	char *class_path;   /* Class-Path of the manifest, or NULL */
	bool multi_release;
};
void jar_read(const char *path, struct jar *jar); /* dies when it is not a jar */
/* Feature release that the class needs (17 for major version 61), 0 when it is not in the jar. */
unsigned jar_class_release(const char *path, const char *class_name);

/* jdk.c: the container of a JDK */
struct jdk {
	unsigned release;
	char *home;
	struct container container;
};
void jdk_check(const char *which); /* dies when it is a number that is not offered */
bool jdk_damaged(struct jdk *jdk); /* says which file to remove when it is; reads all of it */
void jdk_open(struct jdk *jdk, const char *which, enum compress compress); /* "17", "21", "25" or a folder */

/* app.c: the application's layer and settings from the options */
struct app {
	bool java;
	char *root;             /* staged folder, NULL when there is nothing to pack */
	char *layer;            /* squashfs of it */
	struct jdk jdk;         /* when java */
	struct settings settings;
	int64_t time;
};
void app_check(const struct options *options); /* what can be checked before anything is made */
void app_make(struct app *app, const struct options *options);
void settings_of_options(struct settings *settings, const struct options *options);
/* A layer for a finished image whose name is changed: its host table with the new name. */
void hosts_make(struct part *part, struct container *image, const char *name);
/* Sections for the volumes: squashfs snapshots; returns how many were added. */
unsigned volumes_make(struct part *parts, unsigned most, const struct options *options);

/* cds.c: the archive of a training run */
void cds_train(struct app *app, const struct options *options);

/* Dies when the file that `option` is about to write is one that the command reads. */
void inputs_spare(const struct options *options, const char *option, const char *output);

/* qemu.c and pump.c: the machine */
struct machine {
	struct strings argv;
	pid_t pid;
	int stdin_fd, stdout_fd, stderr_fd, control_fd, com1_fd, errors_fd; /* our ends */
	int log_fd;              /* --log, or -1 */
	const char *no_kvm;      /* why it is emulated, for the log */
	bool damage_told;        /* the kernel found wrong bytes on a disk */
	bool kvm;
};
void machine_open(struct machine *machine, const struct options *options); /* dies early */
void machine_start(struct machine *machine, const struct options *options, const char *kernel,
                   const struct strings *drives, const char *append);
int machine_pump(struct machine *machine, const struct options *options); /* the exit status */
void machine_signals(sigset_t *set); /* those that the pump takes; what is ignored stays so */

/* the commands */
int command_build(int argc, char **argv);
int command_run_app(int argc, char **argv);
int command_inspect(int argc, char **argv);
int command_convert(int argc, char **argv);

/* kernel.c: the kernel file that goes into an image or to QEMU */
void *kernel_strip(const void *elf, size_t bytes, size_t *stripped); /* dies when it is no kernel */
char *kernel_find(const struct options *options);

#endif
