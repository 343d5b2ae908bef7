# bench/stack.awk - a plot of stacked horizontal bars as SVG. Input, tab-separated: a line
# with the title and the names of the parts, then a line for each bar: label and parts.
BEGIN {
	FS = "\t"
	split("#4269d0 #efb118 #6cc5b0 #ff725c #a463f2", colour, " ")
	left = 230; width = 560; high = 22; gap = 8; top = 70
}
function escaped(s) {
	gsub(/&/, "\\&amp;", s)
	gsub(/</, "\\&lt;", s)
	return s
}
NR == 1 {
	title = $1
	parts = NF - 1
	for (i = 1; i <= parts; i++)
		part[i] = $(i + 1)
	next
}
NF > 1 {
	label[++n] = $1
	for (i = 1; i <= parts; i++) {
		value[n, i] = $(i + 1) > 0 ? $(i + 1) : 0
		total[n] += value[n, i]
	}
	if (total[n] > most)
		most = total[n]
}
END {
	if (!most)
		most = 1
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"13\">\n", left + width + 90, top + n * (high + gap) + 10
	print "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
	printf "<text x=\"10\" y=\"22\" font-size=\"15\">%s</text>\n", escaped(title)
	x = left
	for (i = 1; i <= parts; i++) {
		printf "<rect x=\"%d\" y=\"38\" width=\"12\" height=\"12\" fill=\"%s\"/><text x=\"%d\" y=\"49\">%s</text>\n", x, colour[i], x + 17, escaped(part[i])
		x += 40 + 8 * length(part[i])
	}
	for (row = 1; row <= n; row++) {
		y = top + (row - 1) * (high + gap)
		printf "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", left - 8, y + 16, escaped(label[row])
		x = left
		for (i = 1; i <= parts; i++) {
			w = value[row, i] * width / most
			printf "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"><title>%s: %d</title></rect>\n", x, y, w, high, colour[i], escaped(part[i]), value[row, i]
			x += w
		}
		printf "<text x=\"%.1f\" y=\"%d\">%d</text>\n", x + 6, y + 16, total[row]
	}
	print "</svg>"
}
