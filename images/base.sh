#!/bin/sh
#
# images/base.sh - the files every root needs beside its programs: accounts, names,
# the host table, and the loader's cache.
#
# The host table knows the default host name, as Debian does; the command replaces that line for --name.
#
# Interface: base.sh ROOT    ROOT/usr/lib etc. are filled already; adds what is missing
# Errors:    one line on standard error, exit 1. Needs no root.
set -eu
umask 022
root=$1

put() { [ -e "$root/$1" ] || cat > "$root/$1"; }

mkdir -p "$root/etc" "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/usr/lib64" "$root/root" \
	"$root/home" "$root/dev" "$root/proc" "$root/sys" "$root/run" "$root/mnt" "$root/var/tmp" "$root/var/log" "$root/tmp"
chmod 1777 "$root/tmp" "$root/var/tmp"
chmod 700 "$root/root"
for dir in bin sbin lib lib64; do
	[ -e "$root/$dir" ] || ln -s "usr/$dir" "$root/$dir"
done
[ -e "$root/var/run" ] || ln -s ../run "$root/var/run"

put etc/passwd <<-END
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
END
put etc/group <<-END
root:x:0:
daemon:x:1:
tty:x:5:
nogroup:x:65534:
END
put etc/nsswitch.conf <<-END
passwd:    files
group:     files
shadow:    files
hosts:     files dns
networks:  files
protocols: files
services:  files
END
put etc/hosts <<-END
127.0.0.1 localhost
127.0.1.1 ibrik
::1 localhost ip6-localhost ip6-loopback
END
put etc/host.conf <<-END
multi on
END
put etc/timezone <<-END
Etc/UTC
END
put etc/os-release <<-END
NAME="ibrik"
ID=ibrik
PRETTY_NAME="ibrik"
END
[ -e "$root/etc/localtime" ] || [ -L "$root/etc/localtime" ] || ln -s /usr/share/zoneinfo/Etc/UTC "$root/etc/localtime"

# The folders where the loader looks by itself, and those that hold further libraries.
[ -e "$root/etc/ld.so.conf" ] || (
	cd "$root"
	for dir in usr/lib/x86_64-linux-gnu usr/local/lib usr/lib64 usr/lib; do
		[ ! -d "$dir" ] || echo "/$dir"
	done
	[ ! -f "$root/.ld.dirs" ] || cat "$root/.ld.dirs"
) > "$root/etc/ld.so.conf"
rm -f "$root/.ld.dirs"
ldconfig=$(command -v ldconfig || echo /sbin/ldconfig)
"$ldconfig" -X -i -r "$root" 2> /dev/null || { echo "ibrik: ldconfig failed for $root" >&2; exit 1; }
rm -rf "$root/var/cache"
