# figures.awk - puts the table of figures into docs/jvm.md, from the list in kernel/vdso/exports.h.
# Usage: awk -f figures.awk exports.h jvm.md, which prints the page with the table between its marks.
FNR == NR {
	if ($0 ~ /^\tF\([A-Z]/) { split($0, part, "\""); row[++rows] = "| `" part[2] "` | " part[4] " |" }
	next
}
/^<!-- figures: end -->/ { inside = 0 }
!inside { print }
/^<!-- figures: begin -->/ {
	inside = 1
	print "\n| figure | what it is |\n|---|---|"
	for (i = 1; i <= rows; i++) print row[i]
	print ""
}
