# tests/java/family.sh - Java in the guest: bundles of checks, the ways a machine ends, programs of others.
#
# Theory: tests/java/src is compiled once for release 17; one JVM runs a whole bundle of checks (Checks.java), so a
# boot pays for many. The suite takes a pairwise sample: over 25 rows every collector meets every bundle, JDK and
# number of CPUs, and so do the other pairs. `make matrix` runs every combination (tests/matrix).
#
# Interface: java_jobs adds the jobs
#   java:host                      the bundles on this machine's JDK, which is the oracle
#   java:JDK-GC-Ncpu-BUNDLE        one row of the sample
#   java:end-WAY                   one machine each for the ways to end
#   java:logging-JDK               the launcher's own output
#   java:kernel-JDK                the Java API to kernel functions (jvm/api), which no collector has to do with
#   java:NAME                      tests/java/thirdparty/NAME.sh, tests/java/servers/NAME.sh; those that are meant for the suite, all in the matrix
# servers_jobs adds all of tests/java/servers (make servers).
# Variables: JAVA_MEMORY (512M), JAVA_TIMEOUT (400)

JAVA_DIR=$OUT/java
JAVA_MEMORY=${JAVA_MEMORY:-512M}
JAVA_TIMEOUT=${JAVA_TIMEOUT:-400}
JAVA_JDKS=${JAVA_JDKS:-17 21 25}
JAVA_GCS=(Serial Parallel G1 Z Shenandoah)
JAVA_BUNDLES=(base threads faults files memory)
# Limits that the checks for running out of something need; small, so that they are reached soon.
JAVA_LIMITS="-XX:MaxMetaspaceSize=32m -XX:MaxDirectMemorySize=64m"

java_tool() { # javac, jar, java of this machine's JDK 17 or a later one
	local home
	for home in /usr/lib/jvm/java-17-openjdk-amd64 "${JAVA_HOME:-}"; do
		[ -x "$home/bin/$1" ] && { echo "$home/bin/$1"; return; }
	done
	command -v "$1"
}

# Several jobs may be the first.
java_build() {
	mkdir -p "$JAVA_DIR"
	(
		flock 9
		java_build_locked
	) 9>"$JAVA_DIR/lock-build"
}

