#!/bin/sh
#
# images/jdk.sh - the root folder of a JDK: the JDK itself, its own C library, the libraries
# its native parts need, certificates, time zones, fonts and name-service files.
#
# Only libraries that some file of the JDK really loads are taken, found by asking
# the loader of that very C library; what stays out are desktop parts (sound, printing, smart
# cards) whose libraries talk to daemons that a guest does not have.
#
# Interface:
#   jdk.sh debian N OUT    JDK N (17, 21, 25) from this machine's Debian release, or the next one
#   jdk.sh folder DIR OUT  the JDK in DIR with the libraries of this machine
#                          OUT/root is the root folder, OUT/settings the lines of settings that
#                          belong to it (images/format.h), OUT/version the JDK's own version,
#                          OUT/packages what it was made from
#   jdk.sh id DIR          a line that changes whenever something in the folder DIR does
# Errors:  one line on standard error, exit 1. Needs no root.
set -eu
umask 022
here=$(dirname "$0")
multiarch=x86_64-linux-gnu

die() { echo "ibrik: $*" >&2; exit 1; }

# Libraries that LIB and its kin load: from the loader's own answer, by their real place.
# $sys is where the libraries come from: a folder of unpacked packages, or "" for this machine.
copy_libraries() {
	loader=
	for file in "$sys/lib/$multiarch/ld-linux-x86-64.so.2" "$sys/usr/lib/$multiarch/ld-linux-x86-64.so.2" "$sys/lib64/ld-linux-x86-64.so.2"; do
		if [ -f "$file" ]; then loader=$file; break; fi
	done
	[ -n "$loader" ] || die "no C library found for the JDK"
	path=$jdk/lib:$jdk/lib/server:$jdk/lib/jli:$jdk/jre/lib/amd64:$jdk/jre/lib/amd64/server:$jdk/jre/lib/amd64/jli
	[ -z "$sys" ] || path=$path:$sys/lib/$multiarch:$sys/usr/lib/$multiarch
	lib=$root/usr/lib/$multiarch
	mkdir -p "$lib" "$root/usr/lib64"
	find "$jdk/bin" "$jdk/lib" "$jdk/jre" \( -name '*.so' -o -path '*/bin/java' -o -name jspawnhelper \) \
		! -name libjsound.so ! -name libj2pcsc.so ! -name 'libawt_xawt.so' ! -name 'libjawt.so' ! -name 'libsplashscreen.so' \
		! -name 'libj2gss.so' ! -name 'libglass*' -type f 2> /dev/null | sort > "$out/natives"
	while read -r file; do
		"$loader" --library-path "$path" --list "$file" 2> /dev/null || [ "${file%/java}" = "$file" ] ||
			die "$file cannot be loaded with the C library $loader"
	done < "$out/natives" | sed -n 's/^\t[^ ]* => \(\/[^ ]*\) (.*/\1/p' | sort -u > "$out/libraries"
	# Opened at run time by name, so nothing lists them.
	for name in libfontconfig.so.1 libnss_files.so.2 libnss_dns.so.2 libresolv.so.2 libthread_db.so.1 librt.so.1 libdl.so.2 libpthread.so.0 libutil.so.1 libanl.so.1; do
		for file in "$sys/usr/lib/$multiarch/$name" "$sys/lib/$multiarch/$name"; do
			[ -f "$file" ] || continue
			echo "$file"
			"$loader" --library-path "$path" --list "$file" 2> /dev/null | sed -n 's/^\t[^ ]* => \(\/[^ ]*\) (.*/\1/p'
			break
		done
	done >> "$out/libraries"
	sort -u "$out/libraries" | while read -r file; do
		case $file in "$jdk"/*) continue ;; esac
		cp -pL "$file" "$lib/${file##*/}"
	done
	cp -pL "$loader" "$lib/ld-linux-x86-64.so.2"
	ln -sf "../lib/$multiarch/ld-linux-x86-64.so.2" "$root/usr/lib64/ld-linux-x86-64.so.2"
}

copy() { # what exists of these, below $sys
	for name in "$@"; do
		[ -e "$sys/$name" ] || continue
		mkdir -p "$root/$(dirname "$name")"
		cp -a "$sys/$name" "$root/$name"
	done
}

