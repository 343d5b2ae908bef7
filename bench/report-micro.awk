# bench/report-micro.awk - the tables of a micro suite; with mode=bars the ratios in percent as input of stack.awk.
# Used after stats.awk, with suite=NAME, on goals.tsv, peers.tsv and the measurements.
BEGIN { FS = "\t" }
/^#/ { next }
FILENAME ~ /goals\.tsv$/ {
	if ($1 == suite)
		goal[++goals] = $0
	next
}
FILENAME ~ /peers\.tsv$/ {
	peer_line[$1] = $3 " / " $4 " / " $5
	next
}
function take(kind, name) {
	if (!((kind, name) in seen)) {
		seen[kind, name] = 1
		order[kind, ++names[kind]] = name
	}
	sample_add(kind SUBSEP name SUBSEP $2 SUBSEP $3 SUBSEP $4, $9)
}
$8 ~ /^ns:/ { take("ns", substr($8, 4)) }
$8 ~ /^figure:/ { take("figure", substr($8, 8)) }
$8 ~ /^kernel-insns:/ { take("kernel", substr($8, 14)) }
$8 ~ /^app-insns:/ { take("app", substr($8, 11)) }
$8 ~ /^failed:/ { lost = lost "- " $2 ", " $4 " vCPUs: " substr($8, 8) " failed with error " $9 "\n" }
$8 == "exit.text" && $9 != "exit 0" { lost = lost "- " $2 ", " $4 " vCPUs, " $5 ", run " $7 ": the program ended early, " $9 "\n" }
$8 == "result" && $9 != "ok" { lost = lost "- " $2 ", " $4 " vCPUs, run " $7 ": " $9 "\n" }

# Of the least to the most, a number with as many digits as it deserves.
function figures(a,   m) {
	m = median(a)
	return m < 0 ? "-" : spread(a, 1, m < 100 ? 1 : 0)
}
function key(kind, name, guest, cpu, cpus) { return kind SUBSEP name SUBSEP guest SUBSEP cpu SUBSEP cpus }
function small(r) { return r < 0 ? "-" : sprintf(r < 0.1 ? "%.3f" : "%.2f", r) }
function quotient(a, b) { return samples[a] && samples[b] && median(b) > 0 ? median(a) / median(b) : -1 }

function ends_with(text, ending) { return substr(text, length(text) - length(ending) + 1) == ending }

# The goal of a line: the first that fits; `-` is none. Sets goal_ratio, goal_least, or goal_most.
function goal_find(name, cpus, pair,   i, f) {
	for (i = 1; i <= goals; i++) {
		split(goal[i], f, "\t")
		if ((f[2] == name || f[2] ~ /^\*/ && ends_with(name, substr(f[2], 2))) && (f[3] == 0 || f[3] == cpus) && f[4] == pair && f[6] == "") {
			if (f[5] == "-")
				return 0
			goal_most = f[5] ~ /^<=/ ? substr(f[5], 3) + 0 : -1
			goal_least = f[5] ~ /^>=/ ? substr(f[5], 3) + 0 : -1
			goal_ratio = f[5] + 0
			return 1
		}
	}
	return 0
}
function verdict(name, cpus, pair, r, own) {
	if (r < 0 || !goal_find(name, cpus, pair))
		return ""
	if (goal_most >= 0)
		return "at most " goal_most (median(own) <= goal_most ? "" : " **missed**")
	if (goal_least >= 0)
		return "at least " goal_least (r >= goal_least ? "" : " **missed**")
	return small(goal_ratio) (r <= goal_ratio ? "" : " **missed**")
}

function row(kind, name, cpus,   a, b, c, d, r, s) {
	a = key(kind, name, "ibrik", "max", cpus)
	b = key(kind, name, "linux", "max", cpus)
	c = key(kind, name, "ibrik", "max,-erms", cpus)
	d = key(kind, name, "linux-tuned", "max,-erms", cpus)
	if (!samples[a] && !samples[b] && !samples[c] && !samples[d])
		return
	r = quotient(a, b)
	s = quotient(c, d)
	if (mode == "bars") {
		if (r >= 0)
			printf "%s, %d vCPU%s\t%.0f\n", name, cpus, (cpus == 1 ? "" : "s"), 100 * r
		return
	}
	printf "| %s | %d | %s | %s | %s | %s | %s | %s | %s |%s\n", name, cpus, figures(a), figures(b), small(r), verdict(name, cpus, "max", r, a),
		small(s), verdict(name, cpus, "-erms", s, c), kind == "ns" ? instructions(name, cpus) : "", kind == "ns" ? " " peer_line[name] " |" : ""
}

# Kernel and application of ibrik, of Linux, and the ratio of their sums.
function instructions(name, cpus,   k, a, m, b, ours, theirs) {
	k = key("kernel", name, "ibrik", "max", cpus)
	a = key("app", name, "ibrik", "max", cpus)
	m = key("kernel", name, "linux", "max", cpus)
	b = key("app", name, "linux", "max", cpus)
	if (!samples[k] || !samples[m])
		return "-"
	ours = median(k) + median(a)
	theirs = median(m) + median(b)
	return sprintf("%.0f+%.0f, %.0f+%.0f: %s", median(k), median(a), median(m), median(b), small(ours / theirs))
}

END {
	if (mode == "bars")
		print "ibrik's time in percent of Linux's (-cpu max)\tpercent"
	else {
		print "| operation | vCPUs | ibrik ns | Linux ns | ratio | goal | ratio, tuned, no erms | goal | instructions: ibrik, Linux | OSv / Nanos / Unikraft |"
		print "|---|---|---|---|---|---|---|---|---|---|"
	}
	for (cpus = 1; cpus <= 16; cpus++)
		for (i = 1; i <= names["ns"]; i++)
			row("ns", order["ns", i], cpus)
	if (mode == "bars")
		exit
	for (i = 1; i <= goals; i++) {
		split(goal[i], f, "\t")
		for (cpus = 1; f[6] != "" && cpus <= 16; cpus++) {
			r = quotient(key("ns", f[2], "ibrik", "max", cpus), key("ns", f[6], "linux", "max", cpus))
			if (r >= 0)
				extra = extra "- " f[2] " of ibrik to " f[6] " of Linux, " cpus " vCPUs: " small(r) " (goal " small(f[5]) (r <= f[5] ? "" : ", missed") ")\n"
		}
	}
	if (names["figure"]) {
		print "\n| figure | vCPUs | ibrik | Linux | ratio | goal | ratio, tuned, no erms | goal | |"
		print "|---|---|---|---|---|---|---|---|---|"
		for (cpus = 1; cpus <= 16; cpus++)
			for (i = 1; i <= names["figure"]; i++)
				row("figure", order["figure", i], cpus)
	}
	if (extra != "")
		print "\n" extra
	if (lost != "")
		print "\nNot measured:\n\n" lost
}
