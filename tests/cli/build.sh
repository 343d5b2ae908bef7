#!/bin/bash
# `ibrik build` and `inspect`: settings, reproducible images, sizes. Needs the cached JDK or the network.
. "$(dirname "$0")/fake/lib.sh"
make_kernel "$T/kernel"
make_jar "$T/app.jar" 17 'Main-Class: Main'
build() { run_ibrik build --kernel "$T/kernel" "$@"; }
holds() { grep -q -F -e "$2" <<< "$1"; }

build "$T/app.jar" -o "$T/a.img" -e A=1 -e B=two --jvm-opts '-Xmx64m -Dx="a b"' -w /tmp --name box -- one 'two words'
check build [ "$status,$out,$err" = "0,," ]
inspected=$("$IBRIK" inspect --verify "$T/a.img")
check inspect-verifies holds "$inspected" "is as it was written"
check inspect-jdk holds "$inspected" "(Java 17)"
check inspect-command holds "$inspected" "/bin/java -Xmx64m '-Dx=a b' -jar /app/app.jar one 'two words'"
check inspect-environment holds "$inspected" "  B=two"
check inspect-workdir holds "$inspected" "workdir:     /tmp"
check files-certificates holds "$inspected" "/etc/ssl/certs/java/cacerts"
check files-time-zones holds "$inspected" "/usr/share/zoneinfo/Europe/Berlin"
check files-name-service holds "$inspected" "/etc/nsswitch.conf"
check files-cds-of-the-jdk holds "$inspected" "lib/server/classes.jsa"

# The same inputs give the same bytes, whatever the time and the umask.
export SOURCE_DATE_EPOCH=1700000000
build "$T/app.jar" -o "$T/b.img"
touch "$T/app.jar"
(umask 077; cp "$T/app.jar" "$T/copy.jar")
mkdir "$T/other"
mv "$T/copy.jar" "$T/other/app.jar"
(umask 077; timeout 60 "$IBRIK" build --kernel "$T/kernel" "$T/other/app.jar" -o "$T/c.img")
check reproducible cmp -s "$T/b.img" "$T/c.img"
unset SOURCE_DATE_EPOCH

# Small and quick.
head -c 10000000 /dev/urandom > "$T/classes/blob"
jar --create --file "$T/large.jar" --manifest "$T/manifest" -C "$T/classes" .
start=$(date +%s%N)
build "$T/large.jar" -o "$T/large.img"
took=$((($(date +%s%N) - start) / 1000000))
check "10-MB-jar-in-2-s" [ $status = 0 -a $took -lt 2000 ]
layer=$("$IBRIK" inspect --no-files "$T/large.img" | sed -n 's/^layer: *jdk-17[^ ]* *\([0-9]*\) bytes.*/\1/p')
beyond=$(($(stat -c %s "$T/large.img") - layer - $(stat -c %s "$T/large.jar") - $(stat -c %s "$T/kernel")))
check "at-most-1-MiB-beyond-jdk-jar-and-kernel" [ $beyond -lt $((1 << 20)) ]

