# bench/report-boot.awk - the tables of the boot suite from boot.tsv; with mode=bars the
# input of stack.awk instead. Used after stats.awk.
#
# Samples are named METRIC,GUEST,CPU,CPUS,KIND; a guest on microvm is GUEST@microvm. METRIC is one of
#	line, line_cpu   QEMU start to the first line of Java, wall and CPU time of QEMU
#	exec, init       QEMU start to exec of java, and on Linux to process 1
#	entry            QEMU start to the kernel's entry (from runs with the plugin)
#	own              what the guest's clock says: ibrik entry to exec, Linux to process 1
#	java             exec of java to its first line
#	exec_k, line_k, line_a   instructions of the kernel and of the application
BEGIN { FS = "\t" }

{
	guest = $1 == "microvm" ? $2 "@microvm" : $2
	id = guest SUBSEP $3 SUBSEP $4 SUBSEP $5
	run = id SUBSEP $6 SUBSEP $7
	value[run, $8] = $9
	if ($8 == "result" && $6 != "memory") {
		if ($9 == "ok" && value[run, "line.wall_us"] != "")
			run_done(guest, $6)
		else
			lost = lost sprintf("- %s, %s vCPUs, `-cpu %s`, %s, %s run %s: %s %s\n", guest, $4, $3, $5, $6, $7, $9, value[run, "fail.text"])
	}
	if ($6 == "wall" && $8 == "loadavg")
		sample_add("loadavg", $9)
	if ($6 == "figure")
		sample_add($8 SUBSEP guest SUBSEP $5, $9)
}

function run_done(guest, mode,   words, e, i) {
	e = value[run, "exec.wall_us"]
	split(value[run, guest ~ /^ibrik/ ? "exec.text" : "init.text"], words, " ")
	if (mode == "wall") {
		sample_add("line" SUBSEP id, value[run, "line.wall_us"])
		sample_add("line_cpu" SUBSEP id, value[run, "line.cpu_us"])
		sample_add("exec" SUBSEP id, e)
		sample_add("own" SUBSEP id, words[2])
		sample_add("java" SUBSEP id, value[run, "line.wall_us"] - e)
		if (guest !~ /^ibrik/)
			sample_add("init" SUBSEP id, value[run, "init.wall_us"])
	} else if (mode == "entry") {
		sample_add("entry" SUBSEP id, value[run, "entry.wall_us"])
	} else if (mode == "count") {
		if (guest !~ /^ibrik/)
			sample_add("init_k" SUBSEP id, value[run, "init.kernel_insns"])
		sample_add("exec_k" SUBSEP id, value[run, "exec.kernel_insns"])
		sample_add("line_k" SUBSEP id, value[run, "line.kernel_insns"])
		sample_add("line_a" SUBSEP id, value[run, "line.app_insns"])
	}
}

function name(metric, guest, cpu, cpus, kind) { return metric SUBSEP guest SUBSEP cpu SUBSEP cpus SUBSEP kind }

# The kernel's own way: from its entry to exec of java (ibrik) or to process 1 (Linux),
# by the host's clock. Medians of different runs are subtracted.
function kernel_us(guest, cpu, cpus, kind,   to, entry) {
	to = median(name(guest ~ /^ibrik/ ? "exec" : "init", guest, cpu, cpus, kind))
	entry = median(name("entry", guest, cpu, cpus, "hello"))
	return to < 0 || entry < 0 ? -1 : to - entry
}

function ms(us) { return us < 0 ? "-" : sprintf("%.0f", us / 1000) }
function share(a, b) { return a < 0 || b <= 0 ? "-" : sprintf("%.3f", a / b) }
function millions(sample_name) { return samples[sample_name] ? sprintf("%.1f", median(sample_name) / 1e6) : "-" }

function table_times(title, cpu, peer,   cpus, kind, k, a, b) {
	print "## " title "\n"
	print "| vCPUs | image | ibrik ms | Linux ms | ratio | of the fastest runs | of CPU time | runs |"
	print "|---|---|---|---|---|---|---|---|"
	for (cpus = 1; cpus <= 16; cpus++)
		for (k = 1; k <= 2; k++) {
			kind = k == 1 ? "hello" : "hello-cds"
			a = name("line", "ibrik", cpu, cpus, kind)
			b = name("line", peer, cpu, cpus, kind)
			if (!samples[a] && !samples[b])
				continue
			printf "| %d | %s | %s | %s | %s | %s | %s | %d, %d |\n", cpus, kind, spread(a, 1000, 0), spread(b, 1000, 0), ratio(a, b), ratio_least(a, b),
				ratio(name("line_cpu", "ibrik", cpu, cpus, kind), name("line_cpu", peer, cpu, cpus, kind)), samples[a], samples[b]
		}
	print ""
}

function table_parts(cpu, peer,   cpus, i, who, k) {
	print "## Where the time goes, hello, `-cpu " cpu "`, ms\n"
	print "| guest | vCPUs | start to kernel entry | kernel entry to process 1 or exec | by its own clock | start to exec of java | exec to first line |"
	print "|---|---|---|---|---|---|---|"
	for (cpus = 1; cpus <= 16; cpus++) {
		if (!samples[name("line", "ibrik", cpu, cpus, "hello")] && !samples[name("line", peer, cpu, cpus, "hello")])
			continue
		for (i = 1; i <= 2; i++) {
			who = i == 1 ? "ibrik" : peer
			printf "| %s | %d | %s | %s | %s | %s | %s |\n", who, cpus, spread(name("entry", who, cpu, cpus, "hello"), 1000, 0),
				ms(kernel_us(who, cpu, cpus, "hello")), spread(name("own", who, cpu, cpus, "hello"), 1000, 0),
				spread(name("exec", who, cpu, cpus, "hello"), 1000, 0), spread(name("java", who, cpu, cpus, "hello"), 1000, 0)
		}
		printf "| ratio | %d | | %s | %s | %s | %s |\n", cpus, share(kernel_us("ibrik", cpu, cpus, "hello"), kernel_us(peer, cpu, cpus, "hello")),
			share(median(name("own", "ibrik", cpu, cpus, "hello")), median(name("own", peer, cpu, cpus, "hello"))),
			ratio(name("exec", "ibrik", cpu, cpus, "hello"), name("exec", peer, cpu, cpus, "hello")),
			ratio(name("java", "ibrik", cpu, cpus, "hello"), name("java", peer, cpu, cpus, "hello"))
	}
	print ""
}

