# bench/json.awk - the raw measurements of a suite as JSON: an array with one object for
# each run, its columns and its values. Numbers stay numbers.
BEGIN { FS = "\t"; print "[" }
function quoted(s) {
	gsub(/\\/, "\\\\", s)
	gsub(/"/, "\\\"", s)
	gsub(/[\001-\037]/, " ", s)
	return "\"" s "\""
}
function value(s) { return s ~ /^-?[0-9]+(\.[0-9]+)?$/ ? s : quoted(s) }
{
	run = $1 FS $2 FS $3 FS $4 FS $5 FS $6 FS $7
	if (run != before || $8 == "memory_mib") {
		if (before != "")
			print "},"
		before = run
		printf " {\"machine\": %s, \"guest\": %s, \"cpu\": %s, \"cpus\": %s, \"kind\": %s, \"mode\": %s, \"run\": %s",
			quoted($1), quoted($2), quoted($3), $4, quoted($5), quoted($6), $7
	}
	printf ",\n  %s: %s", quoted($8), value($9)
}
END {
	if (before != "")
		print "}"
	print "]"
}
