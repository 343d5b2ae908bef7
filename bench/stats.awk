# bench/stats.awk - reading the measurements and the statistics that reports share; used
# with a second -f. sample_add() collects, the others ask. Times in the file are
# microseconds; reports speak milliseconds.
function sample_add(name, number) { sample[name, ++samples[name]] = number + 0 }

function sample_sort(name,   i, j, x) {
	for (i = 2; i <= samples[name]; i++) {
		x = sample[name, i]
		for (j = i - 1; j >= 1 && sample[name, j] > x; j--)
			sample[name, j + 1] = sample[name, j]
		sample[name, j + 1] = x
	}
}

function median(name,   n) {
	n = samples[name]
	if (!n)
		return -1
	sample_sort(name)
	return n % 2 ? sample[name, (n + 1) / 2] : (sample[name, n / 2] + sample[name, n / 2 + 1]) / 2
}

# "median (least-most)", scaled; "-" without a sample.
function spread(name, divisor, digits,   m) {
	m = median(name)
	if (m < 0)
		return "-"
	return sprintf("%.*f (%.*f–%.*f)", digits, m / divisor, digits, sample[name, 1] / divisor, digits, sample[name, samples[name]] / divisor)
}

function ratio(a, b) {
	return samples[a] && samples[b] && median(b) > 0 ? sprintf("%.2f", median(a) / median(b)) : "-"
}

# Of the least disturbed samples: what a loaded host leaves to compare.
function ratio_least(a, b) {
	return samples[a] && samples[b] && median(a) > 0 && median(b) > 0 ? sprintf("%.2f", sample[a, 1] / sample[b, 1]) : "-"
}
