# abi.awk - docs/abi.md from kernel/linux/syscalls.def and the kernel headers' list of numbers.
# Usage: awk -f abi.awk NUMBERS syscalls.def, where NUMBERS holds lines "#define __NR_name number".
FNR == NR {
	if ($1 == "#define" && $2 ~ /^__NR_/) { number[$3] = substr($2, 6); if ($3 + 0 > max) max = $3 + 0 }
	next
}
/^SYSCALL\(/ {
	line = $0
	sub(/^SYSCALL\(/, "", line)
	split(line, f, ", *")
	nr = f[1]; name = f[2]; status = f[3]
	note = line
	sub(/^[^"]*"/, "", note)
	sub(/".*$/, "", note)
	st[nr] = status; notes[nr] = note; names[nr] = name
	count[status]++
}
END {
	print "# System calls"
	print ""
	print "Made by `make abi` from `kernel/linux/syscalls.def`, the one list from which the dispatch table and the"
	print "tracer are made too. *Full*: as Linux documents the call, for what a single application can see. *Partial*:"
	print "what is missing is said. *ENOSYS*: the call answers ENOSYS; the first use of each is a line in the kernel log."
	print ""
	printf "%d full, %d partial, the others ENOSYS.\n\n", count["FULL"], count["PARTIAL"]
	print "| number | call | status | remarks |"
	print "|---|---|---|---|"
	for (i = 0; i <= max; i++) {
		if (!(i in number) && !(i in st)) continue
		if (i in st)
			printf "| %d | %s | %s | %s |\n", i, names[i], st[i] == "FULL" ? "full" : st[i] == "PARTIAL" ? "partial" : "ENOSYS", notes[i]
		else
			printf "| %d | %s | ENOSYS | |\n", i, number[i]
	}
}