# A Java key store (JKS, version 2) of the certificates in the PEM files given: the format is
# a header, entries of alias, date and certificate, and a SHA-1 seal over all with the
# password "changeit" in UTF-16. The date is 0, so the same certificates give the same file.
write_cacerts() {
	octal() { # N bytes of a number, big-endian
		n=$1 v=$2 text=
		while [ "$n" -gt 0 ]; do
			text=$(printf '\\%03o' $((v & 255)))$text
			v=$((v >> 8)) n=$((n - 1))
		done
		# shellcheck disable=SC2059
		printf "$text"
	}
	{
		printf '\376\355\376\355'
		octal 4 2
		octal 4 $#
		for pem in "$@"; do
			sed -n '/^-----BEGIN/,/^-----END/{/^-----/!p}' "$pem" | base64 -d > "$out/der"
			alias=debian:$(basename "$pem" .crt | tr 'A-Z' 'a-z' | tr -c 'a-z0-9_.\n-' '_').pem
			octal 4 2
			octal 2 ${#alias}
			printf '%s' "$alias"
			octal 8 0
			octal 2 5
			printf 'X.509'
			octal 4 "$(stat -c %s "$out/der")"
			cat "$out/der"
		done
	} > "$out/jks"
	seal=$({ printf 'c\0h\0a\0n\0g\0e\0i\0t' | sed 's/^/\x00/'; printf 'Mighty Aphrodite'; cat "$out/jks"; } | sha1sum | cut -c1-40)
	# shellcheck disable=SC2059
	{ cat "$out/jks"; printf "$(echo "$seal" | sed 's/../\n&/g' | while read -r hex; do [ -z "$hex" ] || printf '\\%03o' $((0x$hex)); done)"; }
}

make_certificates() {
	mkdir -p "$root/etc/ssl/certs/java"
	if [ -d "$sys/usr/share/ca-certificates/mozilla" ]; then
		cat "$sys"/usr/share/ca-certificates/mozilla/*.crt > "$root/etc/ssl/certs/ca-certificates.crt"
		write_cacerts "$sys"/usr/share/ca-certificates/mozilla/*.crt > "$root/etc/ssl/certs/java/cacerts"
	elif [ -f "$sys/etc/ssl/certs/ca-certificates.crt" ]; then
		cp -L "$sys/etc/ssl/certs/ca-certificates.crt" "$root/etc/ssl/certs/ca-certificates.crt"
	fi
}

# One time for all files made here, so that the same packages give the same bytes.
finish() {
	"$here/base.sh" "$root"
	find "$root" -newer "$out/start" -exec touch -h -r "$jdk/release" {} +
	release=$(sed -n 's/^JAVA_VERSION="\(1\.\)\{0,1\}\([0-9]*\).*/\2/p' "$jdk/release")
	{
		echo "java.home=$home"
		echo "java.release=$release"
		echo "env=LANG=C.UTF-8"
		echo "env=JAVA_HOME=$home"
		echo "env=PATH=$home/bin:/usr/local/bin:/usr/bin:/bin"
	} > "$out/settings"
	sed -n 's/^JAVA_VERSION="\(.*\)"/\1/p' "$jdk/release" > "$out/version"
}

make_debian() {
	package=openjdk-$number-jre-headless
	suite=$("$here/apt.sh" host)
	"$here/apt.sh" has "$suite" "$package" || suite=$("$here/apt.sh" next)
	"$here/apt.sh" has "$suite" "$package" || die "no JDK $number: neither $("$here/apt.sh" host) nor $suite has $package"
	set -- "$package" libc6 libc-bin libstdc++6 libgcc-s1 zlib1g tzdata ca-certificates \
		libfontconfig1 libfreetype6 libharfbuzz0b liblcms2-2 libjpeg62-turbo fontconfig-config fonts-dejavu-core
	"$here/apt.sh" deps "$suite" "$@" > "$out/packages"
	"$here/apt.sh" download "$suite" "$out/deb" "$@"
	touch "$out/start"
	"$here/apt.sh" extract "$out/all" "$out"/deb/*.deb
	sys=$out/all
	home=/usr/lib/jvm/java-$number-openjdk-amd64
	jdk=$sys$home
	[ -x "$jdk/bin/java" ] || die "the package $package of $suite holds no $home/bin/java"
	copy_libraries
	copy "${home#/}" "etc/java-$number-openjdk" usr/share/zoneinfo usr/lib/locale/C.utf8 etc/fonts usr/share/fontconfig/conf.avail usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
	rm -rf "$root$home/man" "$root$home/docs" "$root/usr/share/zoneinfo/right" "$root/usr/share/zoneinfo/posix"
	mkdir -p "$root/usr/bin" "$root/usr/share/ibrik"
	ln -s "$home/bin/java" "$root/usr/bin/java"
	cp "$out/packages" "$root/usr/share/ibrik/packages"
	make_certificates
	finish
	rm -rf "$out/all" "$out/deb"
}

make_folder() {
	jdk=$(realpath "$dir") || die "$dir: no such folder"
	[ -d "$jdk" ] || die "$dir: not a folder"
	[ -f "$jdk/release" ] && [ -f "$jdk/bin/java" ] || die "$dir: not a JDK: bin/java or the file release is missing"
	find -L "$jdk/lib" "$jdk/jre" -name libjvm.so 2> /dev/null | grep -q . || die "$dir: not a JDK: it has no libjvm.so"
	sys=
	home=/usr/lib/jvm/$(basename "$jdk")
	touch "$out/start"
	copy_libraries
	mkdir -p "$root/usr/lib/jvm"
	cp -a "$jdk" "$root$home"
	# Links that leave the folder are followed.
	(cd "$jdk" && find . -type l) | while read -r link; do
		target=$(realpath -m "$jdk/$link")
		case $target in "$jdk"/*) continue ;; esac
		rm -f "$root$home/$link"
		[ ! -e "$target" ] || cp -aL "$jdk/$link" "$root$home/$link"
	done
	copy usr/share/zoneinfo usr/lib/locale/C.utf8
	rm -rf "$root$home/man" "$root$home/docs" "$root$home/demo" "$root$home/jmods" "$root$home/lib/src.zip" "$root$home/src.zip" \
		"$root/usr/share/zoneinfo/right" "$root/usr/share/zoneinfo/posix"
	mkdir -p "$root/usr/bin"
	ln -s "$home/bin/java" "$root/usr/bin/java"
	echo "$dir $(sed -n 's/^IMPLEMENTOR="\(.*\)"/\1/p' "$jdk/release")" > "$out/packages"
	make_certificates
	finish
}

[ $# -ge 2 ] || die "usage: jdk.sh debian N OUT | folder DIR OUT | id DIR"
case $1 in
id)
	(cd "$2" && find -L . -printf '%P %s %T@ %m\n' | sort && cksum "$0" release) | sha256sum | cut -c1-16
	exit ;;
debian | folder)
	[ $# -eq 3 ] || die "usage: jdk.sh $1 ... OUT"
	out=$3
	root=$out/root
	mkdir -p "$root"
	number=$2 dir=$2
	"make_$1" ;;
*) die "jdk.sh: unknown command $1" ;;
esac
