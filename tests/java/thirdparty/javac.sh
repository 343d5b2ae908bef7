#!/bin/bash
# suite: no
# javac compiles a real source tree inside the guest: Apache Commons Lang, from Debian's source package.
. "$(dirname "$0")/common.inc"
sources=$OUT/commons-lang3
if [ ! -d "$sources" ]; then
	archive=$(sh images/apt.sh source host "$OUT" libcommons-lang3-java 'libcommons-lang3-java_3.12.0.orig.tar.xz' \
		f7c22574707611b63bae19ff17f59e24cdd32e2b0e61a50ec9b1b525fbc909d1) ||
		{ echo "skip javac the sources cannot be fetched"; exit 0; }
	mkdir -p "$sources.new"
	tar -xf "$archive" -C "$sources.new" --strip-components=1 && mv "$sources.new" "$sources"
fi
SRC=$sources/src/main/java
(cd "$SRC" && find . -name '*.java' ! -name 'package-info.java' | sed 's|^\.|/src|') >"$OUT/commons-lang3.guest"
sed "s|^/src/|$SRC/|" "$OUT/commons-lang3.guest" >"$OUT/commons-lang3.host"
# The list of files differs between host and guest, and javac prints nothing when all is well: -verbose counts.
classes() {
	grep -c '^\[wrote ' "$1"
}
mkdir -p "$OUT/javac"
javac=$(dirname "$java")/javac
"$javac" -nowarn -verbose -encoding UTF-8 -d "$OUT/javac/classes" "@$OUT/commons-lang3.host" >"$OUT/javac/host" 2>&1 ||
	{ tail -n 5 "$OUT/javac/host"; echo "not ok javac does not work on this machine either"; exit 1; }
timeout -k 5 "${TIMEOUT:-580}" build/ibrik run --jdk "$JDK" -m "$MEMORY" --cpus "$CPUS" --log "$OUT/javac/log" \
	--jvm-opts "-XX:+UnlockExperimentalVMOptions -XX:+Use${GC}GC" --file "$SRC:/src" --file "$OUT/commons-lang3.guest:/t/files" \
	--main jdk.compiler/com.sun.tools.javac.Main -- -nowarn -verbose -encoding UTF-8 -d /tmp/classes @/t/files \
	>"$OUT/javac/out" 2>"$OUT/javac/err" </dev/null
status=$?
cat "$OUT/javac/err" >>"$OUT/javac/out"
if [ $status = 0 ] && [ "$(classes "$OUT/javac/out")" = "$(classes "$OUT/javac/host")" ]; then
	echo "ok javac"
else
	tail -n 8 "$OUT/javac/out" "$OUT/javac/log"
	echo "not ok javac status $status, $(classes "$OUT/javac/out") classes, not $(classes "$OUT/javac/host")"
	exit 1
fi
