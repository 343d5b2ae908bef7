/*
 * kernel/arch/x86_64/cpuid.c - what the processor says of itself, for /proc/cpuinfo and /sys.
 *
 * Interface: cpuinfo_show(), cpu_cache_get(), cpu_times_get() of fs/procfs.h.
 * Source:    Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E. The names are those of Linux.
 */
#include "core/clock.h"
#include "cpu.h"
#include "fs/procfs.h"
#include "lib/string.h"

struct feature_word {
	uint32_t leaf, sub;
	char reg; /* a b c d */
	const char *names[32];
};

static const struct feature_word words[] = {
	{ 1, 0, 'd', { "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", NULL, "sep",
		"mtrr", "pge", "mca", "cmov", "pat", "pse36", "pn", "clflush", NULL, "dts", "acpi", "mmx",
		"fxsr", "sse", "sse2", "ss", "ht", "tm", "ia64", "pbe" } },
	{ 0x80000001, 0, 'd', { [11] = "syscall", [19] = "mp", [20] = "nx", [22] = "mmxext",
		[25] = "fxsr_opt", [26] = "pdpe1gb", [27] = "rdtscp", [29] = "lm", [30] = "3dnowext",
		[31] = "3dnow" } },
	{ 1, 0, 'c', { "pni", "pclmulqdq", "dtes64", "monitor", "ds_cpl", "vmx", "smx", "est", "tm2",
		"ssse3", "cid", "sdbg", "fma", "cx16", "xtpr", "pdcm", NULL, "pcid", "dca", "sse4_1",
		"sse4_2", "x2apic", "movbe", "popcnt", "tsc_deadline_timer", "aes", "xsave", NULL, "avx",
		"f16c", "rdrand", "hypervisor" } },
	{ 0x80000001, 0, 'c', { "lahf_lm", "cmp_legacy", "svm", "extapic", "cr8_legacy", "abm", "sse4a",
		"misalignsse", "3dnowprefetch", "osvw", "ibs", "xop", [16] = "fma4", [21] = "tbm",
		[22] = "topoext" } },
	{ 7, 0, 'b', { "fsgsbase", "tsc_adjust", NULL, "bmi1", "hle", "avx2", NULL, "smep", "bmi2", "erms",
		"invpcid", "rtm", [14] = "mpx", [16] = "avx512f", [17] = "avx512dq", [18] = "rdseed",
		[19] = "adx", [20] = "smap", [21] = "avx512ifma", [23] = "clflushopt", [24] = "clwb",
		[28] = "avx512cd", [29] = "sha_ni", [30] = "avx512bw", [31] = "avx512vl" } },
	{ 0xd, 1, 'a', { "xsaveopt", "xsavec", "xgetbv1", "xsaves" } },
	{ 7, 0, 'c', { [1] = "avx512vbmi", [2] = "umip", [3] = "pku", [4] = "ospke", [6] = "avx512_vbmi2",
		[8] = "gfni", [9] = "vaes", [10] = "vpclmulqdq", [11] = "avx512_vnni",
		[12] = "avx512_bitalg", [14] = "avx512_vpopcntdq", [16] = "la57", [22] = "rdpid" } },
	{ 7, 0, 'd', { [4] = "fsrm", [14] = "serialize" } },
};

static uint32_t leaf_read(uint32_t leaf, uint32_t sub, char reg)
{
	uint32_t max, a, b, c, d;

	cpuid(leaf & 0x80000000, 0, &max, &b, &c, &d);
	if (leaf > max)
		return 0;
	cpuid(leaf, sub, &a, &b, &c, &d);
	return reg == 'a' ? a : reg == 'b' ? b : reg == 'c' ? c : d;
}

static void flags_show(struct text *t)
{
	text_printf(t, "flags\t\t:");
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		uint32_t bits = leaf_read(words[i].leaf, words[i].sub, words[i].reg);

		for (unsigned bit = 0; bit < 32; bit++)
			if ((bits >> bit & 1) && words[i].names[bit])
				text_printf(t, " %s", words[i].names[bit]);
	}
	if (leaf_read(0x80000007, 0, 'd') >> 8 & 1)
		text_printf(t, " constant_tsc nonstop_tsc");
	text_printf(t, "\n");
}