# A damaged JDK in the cache is not handed on.
mkdir "$T/cache"
cp "${IBRIK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ibrik}"/jdk-17-????????.img "$T/cache"
for file in "$T/cache"/*.img; do printf x | dd of="$file" bs=1 seek=100000000 conv=notrunc status=none; done
IBRIK_CACHE=$T/cache build --jdk 17 "$T/app.jar" -o "$T/none.img"
says damaged-jdk-in-the-cache 125 "the cached JDK $T/cache/jdk-17-"
IBRIK_CACHE=$T/cache build --jdk 17 --compress gzip "$T/app.jar" -o "$T/none.img"
says damaged-jdk-is-not-compressed 125 "the cached JDK $T/cache/jdk-17-"
check no-image-of-a-damaged-jdk [ ! -e "$T/none.img" ]
rm -r "$T/cache"

# The entries of a Class-Path are URLs; where the guest's /lib is a link, the jar goes behind it.
mkdir -p "$T/bin" "$T/lib" "$T/url" "$T/etc"
cp "$T/app.jar" "$T/lib/dep.jar"
for jar in "$T/lib/up.jar" "$T/url/absolute.jar" "$T/url/file.jar" "$T/url/a b.jar" "$T/bin/c d.jar"; do cp "$T/app.jar" "$jar"; done
echo x > "$T/bin/not-asked-for"
echo x > "$T/etc/conf"
printf 'Main-Class: Main\nClass-Path: ../lib/up.jar c%%20d.jar file:%s\n /file.jar %s/absolute.jar file://%s/a%%20b.jar http://x/y.jar . ../etc/\n' \
	"$T/url" "$T/url" "$T/url" > "$T/manifest"
jar --create --file "$T/bin/urls.jar" --manifest "$T/manifest" -C "$T/lib" dep.jar
build "$T/bin/urls.jar" -o "$T/urls.img"
check class-path-of-urls [ "$status,$err" = "0," ]
inspected=$("$IBRIK" inspect "$T/urls.img")
for file in /usr/lib/up.jar "/app/c d.jar" "$T/url/file.jar" "$T/url/absolute.jar" "$T/url/a b.jar" /etc/conf; do
	check "class-path-holds-${file##*/}" holds "$inspected" " $file"
done
check the-jar-s-folder-is-not-taken [ -z "$(grep not-asked-for <<< "$inspected")" ]
check lib-stays-a-link [ -z "$(grep '^d.* /lib$' <<< "$inspected")" ]

# The host table has the name of the machine.
hosts() { unsquashfs -cat -o "$("$IBRIK" inspect --no-files "$1" | sed -n 's/^layer: *app .* at \([0-9]*\),.*/\1/p')" "$1" etc/hosts; }
build --exec /bin/true -o "$T/hosts.img"
check host-name-by-default [ "$(hosts "$T/hosts.img" | grep -w ibrik)" = "127.0.1.1 ibrik" ]
build --exec /bin/true --name box.local -o "$T/hosts.img"
check host-name-given [ "$(hosts "$T/hosts.img" | grep '127.0.1.1')" = "127.0.1.1 box.local" ]
build "$T/app.jar" --name box -o "$T/hosts.img"
check host-name-given-beside-a-jdk [ "$(hosts "$T/hosts.img" | tr '\n' ';')" = "127.0.0.1 localhost;::1 localhost ip6-localhost ip6-loopback;127.0.1.1 box;" ]
printf '10.0.0.1 box other\n127.0.1.1 mine\n' > "$T/hosts"
build --exec /bin/true --file "$T/hosts:/etc/hosts" --name box -o "$T/hosts.img"
mkdir "$T/tree"
ln -s "$T/hosts" "$T/tree/hosts"
build --exec /bin/true --file "$T/tree:/etc" --name new -o "$T/link.img"
check host-table-that-is-a-link [ "$(hosts "$T/link.img" | tail -n1),$(grep -c new "$T/hosts")" = "127.0.1.1 new,0" ]
check host-table-that-knows-the-name [ "$(hosts "$T/hosts.img")" = "$(cat "$T/hosts")" ]
build --exec /bin/true --file "$T/hosts:/etc/hosts" --name new -o "$T/hosts.img"
check host-table-keeps-other-names [ "$(hosts "$T/hosts.img")" = "$(cat "$T/hosts"; echo 127.0.1.1 new)" ]

