# bench/report-micro.awk - the table of a micro suite; with mode=bars the ratios in percent
# as input of stack.awk. Used after stats.awk.
BEGIN { FS = "\t" }
$8 ~ /^ns:/ {
	name = substr($8, 4)
	if (!(name in seen)) {
		seen[name] = ++names
		order[names] = name
	}
	sample_add(name SUBSEP $2 SUBSEP $3 SUBSEP $4, $9)
}
$8 ~ /^failed:/ { lost = lost "- " $2 ", " $4 " vCPUs: " substr($8, 8) " failed with error " $9 "\n" }
$8 == "result" && $9 != "ok" { lost = lost "- " $2 ", " $4 " vCPUs, run " $7 ": " $9 "\n" }

function pair(name, cpus, cpu, peer,   a, b) {
	a = name SUBSEP "ibrik" SUBSEP cpu SUBSEP cpus
	b = name SUBSEP peer SUBSEP cpu SUBSEP cpus
	return spread(a, 1, 0) " | " spread(b, 1, 0) " | " ratio(a, b)
}

END {
	if (mode == "bars")
		print "ibrik's time in percent of Linux's (-cpu max)\tpercent"
	else {
		print "| operation | vCPUs | ibrik | Linux | ratio | ibrik, no erms | Linux tuned, no erms | ratio |"
		print "|---|---|---|---|---|---|---|---|"
	}
	for (cpus = 1; cpus <= 16; cpus++)
		for (i = 1; i <= names; i++) {
			a = order[i] SUBSEP "ibrik" SUBSEP "max" SUBSEP cpus
			b = order[i] SUBSEP "linux" SUBSEP "max" SUBSEP cpus
			if (!samples[a] && !samples[b])
				continue
			if (mode != "bars")
				printf "| %s | %d | %s | %s |\n", order[i], cpus, pair(order[i], cpus, "max", "linux"), pair(order[i], cpus, "max,-erms", "linux-tuned")
			else if (samples[a] && samples[b])
				printf "%s, %d vCPU%s\t%.0f\n", order[i], cpus, (cpus == 1 ? "" : "s"), 100 * median(a) / median(b)
		}
	if (mode != "bars" && lost != "")
		print "\nNot measured:\n\n" lost
}
