#!/bin/bash
# Small machines: Java's hello in 52 MiB with default flags, and what is said when memory is at its end.
. "$(dirname "$0")/../cli/fake/lib.sh"
run_ibrik() {
	timeout 100 "$IBRIK" run --accel tcg "$@" > "$T/out" 2> "$T/err" < /dev/null
	status=$?
	out=$(tr -d '\0' < "$T/out") err=$(cat "$T/err")
}
make_jar "$T/main.jar" 17 "Main-Class: Main" || exit 1
for jdk in 17 21 25; do
	run_ibrik -m 52M --jdk $jdk "$T/main.jar"
	check "hello-in-52-MiB-jdk-$jdk" [ "$status,$out" = "0,main" ]
done
cat > "$T/touch.c" <<'END_C'
#include <stdio.h>
#include <sys/mman.h>

int main(void)
{
	const size_t size = 400ul << 20;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return 3;
	for (size_t i = 0; i < size; i += 4096)
		p[i] = 1;
	puts("touched");
	return 0;
}
END_C
gcc -O1 -o "$T/touch" "$T/touch.c" || exit 1
run_ibrik -m 600M --exec "$T/touch"
check memory-is-there [ "$status,$out" = "0,touched" ]
for size in 64M 300M; do
	run_ibrik -m $size --exec "$T/touch"
	says "out-of-memory-in-$size" 125 "out of memory: thread 1 (touch) touched"
done
# Direct memory until nothing is left: an OutOfMemoryError that the program survives, and no end of the machine.
cat > "$T/Direct.java" <<'END_JAVA'
public class Direct {
	public static void main(String[] args) {
		java.util.List<java.nio.ByteBuffer> all = new java.util.ArrayList<>();
		try {
			for (;;) {
				java.nio.ByteBuffer b = java.nio.ByteBuffer.allocateDirect(Integer.parseInt(args[0]) << 20);
				for (int i = 0; i < b.capacity(); i += 4096)
					b.put(i, (byte) 1);
				all.add(b);
			}
		} catch (OutOfMemoryError e) {
			all = null;
			System.gc();
			System.out.println("caught");
		}
	}
}
END_JAVA
mkdir "$T/direct" && javac --release 17 -d "$T/direct" "$T/Direct.java" || exit 1
for size in 60 5; do
	run_ibrik -m 160M --jvm-opts "-XX:MaxDirectMemorySize=2g" --main Direct --cp "$T/direct" -- $size
	check "direct-memory-of-$size-MiB-runs-out" [ "$status,$out" = "0,caught" ]
done
finish