java_build_locked() {
	local home sources=(tests/java/src/*.java) newest
	newest=$(ls -t tests/java/src/*.java tests/java/jni/*.c build/ibrik-kernel.jar | head -n 1)
	[ "$JAVA_DIR/javatests.jar" -nt "$newest" ] && [ "$JAVA_DIR/libjnitests.so" -nt "$newest" ] && return
	home=$(dirname "$(dirname "$(readlink -f "$(java_tool javac)")")")
	rm -rf "$JAVA_DIR/classes"
	"$home/bin/javac" --release 17 -Xlint:all,-serial -Werror -cp build/ibrik-kernel.jar -d "$JAVA_DIR/classes" "${sources[@]}" || return
	gcc -O2 -Wall -Wextra -Werror -shared -fPIC -I"$home/include" -I"$home/include/linux" \
		-o "$JAVA_DIR/libjnitests.so" tests/java/jni/jnitests.c || return
	cp build/ibrik-kernel.jar "$JAVA_DIR/ibrik-kernel.jar"
	echo "Class-Path: ibrik-kernel.jar" >"$JAVA_DIR/manifest"
	"$home/bin/jar" --create --file "$JAVA_DIR/javatests.jar" --main-class Checks --manifest "$JAVA_DIR/manifest" -C "$JAVA_DIR/classes" .
}

# Images are made once for each JDK.
java_image() { # jdk
	local image=$JAVA_DIR/checks-$1.img
	(
		flock 9
		if [ ! "$image" -nt "$JAVA_DIR/javatests.jar" ] || [ ! "$image" -nt build/ibrik.elf ] || [ ! "$image" -nt build/ibrik ]; then
			# An older image is not what is to be tried.
			rm -f "$image"
			build/ibrik build --jdk "$1" --file "$JAVA_DIR/libjnitests.so:/t/libjnitests.so" \
				--jvm-opts "-Djni=/t/libjnitests.so" -o "$image.new" "$JAVA_DIR/javatests.jar" >&2 &&
				mv "$image.new" "$image"
		fi
	) 9>"$JAVA_DIR/lock-$1"
	[ -e "$image" ] && echo "$image"
}

# The heap of a bundle: small where it is to run out.
java_heap() {
	case $1 in
	faults|memory) echo "-Xmx160m" ;;
	threads) echo "-Xss512k" ;;
	*) echo "-Dmemory.mib=${JAVA_MEMORY%M}" ;;
	esac
}

java_host() {
	local gc bundle
	java_build || { echo "not ok java:build"; return 1; }
	for gc in Serial G1; do
		timeout "$JAVA_TIMEOUT" "$(java_tool java)" -Xmx160m $JAVA_LIMITS "-XX:+Use${gc}GC" "-Djni=$JAVA_DIR/libjnitests.so" \
			-cp "$JAVA_DIR/javatests.jar" Checks "${JAVA_BUNDLES[@]}" kernel || echo "not ok java:host with $gc: status $?"
	done
}

# The end of a job's output is what a summary shows, so what a JVM that died says of its death goes there, too.
java_report() { # file
	grep -v https: "$1" | grep -E '^#  |^# (JRE|Java VM|[JjVvC] )|^siginfo|^Current thread|^\[thread'
	# Of the code around pc, the lines next to it.
	awk '/^Instructions: /{ pc = substr($2, 5, 18); block = 1; next }
		block && /^$/{ exit }
		block{ line[++n] = $0; if ($1 <= pc ":" || $1 == "=>" && $2 <= pc ":") at = n }
		END{ for (i = at - 1; i <= at + 1; i++) if (i in line) print line[i] }' "$1"
}

java_bundle() { # jdk gc cpus bundle
	local jdk=$1 gc=$2 cpus=$3 bundle=$4 image status dir exhaust=false
	java_build || { echo "not ok java:build"; return 1; }
	image=$(java_image "$jdk") || { echo "not ok $jdk-$gc-${cpus}cpu-$bundle the image cannot be built"; return 1; }
	dir=$JAVA_DIR/$jdk-$gc-${cpus}cpu-$bundle
	mkdir -p "$dir"
	# Threads until nothing is left take half a minute: in the suite with 2 CPUs only, in the matrix always.
	[ "$cpus" = 2 ] || [ -n "${MATRIX:-}" ] && exhaust=true
	# shellcheck disable=SC2046
	guest_boot "$dir/out" "$dir/err" 150 "$JAVA_TIMEOUT" build/ibrik run -m "$JAVA_MEMORY" --cpus "$cpus" --log "$dir/log" \
		--jvm-opts "-XX:+UnlockExperimentalVMOptions -XX:+Use${gc}GC -Dcpus=$cpus -Dguest=$exhaust -Dslow=3 -XX:+ErrorFileToStdout $JAVA_LIMITS $(java_heap "$bundle")" \
		"$image" "$bundle"
	status=$?
	tr -d '\r' <"$dir/out"
	cat "$dir/err"
	if [ $status != 0 ] || ! grep -q '^# ' "$dir/out"; then
		java_report "$dir/out"
		tail -n 10 "$dir/log"
		grep -q '^not ok ' "$dir/out" || echo "not ok $bundle the machine ended with status $status before the bundle was done"
		return 1
	fi
}

# One machine for a way to end: the status and lines that must come out. The machine is signalled when
# `waiting` has been printed. END_JDK (17), END_GC (the JVM's choice) and END_CPUS (2) say on what.
java_end() { # name want-status signal want-output(extended regular expression, over all output) jvm-opts args...
	local name=$1 want=$2 signal=$3 pattern=$4 opts=$5 dir pid status i
	shift 5
	java_build || { echo "not ok java:build"; return 1; }
	opts="$(java_end_gc) $opts"
	dir=$(java_end_dir "$name")
	mkdir -p "$dir"
	: >"$dir/out"
	echo "from standard input" | timeout -k 5 120 build/ibrik run -m 512M --cpus "${END_CPUS:-2}" --log "$dir/log" --jvm-opts "$opts" \
		--main Ends --jdk "${END_JDK:-17}" --cp "$JAVA_DIR/javatests.jar" --file "$JAVA_DIR/libjnitests.so:/t/libjnitests.so" \
		-- "$@" >"$dir/out" 2>"$dir/err" &
	pid=$!
	if [ -n "$signal" ]; then
		for ((i = 0; i < 600; i++)); do
			grep -q waiting "$dir/out" && break
			sleep 0.1
		done
		# The process below `timeout` is the command itself.
		kill "-${signal%%,*}" "$(pgrep -P $pid | head -n 1)" 2>/dev/null || kill "-${signal%%,*}" $pid
		if [ "$signal" != "${signal#*,}" ]; then
			# A thread dump ends with this line, but for the heap.
			for ((i = 0; i < 300; i++)); do
				grep -q 'JNI global refs' "$dir/out" && break
				sleep 0.1
			done
			kill "-${signal#*,}" "$(pgrep -P $pid | head -n 1)"
		fi
	fi
	wait $pid
	status=$?
	cat "$dir/out" "$dir/err"
	if [ $status != "$want" ]; then
		tail -n 15 "$dir/log"
		echo "not ok end-$name status $status, not $want"
		return 1
	fi
	if ! cat "$dir/out" "$dir/err" | tr -d '\r' | tr '\n' '~' | grep -q -E "$pattern"; then
		echo "not ok end-$name the output is not $pattern"
		return 1
	fi
	if [ "$name" = halt ] && grep -q 'hook' "$dir/out"; then
		echo "not ok end-$name a hook ran"
		return 1
	fi
	echo "ok end-$name"
}

# What `ibrik run` gives to a QEMU that takes it, for a machine that is started without it.
java_plugin() {
	local qemu
	qemu=$(command -v qemu-system-x86_64)
	grep -q qemu_plugin_scoreboard_new "$qemu" || ! grep -q qemu_plugin_reset "$qemu" || echo "-plugin build/tcg-reread.so"
}

# The machine's power button, on an image that boots by itself under plain QEMU.
java_power() {
	local dir pid i
	dir=$(java_end_dir power)
	java_build || { echo "not ok java:build"; return 1; }
	mkdir -p "$dir"
	build/ibrik build --jdk "${END_JDK:-17}" --jvm-opts "$(java_end_gc)" --main Ends --cp "$JAVA_DIR/javatests.jar" -o "$dir/image" -- wait || { echo "not ok end-power no image"; return 1; }
	rm -f "$dir/monitor.in" "$dir/monitor.out" "$dir/serial"
	mkfifo "$dir/monitor.in" "$dir/monitor.out"
	cat "$dir/monitor.out" >/dev/null &
	timeout -k 5 150 qemu-system-x86_64 $(java_plugin) -accel tcg,thread=multi -cpu max -machine q35 -smp "${END_CPUS:-2}" -m 512 -display none -nodefaults \
		-drive "file=$dir/image,format=raw,if=virtio" -serial "file:$dir/serial" -monitor "pipe:$dir/monitor" 2>&1 &
	pid=$!
	exec 7>"$dir/monitor.in"
	for ((i = 0; i < 900; i++)); do
		grep -q '^waiting' "$dir/serial" 2>/dev/null && break
		sleep 0.1
	done
	echo system_powerdown >&7
	for ((i = 0; i < 300; i++)); do
		kill -0 $pid 2>/dev/null || break
		sleep 0.1
	done
	if kill -0 $pid 2>/dev/null; then
		echo quit >&7
		tail -n 20 "$dir/serial"
		echo "not ok end-power the machine runs on after its power button was pressed"
	elif grep -q 'hook of signal' "$dir/serial"; then
		echo "ok end-power"
	else
		tail -n 20 "$dir/serial"
		echo "not ok end-power the shutdown hook did not run"
	fi
	exec 7>&-
	wait $pid
}

# The ways to end, each a machine.
JAVA_WAYS=(main nondaemon exit halt uncaught sigterm sigint threaddump crash streams power)

java_way() { # one of JAVA_WAYS
	case $1 in
	main) java_end main 0 '' 'main returns~hook of main~' '' main ;;
	nondaemon) java_end nondaemon 0 '' 'main returns~the last thread ends~' '' nondaemon ;;
	exit) java_end exit 7 '' 'exit 7~hook of exit~' '' exit ;;
	halt) java_end halt 9 '' 'halt 9~' '' halt ;;
	uncaught) java_end uncaught 1 '' 'hook of uncaught~.*IllegalStateException: nobody catches this' '' uncaught ;;
	sigterm) java_end sigterm 143 TERM 'waiting~hook of signal~' '' wait ;;
	sigint) java_end sigint 130 INT 'waiting~hook of signal~' '' wait ;;
	threaddump) java_end threaddump 143 QUIT,TERM 'waiting~.*Full thread dump.*hook of signal~' '' wait ;;
	crash)
		java_end crash 134 '' 'before the crash~.*SIGSEGV.*Native.poke' \
			'-XX:+ErrorFileToStdout -Djni=/t/libjnitests.so' crash 0xdead0000
		;;
	streams) java_end streams 0 '' 'read: from standard input~error line~' '' streams ;;
	power) java_power ;;
	esac
}

# All of them on one combination: a row of the matrix.
java_ends() { # jdk gc cpus
	local END_JDK=$1 END_GC=$2 END_CPUS=$3 way
	for way in "${JAVA_WAYS[@]}"; do
		java_way "$way" || echo "not ok end-$way"
	done
}

java_end_gc() {
	[ -z "${END_GC:-}" ] || echo "-XX:+UnlockExperimentalVMOptions -XX:+Use${END_GC}GC"
}

java_end_dir() { # name
	echo "$JAVA_DIR/end-$1${END_GC:+-$END_JDK-$END_GC-$END_CPUS}"
}

# Programs of the JDK's own launcher: the output must be free of warnings that Linux does not give.
java_logging() { # jdk [gc cpus]
	local image dir=$JAVA_DIR/logging-$1${2:+-$2-$3} status
	java_build || { echo "not ok java:build"; return 1; }
	image=$(java_image "$1") || { echo "not ok logging-$1 the image cannot be built"; return 1; }
	mkdir -p "$dir"
	guest_boot "$dir/out" "$dir/err" 100 200 build/ibrik run -m 512M --cpus "${3:-2}" --log "$dir/log" \
		--jvm-opts "${2:+-XX:+UnlockExperimentalVMOptions -XX:+Use${2}GC} -showversion -Xlog:os*,gc*,pagesize" "$image" base.systemPropertiesDescribeLinux
	status=$?
	cat "$dir/out" "$dir/err"
	[ $status = 0 ] || { tail -n 20 "$dir/log"; echo "not ok logging-$1 status $status"; return 1; }
	if grep -h -i '\[warning\]\|\[error\]' "$dir/out" "$dir/err"; then
		echo "not ok logging-$1 the JVM warns"
		return 1
	fi
	grep -q "openjdk version \"$1" "$dir/err" || { echo "not ok logging-$1 no version"; return 1; }
	echo "ok logging-$1 no warnings"
}

java_jobs() {
	local g b i=0 jdk cpus jdks=($JAVA_JDKS) script way
	local counts=(1 2 4)
	job java host java_host
	for ((g = 0; g < 5; g++)); do
		for ((b = 0; b < 5; b++)); do
			jdk=${jdks[(g + b) % ${#jdks[@]}]}
			cpus=${counts[(g + 2 * b) % 3]}
			job java "$jdk-${JAVA_GCS[g]}-${cpus}cpu-${JAVA_BUNDLES[b]}" java_bundle "$jdk" "${JAVA_GCS[g]}" "$cpus" "${JAVA_BUNDLES[b]}"
		done
	done
	for way in "${JAVA_WAYS[@]}"; do
		job java "end-$way" java_way "$way"
	done
	for i in $JAVA_JDKS; do
		job java "logging-$i" java_logging "$i"
		job java "kernel-$i" java_bundle "$i" G1 2 kernel
	done
	for script in tests/java/thirdparty/*.sh tests/java/servers/*.sh; do
		[ -e "$script" ] && grep -q '^# suite: yes' "$script" &&
			job java "$(basename "$script" .sh)" timeout -k 5 "$JAVA_TIMEOUT" bash "$script"
	done
	true
}

servers_jobs() {
	local script
	for script in tests/java/servers/*.sh; do
		job servers "$(basename "$script" .sh)" timeout -k 5 900 bash "$script"
	done
}
