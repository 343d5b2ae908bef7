#!/bin/bash
# suite: yes
# Of the calls that H2 and javac make after a warm-up, at least 99 % reach the kernel through the call gate.
. "$(dirname "$0")/common.inc"
need /usr/share/java/h2.jar libh2-java
dir=$OUT/gate-$JDK-$GC-$CPUS
mkdir -p "$dir/classes"
"$(dirname "$java")/javac" --release 17 -Xlint:all -Werror -d "$dir/classes" tests/java/thirdparty/GateShare.java || { echo "not ok gate GateShare does not compile"; exit 1; }
rm -rf "$dir/tmp"
mkdir "$dir/tmp"
timeout 300 "$java" -Djava.io.tmpdir="$dir/tmp" -Dsources=tests/java/src -Dsources.cp=build/ibrik-kernel.jar -cp "$dir/classes:/usr/share/java/h2.jar" GateShare \
	>"$dir/host" 2>"$dir/host.err" && [ "$(cat "$dir/host")" = $'h2 done\njavac done' ] ||
	{ tail -n 5 "$dir/host" "$dir/host.err"; echo "not ok gate does not work on this machine either"; exit 1; }
rm -rf "$dir/tmp"
timeout -k 5 "${TIMEOUT:-380}" build/ibrik run --jdk "$JDK" -m "$MEMORY" --cpus "$CPUS" --log "$dir/log" --jvm-opts \
	"-XX:+UnlockExperimentalVMOptions -XX:+Use${GC}GC -Dsources=/src -Dsources.cp=/t/ibrik-kernel.jar" --file "$PWD/tests/java/src:/src" \
	--file "$PWD/build/ibrik-kernel.jar:/t/ibrik-kernel.jar" --cp "$dir/classes:/usr/share/java/h2.jar" --main GateShare -- >"$dir/out" 2>"$dir/err"
status=$?
cat "$dir/out" "$dir/err"
if [ $status != 0 ]; then
	tail -n 8 "$dir/log"
	echo "not ok gate status $status on ibrik"
	exit 1
fi
failed=0
for name in h2 javac; do
	# Fewer calls than this would say nothing.
	if awk -v name=$name '$1 == name { found = $3 + $5 >= 500 && $3 >= 99 * $5 } END { exit !found }' "$dir/out"; then
		echo "ok gate-$name $(awk -v name=$name '$1 == name { print $3, "calls through the gate,", $5, "by the instruction" }' "$dir/out")"
	else
		echo "not ok gate-$name less than 99 % of the calls came through the gate"
		failed=1
	fi
done
exit $failed