# Class-Path of the manifest comes along; the environment: file, then command line.
jar --create --file "$T/cp.jar" --manifest <(printf 'Main-Class: Main\nClass-Path: lib/dep.jar lib/absent.jar ../outside.jar\n') -C "$T/classes" Main.class
printf '# comment\nA=file\n\nC=from file\nHOME\n' > "$T/env"
cache=${IBRIK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ibrik}
HOME=/home/me IBRIK_CACHE=$cache timeout 60 "$IBRIK" build --kernel "$T/kernel" --env-file "$T/env" -e A=line "$T/cp.jar" -o "$T/d.img"
inspected=$("$IBRIK" inspect "$T/d.img")
check class-path holds "$inspected" "/app/lib/dep.jar"
check env-file holds "$inspected" "'C=from file'"
check env-from-here holds "$inspected" "HOME=/home/me"
check env-line-wins [ "$(grep -c '^  A=' <<< "$inspected")" = 1 ]
check env-line-value holds "$inspected" "  A=line"

build --main Main --cp "$T/app.jar:$T/lib/dep.jar" --file "$T/env:/etc/app/env" --file "$T/lib:/data" -o "$T/e.img"
inspected=$("$IBRIK" inspect "$T/e.img")
check main-and-cp holds "$inspected" "-cp /app/cp/app.jar:/app/cp/dep.jar Main"
check file holds "$inspected" "/etc/app/env"
check file-folder holds "$inspected" "/data/dep.jar"

build --compress gzip --exec /bin/ls -o "$T/gz.img" -- -l
build --exec /bin/ls -o "$T/ls.img" -- -l
check gzip-is-smaller [ "$(stat -c %s "$T/gz.img")" -lt "$(stat -c %s "$T/ls.img")" ]
inspected=$("$IBRIK" inspect --verify "$T/ls.img")
check boot-code-is-verified holds "$inspected" "and the boot code is as it was written"
check exec-command holds "$inspected" "ls -l"
check exec-libraries holds "$inspected" "/usr/lib/x86_64-linux-gnu/libc.so.6"
check exec-loader-cache holds "$inspected" "/etc/ld.so.cache"

# A build that is ended while it writes leaves the old image and nothing else.
cat > "$T/slow.c" <<-'END'
	#define _GNU_SOURCE
	#include <stdio.h>
	#include <string.h>
	#include <sys/syscall.h>
	#include <unistd.h>
	ssize_t copy_file_range(int in, off_t *in_at, int out, off_t *out_at, size_t n, unsigned flags)
	{
		char link[64], name[4096] = "";

		snprintf(link, sizeof(link), "/proc/self/fd/%d", out);
		if (readlink(link, name, sizeof(name) - 1) > 0 && strstr(name, ".part"))
			sleep(30);
		return syscall(SYS_copy_file_range, in, in_at, out, out_at, n, flags);
	}
END
gcc -shared -fPIC -o "$T/slow.so" "$T/slow.c"
mkdir "$T/alone"
cp "$T/ls.img" "$T/alone/a.img"
LD_PRELOAD=$T/slow.so timeout 60 "$IBRIK" build --kernel "$T/kernel" --exec /bin/ls -o "$T/alone/a.img" &
pid=$!
for _ in $(seq 1000); do compgen -G "$T/alone/*.part" > "$T/part" && break; sleep 0.05; done
kill -TERM $pid
wait $pid
check ended-while-it-writes [ "$?,$(wc -l < "$T/part"),$(ls "$T/alone")" = "143,1,a.img" ]
check ended-while-it-writes-keeps-the-old cmp -s "$T/alone/a.img" "$T/ls.img"

if command -v qemu-img > /dev/null; then
	run_ibrik convert "$T/ls.img" "$T/ls.qcow2"
	qemu-img convert -O raw "$T/ls.qcow2" "$T/back.img" && truncate -s "$(stat -c %s "$T/ls.img")" "$T/back.img"
	check convert-qcow2 cmp -s "$T/ls.img" "$T/back.img"
fi
check version [ "$("$IBRIK" --version | cut -d' ' -f1)" = ibrik ]
for command in "" run build inspect convert; do
	# shellcheck disable=SC2086
	check "help${command:+-$command}" [ -n "$("$IBRIK" $command --help | grep '^usage: ibrik')" ]
done
finish
