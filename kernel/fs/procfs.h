/*
 * kernel/fs/procfs.h - between procfs.c (the system), procfs_pid.c and procfs_fd.c (processes) and sysfs.c.
 */
#ifndef IBRIK_FS_PROCFS_H
#define IBRIK_FS_PROCFS_H

#include "fs/genfs.h"

#define USER_HZ 100
#define NS_PER_TICK (1000000000ull / USER_HZ)

/* /proc/PID, and the two links that lead there. */
extern const struct gen_entry proc_pid_entry;
const struct gen_entry *proc_pid_next(const struct gen_ref *dir, int after, int *number, char name[32]);
const struct gen_entry *proc_pid_find(const struct gen_ref *dir, const char *name, struct gen_ref *ref);
ssize_t proc_self_readlink(const struct gen_ref *ref, char *buf, size_t size);
ssize_t proc_thread_self_readlink(const struct gen_ref *ref, char *buf, size_t size);
/* procfs_fd.c: the links and the descriptors of a process, for the tables of /proc/PID and task/TID. */
struct dentry *proc_exe_follow(const struct gen_ref *ref);
ssize_t proc_exe_readlink(const struct gen_ref *ref, char *buf, size_t size);
struct dentry *proc_cwd_follow(const struct gen_ref *ref);
ssize_t proc_cwd_readlink(const struct gen_ref *ref, char *buf, size_t size);
struct dentry *proc_root_follow(const struct gen_ref *ref);
ssize_t proc_root_readlink(const struct gen_ref *ref, char *buf, size_t size);
const struct gen_entry *proc_fd_next(const struct gen_ref *dir, int after, int *number, char name[32]);
const struct gen_entry *proc_fd_find(const struct gen_ref *dir, const char *name, struct gen_ref *ref);
const struct gen_entry *proc_fdinfo_next(const struct gen_ref *dir, int after, int *number, char name[32]);
const struct gen_entry *proc_fdinfo_find(const struct gen_ref *dir, const char *name, struct gen_ref *ref);
/* Lines of /proc/mounts and mountinfo. */
int proc_mounts_show(struct text *t, const struct gen_ref *ref);
int proc_mountinfo_show(struct text *t, const struct gen_ref *ref);

/* arch: one processor's paragraph of /proc/cpuinfo. */
void cpuinfo_show(struct text *t, unsigned cpu);
/* arch: a cache of the processor (type D, I or U); false if there is none with that index. */
struct cpu_cache { unsigned level, line_bytes, ways, sets, size_kib, shared; char type; };
bool cpu_cache_get(unsigned index, struct cpu_cache *out);
struct cpu_times { uint64_t busy_ns, idle_ns, interrupts, switches; };
void cpu_times_get(unsigned cpu, struct cpu_times *out);
/* procfs_system.c: the files of the root. */
extern const struct gen_entry proc_system_files[];
/* procfs_sysnet.c: /proc/sys/net. */
extern const struct gen_entry proc_sys_net_files[];
/* sysfs_net.c: /sys/class. */
extern const struct gen_entry sys_class_files[];

#endif
