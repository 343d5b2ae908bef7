/*
 * kernel/fs/sysfs.c - /sys: processors, the memory node, huge pages.
 *
 * Theory:    A reference's index is the number of a processor; below cpuN/cache its thread number is that
 *            of a cache.
 * Interface: sysfs_new().
 */
#include "fs/procfs.h"
#include "core/thread.h"
#include "lib/string.h"
#include <linux/magic.h>

#define TEXT_FILE(name, ...)                                       \
	static int name(struct text *t, const struct gen_ref *ref) \
	{                                                          \
		text_printf(t, __VA_ARGS__);                       \
		return 0;                                          \
	}

static int cpus_show(struct text *t, const struct gen_ref *ref)
{
	unsigned n = cpu_count();

	text_printf(t, n > 1 ? "0-%u\n" : "%u\n", n - 1);
	return 0;
}

/* A mask of processors in words of 32 bits. */
static void mask_print(struct text *t, uint64_t mask)
{
	if (mask >> 32)
		text_printf(t, "%08x,%08x\n", (unsigned)(mask >> 32), (unsigned)mask);
	else
		text_printf(t, "%08x\n", (unsigned)mask);
}

static uint64_t all_cpus(void)
{
	unsigned n = cpu_count();

	return n >= 64 ? ~0ull : (1ull << n) - 1;
}

static int cpumap_show(struct text *t, const struct gen_ref *ref)
{
	mask_print(t, all_cpus());
	return 0;
}

/* --- one processor ------------------------------------------------------------------------------------ */

static int self_mask_show(struct text *t, const struct gen_ref *ref)
{
	mask_print(t, 1ull << ref->index);
	return 0;
}

TEXT_FILE(self_list_show, "%d\n", ref->index)
TEXT_FILE(zero_show, "0\n")
TEXT_FILE(one_show, "1\n")
TEXT_FILE(microcode_show, "0x1\n")

static bool cache_of(const struct gen_ref *ref, struct cpu_cache *c)
{
	return cpu_cache_get(ref->tid, c);
}

static int cache_level_show(struct text *t, const struct gen_ref *ref)
{
	struct cpu_cache c;

	text_printf(t, "%u\n", cache_of(ref, &c) ? c.level : 0);
	return 0;
}

static int cache_type_show(struct text *t, const struct gen_ref *ref)
{
	struct cpu_cache c;

	if (cache_of(ref, &c))
		text_printf(t, "%s\n", c.type == 'D' ? "Data" : c.type == 'I' ? "Instruction" : "Unified");
	return 0;
}

static int cache_size_show(struct text *t, const struct gen_ref *ref)
{
	struct cpu_cache c;

	text_printf(t, "%uK\n", cache_of(ref, &c) ? c.size_kib : 0);
	return 0;
}

static int cache_line_show(struct text *t, const struct gen_ref *ref)
{
	struct cpu_cache c;

	text_printf(t, "%u\n", cache_of(ref, &c) ? c.line_bytes : 0);
	return 0;
}

static int cache_ways_show(struct text *t, const struct gen_ref *ref)
{
	struct cpu_cache c;

	text_printf(t, "%u\n", cache_of(ref, &c) ? c.ways : 0);
	return 0;
}

static int cache_sets_show(struct text *t, const struct gen_ref *ref)
{
	struct cpu_cache c;

	text_printf(t, "%u\n", cache_of(ref, &c) ? c.sets : 0);
	return 0;
}

static const struct gen_entry cache_files[] = {
	GEN_FILE("level", cache_level_show), GEN_FILE("type", cache_type_show),
	GEN_FILE("size", cache_size_show), GEN_FILE("coherency_line_size", cache_line_show),
	GEN_FILE("ways_of_associativity", cache_ways_show), GEN_FILE("number_of_sets", cache_sets_show),
	GEN_FILE("shared_cpu_list", self_list_show), GEN_FILE("shared_cpu_map", self_mask_show), GEN_END,
};
static const struct gen_entry cache_entry = GEN_DIR("", cache_files);

