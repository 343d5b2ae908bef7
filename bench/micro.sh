# bench/micro.sh - the micro suites: bench/micro/, one binary, in both guests.
# Sourced by bench/run. Each operation's figure is the best round of a guest; of several
# runs the median is reported. Instructions are counted in a run of their own.

# Touching 1 GiB needs more than that.
[ "$suite" != memory ] || memory=${MEMORY:-1536}

micro_build() {
	local packed=$out/micro-packed
	gcc -std=gnu11 -O2 -Wall -Wextra -Werror -pthread -Wl,-z,now -o "$out/micro" "$here"/micro/*.c || fail "bench/micro does not compile"
	[ "$(stat -c %s "$packed" 2>/dev/null)" = 4194304 ] || head -c 4194304 /dev/urandom >"$packed"
	"$tool_ibrik" build --exec "$out/micro" --file "$packed:/bench/packed" -o "$out/$suite.img" -- "$suite" &&
		"$tool_ibrik" build --exec "$out/micro" --file "$packed:/bench/packed" -o "$out/$suite-count.img" -- "$suite" count ||
		fail "cannot build the image of the suite"
}

# Lines NAME NUMBER of the guest's standard output are figures of the run, as NAME=NUMBER are of another unit.
# Between two marks lie the instructions of the next operation that was counted.
micro_take() { # GUEST
	awk -v prefix="$(cut -f1-7 "$out/last.tsv" | head -n 1)" '
		FILENAME ~ /tsv$/ {
			if (split($0, f, "\t") == 9 && f[8] == "mark")
				mark[++marks] = f[9]
			next
		}
		$2 != "stdout" { next }
		$3 ~ /^[^=]+=[0-9.]+$/ { split($3, f, "="); print prefix "\tfigure:" f[1] "\t" f[2] }
		NF == 4 && $3 !~ /:$/ && $4 ~ /^[0-9.]+$/ { print prefix "\tns:" $3 "\t" $4 }
		# A result of JMH: Benchmark, mode, iterations, score, error, unit.
		$3 ~ /^Ordinary\./ && $4 == "avgt" && $NF == "ns/op" { print prefix "\tns:jmh-" substr($3, 10) "\t" $6 }
		$4 == "failed" { print prefix "\tfailed:" $3 "\t" $5; at += 2 }
		$4 == "counted" && at + 2 <= marks {
			split(mark[++at], a, " ")
			split(mark[++at], b, " ")
			printf "%s\tkernel-insns:%s\t%.1f\n", prefix, $3, (b[1] - a[1]) / $5
			printf "%s\tapp-insns:%s\t%.1f\n", prefix, $3, (b[2] - a[2]) / $5
		}' "$out/last.tsv" "$out/last-$1.log" >>"$tsv"
}

micro_round() { # KIND MODE RUN [MARKTEXT]
	local cpus pair guest
	for cpus in $cpu_counts; do
		for pair in ibrik:max linux:max ibrik:max,-erms linux-tuned:max,-erms; do
			guest=${pair%%:*}
			case " $guests " in *" $guest "*) ;; *) continue ;; esac
			# Without erms ibrik only stands beside the tuned guest.
			[[ $pair != ibrik:max,-erms || " $guests " == *" linux-tuned "* ]] || continue
			! measured "$guest" "${pair#*:}" "$cpus" "$1" "$2" "$3" || continue
			quiet_wait
			guest_run "$guest" "${pair#*:}" "$cpus" "$1" "$2" "$3" "${4:-done}"
			micro_take "$guest"
			complete
		done
	done
}

suite_run() {
	local run
	micro_build
	for run in $(seq "$runs"); do
		micro_round "$suite" wall "$run"
	done
	timeout_s=$((timeout_s * 4))
	micro_round "$suite-count" count 1
}

suite_report() {
	local report=(-f "$here/stats.awk" -f "$here/report-micro.awk")
	{
		echo "# Suite $suite"
		echo
		report_conditions
		echo
		awk -v suite="$suite" "${report[@]}" "$here/goals.tsv" "$here/peers.tsv" "$tsv"
	} >"$out/$suite.md"
	awk -v suite="$suite" -v mode=bars "${report[@]}" "$here/goals.tsv" "$here/peers.tsv" "$tsv" | awk -f "$here/stack.awk" >"$out/$suite.svg"
}