# What `ibrik run` gives by default, without a peer.
function table_alone(   cpus, id) {
	if (!samples[name("line", "ibrik@microvm", "max", 1, "hello")])
		return
	print "## ibrik on the machine of `ibrik run`, microvm, hello, `-cpu max`, ms\n"
	print "| vCPUs | start to kernel entry | kernel entry to exec, by its own clock | start to exec of java | start to first line | runs |"
	print "|---|---|---|---|---|---|"
	for (cpus = 1; cpus <= 16; cpus++) {
		id = "ibrik@microvm" SUBSEP "max" SUBSEP cpus SUBSEP "hello"
		if (samples["line" SUBSEP id])
			printf "| %d | %s | %s | %s | %s | %d |\n", cpus, spread("entry" SUBSEP id, 1000, 0), spread("own" SUBSEP id, 1000, 0),
				spread("exec" SUBSEP id, 1000, 0), spread("line" SUBSEP id, 1000, 0), samples["line" SUBSEP id]
	}
	print ""
}

function row_count(who, cpu, kind) {
	if (!samples[name("line_k", who, cpu, 1, kind)])
		return
	printf "| %s | %s | %s | %s | %s | %s | %s |\n", who, cpu, kind, millions(name("init_k", who, cpu, 1, kind)), millions(name("exec_k", who, cpu, 1, kind)),
		millions(name("line_k", who, cpu, 1, kind)), millions(name("line_a", who, cpu, 1, kind))
}

function table_counts(   k, kind) {
	print "## Guest instructions, millions, 1 vCPU\n"
	print "Counted from the kernel's entry. Kernel: high half; application: low half. An iteration of a `rep` instruction counts as one.\n"
	print "| guest | -cpu | image | kernel to process 1 | kernel to exec of java | kernel to first line | application to first line |"
	print "|---|---|---|---|---|---|---|"
	for (k = 1; k <= 2; k++) {
		kind = k == 1 ? "hello" : "hello-cds"
		row_count("ibrik", "max", kind)
		row_count("linux", "max", kind)
		row_count("ibrik", "max,-erms", kind)
		row_count("linux-tuned", "max,-erms", kind)
	}
	print ""
}

function figure(title, key, kind, divisor, digits,   a, b) {
	a = key SUBSEP "ibrik" SUBSEP kind
	b = key SUBSEP "linux" SUBSEP kind
	if (samples[a] || samples[b])
		printf "| %s | %s | %s |\n", title, samples[a] ? sprintf("%.*f", digits, median(a) / divisor) : "-",
			samples[b] ? sprintf("%.*f", digits, median(b) / divisor) : "-"
}

function table_figures() {
	print "## Sizes\n"
	print "| | ibrik | Linux |"
	print "|---|---|---|"
	figure("smallest memory, hello, default JVM flags, MiB", "smallest_memory_mib", "hello", 1, 0)
	figure("smallest memory, small program, MiB", "smallest_memory_mib", "small", 1, 0)
	figure("kernel file, stripped (Linux: as packaged), KiB", "kernel_file_bytes", "-", 1024, 0)
	figure("kernel file, unpacked, KiB", "kernel_unpacked_bytes", "-", 1024, 0)
	figure("image beyond JDK, libraries and jar, KiB", "beyond_jdk_bytes", "-", 1024, 0)
	figure("building an image of a 10 MB jar, JDK cached, ms", "build_ten_mb_jar_ms", "-", 1, 0)
	print ""
}

function bar(who, cpu, cpus, kind,   entry, exec, line) {
	entry = median(name("entry", who, cpu, cpus, "hello"))
	exec = median(name("exec", who, cpu, cpus, kind))
	line = median(name("line", who, cpu, cpus, kind))
	if (line < 0)
		return
	if (entry < 0)
		entry = 0
	printf "%s, %d vCPU%s, %s\t%.0f\t%.0f\t%.0f\n", who, cpus, (cpus == 1 ? "" : "s"), kind, entry / 1000, (exec - entry) / 1000, (line - exec) / 1000
}

END {
	if (mode == "bars") {
		print "QEMU start to first line of Java, ms (medians, -cpu max)\tto kernel entry\tto exec of java\tto first line"
		for (cpus = 1; cpus <= 16; cpus++) {
			bar("ibrik", "max", cpus, "hello")
			bar("linux", "max", cpus, "hello")
			bar("ibrik", "max", cpus, "hello-cds")
			bar("linux", "max", cpus, "hello-cds")
		}
		exit
	}
	table_times("QEMU start to first line of Java, `-cpu max`, Linux as it comes", "max", "linux")
	table_times("The same, `-cpu max,-erms`, Linux tuned", "max,-erms", "linux-tuned")
	table_parts("max", "linux")
	table_parts("max,-erms", "linux-tuned")
	table_alone()
	table_counts()
	table_figures()
	if (samples["loadavg"])
		print "Load average of the host before a run: " spread("loadavg", 1, 2) ".\n"
	if (lost != "")
		print "## Runs that did not reach the first line\n\n" lost
}