static const struct gen_entry *cache_next(const struct gen_ref *dir, int after, int *number, char name[32])
{
	struct cpu_cache c;

	if (!cpu_cache_get(after + 1, &c))
		return NULL;
	*number = after + 1;
	snprintf(name, 32, "index%d", after + 1);
	return &cache_entry;
}

static const struct gen_entry *cache_find(const struct gen_ref *dir, const char *name, struct gen_ref *ref)
{
	int n = str_starts(name, "index") ? gen_number(name + 5) : -1;
	struct cpu_cache c;

	if (n < 0 || !cpu_cache_get(n, &c))
		return NULL;
	*ref = *dir;
	ref->tid = n;
	return &cache_entry;
}

static const struct gen_entry topology_files[] = {
	GEN_FILE("physical_package_id", zero_show), GEN_FILE("die_id", zero_show),
	GEN_FILE("core_id", self_list_show), GEN_FILE("thread_siblings", self_mask_show),
	GEN_FILE("thread_siblings_list", self_list_show), GEN_FILE("core_cpus", self_mask_show),
	GEN_FILE("core_cpus_list", self_list_show), GEN_FILE("core_siblings", cpumap_show),
	GEN_FILE("core_siblings_list", cpus_show), GEN_FILE("package_cpus", cpumap_show),
	GEN_FILE("package_cpus_list", cpus_show), GEN_END,
};
static const struct gen_entry microcode_files[] = { GEN_FILE("version", microcode_show), GEN_END };
static const struct gen_entry one_cpu_files[] = {
	GEN_FILE("online", one_show), GEN_DIR("topology", topology_files),
	GEN_DIR("microcode", microcode_files),
	{ .name = "cache", .mode = S_IFDIR | 0555, .next = cache_next, .find = cache_find }, GEN_END,
};
static const struct gen_entry cpu_entry = GEN_DIR("", one_cpu_files);

static const struct gen_entry *cpu_next(const struct gen_ref *dir, int after, int *number, char name[32])
{
	if ((unsigned)(after + 1) >= cpu_count())
		return NULL;
	*number = after + 1;
	snprintf(name, 32, "cpu%d", after + 1);
	return &cpu_entry;
}

static const struct gen_entry *cpu_find(const struct gen_ref *dir, const char *name, struct gen_ref *ref)
{
	int n = str_starts(name, "cpu") ? gen_number(name + 3) : -1;

	if (n < 0 || (unsigned)n >= cpu_count())
		return NULL;
	ref->index = n;
	return &cpu_entry;
}

TEXT_FILE(kernel_max_show, "%d\n", MAX_CPUS - 1)
TEXT_FILE(nothing_show, "\n")

static const struct gen_entry cpu_files[] = {
	GEN_FILE("online", cpus_show), GEN_FILE("possible", cpus_show), GEN_FILE("present", cpus_show),
	GEN_FILE("offline", nothing_show), GEN_FILE("isolated", nothing_show),
	GEN_FILE("kernel_max", kernel_max_show), GEN_END,
};

/* --- the memory node -------------------------------------------------------------------------------------- */

static int node_meminfo_show(struct text *t, const struct gen_ref *ref)
{
	struct mem_stats m;

	mem_stats_get(&m);
	text_printf(t, "Node 0 MemTotal:       %8lu kB\nNode 0 MemFree:        %8lu kB\n"
		       "Node 0 MemUsed:        %8lu kB\nNode 0 AnonPages:      %8lu kB\n"
		       "Node 0 FilePages:      %8lu kB\nNode 0 HugePages_Total:     0\n"
		       "Node 0 HugePages_Free:      0\nNode 0 HugePages_Surp:      0\n",
		    (unsigned long)(m.total >> 10), (unsigned long)(m.free >> 10),
		    (unsigned long)((m.total - m.free) >> 10), (unsigned long)(m.anon >> 10),
		    (unsigned long)((m.cached + m.shmem) >> 10));
	return 0;
}

