# bench/boot.sh - the boot suite: how long from QEMU's start to the first line of Java, how
# little memory is enough, how small the files are. Sourced by bench/run.
#
# Two pairs are run, in turns: the stock guests (-cpu max), and both without `rep stosb`
# (-cpu max,-erms) where Linux gets what a careful operator of one Java service would
# set. A ratio is taken within a pair only.

pairs="ibrik:max linux:max ibrik:max,-erms linux-tuned:max,-erms"
parts=${PARTS-size boot memory}

images_build() {
	local dir=$out/java kind
	rm -rf "$dir"
	mkdir -p "$dir"
	javac --release 17 -d "$dir" "$here"/java/*.java || fail "the Java programs do not compile"
	jar --create --file "$dir/hello.jar" --main-class Hello -C "$dir" Hello.class
	jar --create --file "$dir/small.jar" --main-class Small -C "$dir" Small.class
	if [ "$with_ibrik" = 0 ]; then
		for kind in hello hello-cds small; do
			[ -s "$out/$kind.img" ] || say "no $kind.img, and GUESTS has no ibrik to build it for"
		done
		return
	fi
	"$tool_ibrik" build --jdk 17 "$dir/hello.jar" -o "$out/hello.img" || fail "cannot build hello.img"
	"$tool_ibrik" build --jdk 17 "$dir/small.jar" -o "$out/small.img" || fail "cannot build small.img"
	rm -f "$out/hello-cds.img"
	"$tool_ibrik" build --jdk 17 --cds "$dir/hello.jar" -o "$out/hello-cds.img" || say "no image with --cds"
}

# Runs every guest that takes part once, in turns.
round() { # CPUS KIND MODE RUN
	local pair
	for pair in $pairs; do
		case " $guests " in *" ${pair%%:*} "*) ;; *) continue ;; esac
		quiet_wait
		guest_run "${pair%%:*}" "${pair#*:}" "$1" "$2" "$3" "$4"
	done
}

part_boot() {
	local run cpus kind
	for kind in hello hello-cds; do
		[ -s "$out/$kind.img" ] && cat "$out/$kind.img" >/dev/null
	done
	for cpus in $cpu_counts; do
		round "$cpus" hello entry 1
	done
	for kind in hello hello-cds; do
		[ -s "$out/$kind.img" ] && round 1 "$kind" count 1
	done
	for run in $(seq "$runs"); do
		for cpus in $cpu_counts; do
			for kind in hello hello-cds; do
				[ -s "$out/$kind.img" ] && round "$cpus" "$kind" wall "$run"
			done
		done
		part_alone "$run"
	done
}

# `ibrik run` takes microvm, where Linux under TCG finds no clock to calibrate its TSC by
# and hangs more often than not: ibrik is measured there by itself.
part_alone() { # RUN
	local keep=$machine cpus
	[ "$with_ibrik" = 1 ] || return
	machine=microvm
	for cpus in $cpu_counts; do
		[ "$1" = 1 ] && guest_run ibrik max "$cpus" hello entry 1
		guest_run ibrik max "$cpus" hello wall "$1"
	done
	machine=$keep
}

# One guest with $memory MiB: did the program print its line and end well?
memory_try() { # GUEST KIND TEXT
	guest_run "$1" max 1 "$2" memory "$memory" "$3"
	[ "$(last result)" = ok ] && [ "$(last exit.text)" = "exit 0" ]
}

# The smallest memory that works three times. Fewer may work by luck.
memory_search() { # GUEST KIND TEXT LOW HIGH
	local low=$4 high=$5 keep=$memory tries
	while [ $((high - low)) -gt 1 ]; do
		memory=$(((low + high) / 2))
		if memory_try "$1" "$2" "$3"; then high=$memory; else low=$memory; fi
	done
	memory=$high
	tries=0
	while [ $tries -lt 2 ] && [ "$memory" -lt 512 ]; do
		if memory_try "$1" "$2" "$3"; then tries=$((tries + 1)); else memory=$((memory + 1)) tries=0; fi
	done
	record "$1" "$2" smallest_memory_mib "$memory"
	memory=$keep
}

part_memory() {
	local keep=$timeout_s guest
	timeout_s=45
	for guest in $guests; do
		[ "$guest" = linux-tuned ] && continue
		memory_search "$guest" hello "hello" 24 192
		memory_search "$guest" small "small program done" 24 192
	done
	timeout_s=$keep
}

# Bytes of the regular files in all layers of an image: JDK, libraries and application.
layer_file_bytes() { # IMAGE
	local offset rest
	"$out/image" "$1" | awk '$1 == "section" && $2 == "layer" { print $3 }' | while read -r offset rest; do
		unsquashfs -o "$offset" -lln "$1"
	done | awk '/^-/ { sum += $3 } END { printf "%.0f\n", sum }'
}

part_size() {
	local run before jar=$out/java/ten.jar peer=$out/peer
	record linux - kernel_file_bytes "$(stat -c %s "$peer/vmlinuz")"
	record linux - kernel_unpacked_bytes "$(stat -c %s "$peer/vmlinux")"
	record linux - beyond_jdk_bytes $(($(stat -c %s "$peer/vmlinuz") + $(stat -c %s "$peer/initrd.cpio")))
	[ "$with_ibrik" = 1 ] || return
	strip -o "$out/kernel.stripped" "$kernel"
	record ibrik - kernel_file_bytes "$(stat -c %s "$out/kernel.stripped")"
	record ibrik - beyond_jdk_bytes $(($(stat -c %s "$out/hello.img") - $(layer_file_bytes "$out/hello.img")))
	head -c 10000000 /dev/urandom >"$out/java/ten.bin"
	cp "$out/java/hello.jar" "$jar"
	jar --update --no-compress --file "$jar" -C "$out/java" ten.bin
	for run in 1 2 3; do
		before=$(date +%s%N)
		"$tool_ibrik" build --jdk 17 "$jar" -o "$out/ten.img" || fail "cannot build an image of a 10 MB jar"
		record ibrik - build_ten_mb_jar_ms $((($(date +%s%N) - before) / 1000000))
	done
	rm -f "$out/ten.img" "$jar" "$out/java/ten.bin"
}

suite_run() {
	local part
	images_build
	for part in $parts; do
		"part_$part"
	done
}

suite_report() {
	{
		echo "# Boot suite"
		echo
		report_conditions
		echo
		awk -f "$here/stats.awk" -f "$here/report-boot.awk" "$tsv"
	} >"$out/$suite.md"
	awk -v mode=bars -f "$here/stats.awk" -f "$here/report-boot.awk" "$tsv" | awk -f "$here/stack.awk" >"$out/$suite.svg"
}
