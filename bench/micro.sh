# bench/micro.sh - the micro suites: bench/micro/micro.c, one static binary, in both guests.
# Sourced by bench/run. Each operation's figure is the best round of a guest; of several
# runs the median is reported.

images_build_micro() {
	[ "$with_ibrik" = 1 ] || return
	gcc -std=gnu11 -O2 -Wall -Wextra -Werror -static -pthread -o "$out/micro" "$here/micro/micro.c" || fail "micro.c does not compile"
	"$tool_ibrik" build --exec "$out/micro" -o "$out/$suite.img" -- "$suite" || fail "cannot build the image of the suite"
}

# Lines NAME NUMBER of the guest's standard output are figures of the run.
micro_take() { # GUEST
	awk -v prefix="$(cut -f1-7 "$out/last.tsv" | head -n 1)" '
		$2 == "stdout" && $4 ~ /^[0-9.]+$/ { print prefix "\tns:" $3 "\t" $4 }
		$2 == "stdout" && $4 == "failed" { print prefix "\tfailed:" $3 "\t" $5 }' "$out/last-$1.log" >>"$tsv"
}

suite_run() {
	local run cpus pair guest
	images_build_micro
	for run in $(seq "$runs"); do
		for cpus in $cpu_counts; do
			for pair in ibrik:max linux:max ibrik:max,-erms linux-tuned:max,-erms; do
				guest=${pair%%:*}
				case " $guests " in *" $guest "*) ;; *) continue ;; esac
				quiet_wait
				guest_run "$guest" "${pair#*:}" "$cpus" "$suite" wall "$run" "done"
				micro_take "$guest"
			done
		done
	done
}

suite_report() {
	{
		echo "# Suite $suite"
		echo
		echo "Nanoseconds an operation; ratio: ibrik over Linux. $(date -u '+%Y-%m-%d %H:%M') UTC, machine $machine, $memory MiB."
		echo
		awk -f "$here/stats.awk" -f "$here/report-micro.awk" "$tsv"
	} >"$out/$suite.md"
	awk -v mode=bars -f "$here/stats.awk" -f "$here/report-micro.awk" "$tsv" | awk -f "$here/stack.awk" >"$out/$suite.svg"
}
