#!/bin/bash
# Java through the command: a jar, an image, a class path, AppCDS, standard input, ends.
. "$(dirname "$0")/../cli/fake/lib.sh"
cat > "$T/App.java" <<'END'
import java.io.*;
import java.nio.charset.StandardCharsets;

public class App {
	public static void main(String[] args) throws Exception {
		if (args.length == 0) { System.out.println("hello " + System.getProperty("user.dir")); return; }
		switch (args[0]) {
		case "exit": System.exit(Integer.parseInt(args[1])); break;
		case "throw": throw new IllegalStateException("thrown");
		case "cat": System.in.transferTo(System.out); System.out.flush(); break;
		case "text": System.out.println(new String(args[1].getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8).length() + " " + args[1]); break;
		case "env": System.out.println(System.getenv("A") + " " + System.getProperty("p")); break;
		case "certificates":
			java.security.KeyStore store = java.security.KeyStore.getInstance(new File(System.getProperty("java.home"), "lib/security/cacerts"), "changeit".toCharArray());
			System.out.println(store.size() > 100 ? "many" : "few " + store.size());
			System.out.println(java.time.ZoneId.systemDefault());
			break;
		case "heap": System.out.println(Runtime.getRuntime().maxMemory() >> 20); break;
		case "host": System.out.println(java.net.InetAddress.getLocalHost()); break;
		case "wait":
			Runtime.getRuntime().addShutdownHook(new Thread(() -> { System.out.println("hook"); System.out.flush(); }));
			System.out.println("ready");
			Thread.sleep(1000000);
		}
	}
}
END
mkdir -p "$T/classes"
javac --release 17 -d "$T/classes" "$T/App.java" && jar --create --file "$T/app.jar" --main-class App -C "$T/classes" . || exit 1
run_ibrik() {
	timeout 120 "$IBRIK" run --accel tcg "$@" > "$T/out" 2> "$T/err" < "${INPUT:-/dev/null}"
	status=$?
	out=$(tr -d '\0' < "$T/out") err=$(cat "$T/err")
}
run_ibrik "$T/app.jar"
check jar [ "$status,$out,$err" = "0,hello /," ]
run_ibrik "$T/app.jar" exit 3
check system-exit [ "$status" = 3 ]
run_ibrik "$T/app.jar" throw
check uncaught-exception [ "$status" = 1 -a -z "$out" ]
check trace-on-standard-error grep -q 'IllegalStateException: thrown' "$T/err"
run_ibrik "$T/app.jar" text 'Grüße €'
check utf-8-arguments [ "$out" = "7 Grüße €" ]
run_ibrik -e A=1 --jvm-opts '-Dp="x y"' "$T/app.jar" env
check environment-and-jvm-options [ "$out" = "1 x y" ]
run_ibrik -e JAVA_TOOL_OPTIONS=-Dp=tool "$T/app.jar" env
check java-tool-options [ "$out" = "null tool" ]
# The share of memory that is the heap's: ours, or what the variables say, which the JVM reads before its command line. A collector may take off some.
run_ibrik -m 1G --jvm-opts -XX:+UseSerialGC "$T/app.jar" heap
check heap-is-most-of-memory [ "$out" -ge 650 -a "$out" -le 780 ]
for name in JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS; do
	run_ibrik -m 1G -e "$name=-XX:+UseSerialGC -XX:MaxRAMPercentage=30" "$T/app.jar" heap
	check "heap-by-$name" [ "$out" -ge 250 -a "$out" -le 320 ]
