# bench/locks.sh - the suite locks: bench/java/suite/Locks.java with the JDK and collector of the suite java. Sourced by bench/run after
# micro.sh and java.sh, whose settings it shares.
#
# A boot is one figure, and ten boots are the least that tells two kernels apart (RUNS=10, two vCPUs, half an hour for both guests). It is not
# among the suites that `all` runs: what it tells is one line of the suite java, and why that line differs from boot to boot.

micro_build() {
	local dir=$out/locks-suite
	rm -rf "$dir"
	mkdir -p "$dir/classes"
	javac --release 17 -d "$dir/classes" "$here/java/suite/Locks.java" || fail "Locks.java does not compile"
	jar --create --file "$dir/locks.jar" --main-class Locks -C "$dir/classes" . || fail "cannot make locks.jar"
	"$tool_ibrik" build --jdk 17 --jvm-opts "$java_options" "$dir/locks.jar" -o "$out/locks.img" || fail "cannot build locks.img"
}

suite_run() {
	local run
	micro_build
	for run in $(seq "$runs"); do
		micro_round locks wall "$run" "done"
	done
}
