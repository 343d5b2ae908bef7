# bench/java.sh - the java suite: bench/java/suite/Bench.java and programs under JMH, with the same JDK, jars and
# collector in both guests. Sourced by bench/run after micro.sh, whose rounds, figures and tables it shares.
#
# JMH runs in the JVM that is measured (-f 0): ibrik has no child processes.

memory=${MEMORY:-1024}
timeout_s=${TIMEOUT:-400}
# Both guests lose most runs with several CPUs to QEMU's translator without it (docs/caveats.md).
smp_plugin="-plugin $top/build/tcg-reread.so"
java_options="-XX:+UseG1GC -Xms512m -Xmx512m -XX:+ErrorFileToStderr"
jmh_options="-f 0 -wi 2 -i 4 -w 1 -r 1"
# Neither clearing pages nor Linux's start-up is what Java costs here, so the tuned pair would only take time.
guests=${GUESTS:-ibrik linux}

micro_build() {
	local dir=$out/java-suite jars
	rm -rf "$dir/classes" "$dir/jmh"
	mkdir -p "$dir/classes" "$dir/jmh"
	cp "$top/build/ibrik-kernel.jar" "$dir/ibrik-kernel.jar"
	echo "Class-Path: ibrik-kernel.jar" >"$dir/manifest"
	javac --release 17 -cp "$dir/ibrik-kernel.jar" -d "$dir/classes" "$here/java/suite/Bench.java" || fail "Bench.java does not compile"
	jar --create --file "$dir/bench.jar" --main-class Bench --manifest "$dir/manifest" -C "$dir/classes" . || fail "cannot make bench.jar"
	"$tool_ibrik" build --jdk 17 --jvm-opts "$java_options" "$dir/bench.jar" -o "$out/java.img" || fail "cannot build java.img"
	if ! ls "$dir"/lib/jmh-core-*.jar >/dev/null 2>&1; then
		mvn -q -B -f "$here/java/jmh/pom.xml" dependency:copy-dependencies -DoutputDirectory="$dir/lib" >"$out/mvn.out" 2>&1 ||
			fail "cannot fetch JMH: Maven says so in build/bench/mvn.out (apt-get install maven)"
	fi
	jars=$(echo "$dir"/lib/*.jar | tr ' ' :)
	javac --release 17 -cp "$jars" -d "$dir/jmh" "$here/java/jmh/Ordinary.java" || fail "Ordinary.java does not compile"
	jar --create --file "$dir/ordinary.jar" -C "$dir/jmh" . || fail "cannot make ordinary.jar"
	"$tool_ibrik" build --jdk 17 --jvm-opts "$java_options" --main org.openjdk.jmh.Main \
		--cp "$dir/ordinary.jar:$jars" -o "$out/jmh.img" -- $jmh_options || fail "cannot build jmh.img"
}

suite_run() {
	local run
	micro_build
	for run in $(seq "$runs"); do
		micro_round java wall "$run" "done"
		micro_round jmh wall "$run" "# Run complete"
	done
}