/* "CPU brand" of the three extended leaves, without blanks in front. */
static void brand_get(char name[49])
{
	uint32_t r[12];
	char *p = name;

	memset(r, 0, sizeof(r));
	if (leaf_read(0x80000000, 0, 'a') >= 0x80000004)
		for (unsigned i = 0; i < 3; i++)
			cpuid(0x80000002 + i, 0, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3]);
	memcpy(name, r, 48);
	name[48] = 0;
	while (*p == ' ')
		p++;
	memmove(name, p, strlen(p) + 1);
	if (!*name)
		strlcpy(name, "unknown", 49);
}

void cpuinfo_show(struct text *t, unsigned cpu)
{
	uint32_t a, b, c, d, leaves, sig;
	unsigned family, model;
	char vendor[13] = "", brand[49];
	uint64_t hz = clock_tsc_hz();
	struct cpu_cache cache;
	unsigned l2 = 0;

	cpuid(0, 0, &leaves, &b, &c, &d);
	memcpy(vendor, &b, 4);
	memcpy(vendor + 4, &d, 4);
	memcpy(vendor + 8, &c, 4);
	cpuid(1, 0, &sig, &b, &c, &d);
	family = sig >> 8 & 15;
	model = sig >> 4 & 15;
	if (family == 15)
		family += sig >> 20 & 255;
	if (family >= 6)
		model += (sig >> 16 & 15) << 4;
	brand_get(brand);
	for (unsigned i = 0; cpu_cache_get(i, &cache); i++)
		l2 = cache.size_kib;
	text_printf(t, "processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\n"
		       "model name\t: %s\nstepping\t: %u\nmicrocode\t: 0x1\n",
		    cpu, vendor, family, model, brand, sig & 15);
	text_printf(t, "cpu MHz\t\t: %lu.%03lu\ncache size\t: %u KB\nphysical id\t: 0\nsiblings\t: %u\n"
		       "core id\t\t: %u\ncpu cores\t: %u\napicid\t\t: %u\ninitial apicid\t: %u\n",
		    (unsigned long)(hz / 1000000), (unsigned long)(hz / 1000 % 1000), l2, cpu_count(), cpu,
		    cpu_count(), cpus[cpu]->apic_id, cpus[cpu]->apic_id);
	text_printf(t, "fpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: %u\nwp\t\t: yes\n", leaves);
	flags_show(t);
	a = leaf_read(0x80000008, 0, 'a');
	text_printf(t, "bugs\t\t:\nbogomips\t: %lu.%02lu\nclflush size\t: %u\ncache_alignment\t: 64\n"
		       "address sizes\t: %u bits physical, %u bits virtual\npower management:\n\n",
		    (unsigned long)(hz / 500000), (unsigned long)(hz / 5000 % 100), (b >> 8 & 255) * 8,
		    a ? a & 255 : 36, a ? a >> 8 & 255 : 48);
}

bool cpu_cache_get(unsigned index, struct cpu_cache *out)
{
	uint32_t a, b, c, d;
	unsigned type;

	if (leaf_read(0, 0, 'a') < 4)
		return false;
	cpuid(4, index, &a, &b, &c, &d);
	type = a & 31;
	if (!type || type > 3 || index > 8)
		return false;
	out->type = type == 1 ? 'D' : type == 2 ? 'I' : 'U';
	out->level = a >> 5 & 7;
	out->shared = (a >> 14 & 0xfff) + 1;
	out->line_bytes = (b & 0xfff) + 1;
	out->ways = (b >> 22) + 1;
	out->sets = c + 1;
	out->size_kib = (uint64_t)out->line_bytes * out->ways * ((b >> 12 & 0x3ff) + 1) * out->sets / 1024;
	return true;
}

void cpu_times_get(unsigned cpu, struct cpu_times *out)
{
	const struct cpu *c = cpus[cpu];
	uint64_t now = clock_monotonic_ns();

	out->idle_ns = MIN(c->idle_ns, now);
	out->busy_ns = now - out->idle_ns;
	out->interrupts = c->interrupts;
	out->switches = c->switches;
}