done
head -c 200000 /dev/urandom > "$T/input"
INPUT=$T/input run_ibrik "$T/app.jar" cat
check input cmp -s "$T/input" "$T/out"
run_ibrik "$T/app.jar" certificates
check certificates-and-zone [ "$out" = "many
Etc/UTC" ]
run_ibrik --main App --cp "$T/classes"
check main-and-class-path [ "$status,$out" = "0,hello /" ]
cat > "$T/Crash.java" <<'END'
public class Crash {
	public static void main(String[] a) throws Exception {
		var field = sun.misc.Unsafe.class.getDeclaredField("theUnsafe");
		field.setAccessible(true);
		System.err.println(java.net.InetAddress.getLocalHost());
		((sun.misc.Unsafe) field.get(null)).putInt(16, 1);
	}
}
END
javac -d "$T/classes" "$T/Crash.java" 2> /dev/null
run_ibrik --main Crash --cp "$T/classes"
check crash-is-a-signal [ "$status" = 134 ]
check report-of-a-crash-on-the-console grep -q 'Register to memory mapping' "$T/err"
run_ibrik -m 20M "$T/app.jar"
check too-little-memory-for-the-jvm grep -q 'insufficient memory for the Java' "$T/out"
check too-little-memory-is-an-error [ "$status" = 1 ]

"$IBRIK" run --accel tcg "$T/app.jar" wait > "$T/out" 2> "$T/err" < /dev/null &
pid=$!
for _ in $(seq 600); do grep -q ready "$T/out" && break; sleep 0.1; done
kill -QUIT $pid
for _ in $(seq 100); do grep -q 'Full thread dump' "$T/out" && break; sleep 0.1; done
check thread-dump grep -q 'Full thread dump' "$T/out"
kill -TERM $pid
wait $pid
check shutdown-hook [ "$?,$(tail -n1 "$T/out")" = "143,hook" ]

# The host name is known, by default and when it is given, for a finished image too.
run_ibrik "$T/app.jar" host
check host-name [ "$out" = "ibrik/10.0.2.15" ]
timeout 60 "$IBRIK" build --name box "$T/app.jar" -o "$T/host.img" -- host
run_ibrik "$T/host.img"
check host-name-of-an-image [ "$out" = "box/10.0.2.15" ]
run_ibrik --name other "$T/host.img"
check host-name-given-for-an-image [ "$out" = "other/10.0.2.15" ]

# The class is in a jar that the Class-Path names as a URL.
mkdir -p "$T/bin" "$T/lib dir"
cp "$T/app.jar" "$T/lib dir/app.jar"
jar --create --file "$T/bin/start.jar" --manifest <(printf 'Main-Class: App\nClass-Path: ../lib%%20dir/app.jar\n') -C "$T" App.java
run_ibrik "$T/bin/start.jar"
check class-path-up-and-down [ "$status,$out" = "0,hello /" ]
ln -s "lib dir" "$T/lib"
jar --create --file "$T/bin/start.jar" --manifest <(printf 'Main-Class: App\nClass-Path: file:%s/lib/app.jar\n' "$T") -C "$T" App.java
run_ibrik "$T/bin/start.jar"
check class-path-absolute [ "$status,$out" = "0,hello /" ]

# A JDK damaged in the cache: the kernel finds it, the command says which file it is.
mkdir "$T/cache"
cp "${IBRIK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ibrik}"/jdk-17-????????.img "$T/cache"
for file in "$T/cache"/*.img; do dd if=/dev/urandom of="$file" bs=1M seek=8 count=100 conv=notrunc status=none; done
IBRIK_CACHE=$T/cache run_ibrik --jdk 17 "$T/app.jar"
check damaged-jdk [ "$status" != 0 -a "$status" != 124 ]
check damaged-jdk-is-named grep -q "^ibrik: the cached JDK $T/cache/jdk-17-.* is damaged: remove it" "$T/err"
rm -r "$T/cache"

# A training run that fails shows why; one works in the folder of -w.
timeout 100 "$IBRIK" build --cds --jvm-opts -XX:+NoSuchOption "$T/app.jar" -o "$T/cds.img" 2> "$T/err"
check failed-training-run [ $? = 125 ]
check failed-training-run-shows-why grep -q "Unrecognized VM option 'NoSuchOption'" "$T/err"
timeout 100 "$IBRIK" build --cds --main Crash --cp "$T/classes" -o "$T/cds.img" 2> "$T/err"
check training-run-without-archive [ $? = 125 ]
check training-run-knows-its-host grep -q -x ibrik/127.0.1.1 "$T/err"
echo "-Dp=q" > "$T/options"
timeout 100 "$IBRIK" build --cds -w /usr --file "$T/options:/usr/options" --jvm-opts @options "$T/app.jar" -o "$T/cds.img" 2> "$T/err"
check training-run-in-its-folder [ $? = 0 ]
timeout 100 "$IBRIK" build --cds --main java.base/sun.security.tools.keytool.Main -o "$T/cds.img" -- -help 2> "$T/err"
check cds-of-a-main-class-in-a-module [ $? = 0 ]
timeout 100 "$IBRIK" build --cds "$T/app.jar" -o "$T/cds.img" 2> "$T/err"
run_ibrik --jvm-opts '-Xlog:class+load:file=/dev/stderr' "$T/cds.img"
check cds-archive-is-used grep -q 'App source: shared objects file (top)' "$T/err"
timeout 60 qemu-system-x86_64 -m 512 -drive file="$T/cds.img",format=raw -display none -no-reboot -serial stdio < /dev/null > "$T/out" 2>&1
check boots-by-itself-under-bios grep -q 'hello /' "$T/out"
finish
