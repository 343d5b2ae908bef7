#!/bin/sh
#
# tests/deps.sh - installs the Debian packages that building, running and testing need.
#
# Interface: tests/deps.sh run|test|bench|matrix|servers
#   run     what `make run` needs: compiler, QEMU, squashfs tools, a JDK to build the example
#   test    the same and what the suite needs: clang with its sanitizers
#   bench   what `make bench` needs
#   matrix  what tests need and the programs of others that the matrix runs
#   servers what tests need and what asks and loads servers
# Quiet when everything is there; otherwise asks apt once, with sudo when not root.
# Errors: one line and exit 1.
set -eu

run="gcc libc6-dev make git qemu-system-x86 squashfs-tools zlib1g-dev dpkg-dev xz-utils ca-certificates openjdk-17-jdk-headless"
test="$run clang libclang-rt-14-dev llvm iproute2 libclojure-java libh2-java maven"
servers="$test curl postgresql wrk"
matrix="$test liblucene8-java curl postgresql"
bench="$run binutils cpio curl iproute2 lz4 maven wrk zstd"

case ${1:-} in
run) want=$run ;;
test) want=$test ;;
bench) want=$bench ;;
matrix) want=$matrix ;;
servers) want=$servers ;;
*) echo "usage: tests/deps.sh run|test|bench|matrix|servers" >&2; exit 1 ;;
esac

command -v dpkg-query >/dev/null || { echo "deps.sh: this is not Debian: install $want yourself" >&2; exit 1; }
missing=
for package in $want; do
	case $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true) in
	installed*) ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

sudo=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "deps.sh: need root or sudo to install:$missing" >&2; exit 1; }
	sudo=sudo
fi
echo "installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
	DEBIAN_FRONTEND=noninteractive $sudo apt-get -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1
}
# shellcheck disable=SC2086
if ! apt install -y --no-install-recommends $missing; then
	apt update || { tail -n 3 "$log" >&2; echo "deps.sh: apt-get update failed" >&2; exit 1; }
	apt install -y --no-install-recommends $missing ||
		{ tail -n 3 "$log" >&2; echo "deps.sh: could not install$missing" >&2; exit 1; }
fi