TEXT_FILE(distance_show, "10\n")

static const struct gen_entry node0_files[] = {
	GEN_FILE("cpumap", cpumap_show), GEN_FILE("cpulist", cpus_show),
	GEN_FILE("meminfo", node_meminfo_show), GEN_FILE("distance", distance_show), GEN_END,
};
static const struct gen_entry node_files[] = {
	GEN_FILE("online", zero_show), GEN_FILE("possible", zero_show),
	GEN_FILE("has_memory", zero_show), GEN_FILE("has_normal_memory", zero_show),
	GEN_FILE("has_cpu", zero_show), GEN_DIR("node0", node0_files), GEN_END,
};
static const struct gen_entry system_files[] = {
	{ .name = "cpu", .mode = S_IFDIR | 0555, .children = cpu_files, .next = cpu_next, .find = cpu_find },
	GEN_DIR("node", node_files), GEN_END,
};
static const struct gen_entry devices_files[] = { GEN_DIR("system", system_files), GEN_END };

/* --- huge pages --------------------------------------------------------------------------------------------- */

/* Large areas get huge pages unasked (design), so the mode is what Linux calls "always". */
TEXT_FILE(thp_enabled_show, "[always] madvise never\n")
TEXT_FILE(thp_defrag_show, "always defer defer+madvise [madvise] never\n")
TEXT_FILE(thp_shmem_show, "always within_size [advise] never deny force\n")
TEXT_FILE(thp_size_show, "2097152\n")
TEXT_FILE(pages_to_scan_show, "4096\n")
TEXT_FILE(scan_sleep_show, "10000\n")
TEXT_FILE(max_ptes_show, "511\n")

static const struct gen_entry khugepaged_files[] = {
	GEN_FILE("defrag", one_show), GEN_FILE("pages_to_scan", pages_to_scan_show),
	GEN_FILE("scan_sleep_millisecs", scan_sleep_show), GEN_FILE("alloc_sleep_millisecs", scan_sleep_show),
	GEN_FILE("max_ptes_none", max_ptes_show), GEN_END,
};
static const struct gen_entry thp_files[] = {
	GEN_FILE("enabled", thp_enabled_show), GEN_FILE("defrag", thp_defrag_show),
	GEN_FILE("shmem_enabled", thp_shmem_show), GEN_FILE("hpage_pmd_size", thp_size_show),
	GEN_FILE("use_zero_page", zero_show), GEN_DIR("khugepaged", khugepaged_files), GEN_END,
};
static const struct gen_entry huge_files[] = {
	GEN_FILE("nr_hugepages", zero_show), GEN_FILE("nr_hugepages_mempolicy", zero_show),
	GEN_FILE("nr_overcommit_hugepages", zero_show), GEN_FILE("free_hugepages", zero_show),
	GEN_FILE("resv_hugepages", zero_show), GEN_FILE("surplus_hugepages", zero_show), GEN_END,
};
static const struct gen_entry hugepages_files[] = { GEN_DIR("hugepages-2048kB", huge_files), GEN_END };
static const struct gen_entry kernel_mm_files[] = {
	GEN_DIR("transparent_hugepage", thp_files), GEN_DIR("hugepages", hugepages_files), GEN_END,
};
static const struct gen_entry kernel_files[] = { GEN_DIR("mm", kernel_mm_files), GEN_END };

static const struct gen_entry no_files[] = { GEN_END };
static const struct gen_entry fs_files[] = { GEN_DIR("cgroup", no_files), GEN_END };
static const struct gen_entry root_files[] = {
	GEN_DIR("devices", devices_files), GEN_DIR("kernel", kernel_files), GEN_DIR("fs", fs_files),
	GEN_DIR("class", sys_class_files), GEN_END,
};
static const struct gen_entry root_entry = GEN_DIR("/", root_files);

struct superblock *sysfs_new(void)
{
	return genfs_new("sysfs", "sysfs", SYSFS_MAGIC, &root_entry);
}
