#!/bin/bash
#
# bench/peer/build.sh - the Linux guest: an uncompressed kernel and an initramfs.
#
# The kernel is the distribution's cloud kernel, fetched by images/apt.sh and never
# installed. The initramfs holds init.c and the modules that the machine's disks and
# file systems need, stored uncompressed because unpacking costs time under TCG.
# Module signatures stay in place: stripping them would boot faster and taint the
# kernel, which an operator of a stock kernel would not do.
#
# Interface: bench/peer/build.sh OUTPUT_FOLDER
#   writes OUTPUT_FOLDER/vmlinux, initrd.cpio, initrd-net.cpio (with the network card's driver), vmlinuz (as packaged), version
#   does nothing when they are newer than their sources
# Errors: one line on standard error, status 1.
set -eu -o pipefail

fail() {
	echo "bench/peer: $1" >&2
	exit 1
}

[ $# = 1 ] || fail "usage: build.sh OUTPUT_FOLDER"
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)

if [ -s "$out/vmlinux" ] && [ -s "$out/initrd.cpio" ] && [ -s "$out/initrd-net.cpio" ] && [ -s "$out/version" ] &&
	[ "$out/initrd.cpio" -nt "$here/init.c" ] && [ "$out/initrd.cpio" -nt "$here/build.sh" ]; then
	exit 0
fi

for tool in cpio gcc lz4 readelf xz zstd; do
	command -v $tool >/dev/null || fail "$tool is missing (apt-get install binutils cpio gcc lz4 xz-utils zstd)"
done

package=$("$top/images/apt.sh" deps host linux-image-cloud-amd64 |
	sed -n 's/^\(linux-image-[0-9][^ ]*-cloud-amd64\) .*/\1/p' | head -n 1)
[ -n "$package" ] || fail "the release has no cloud kernel"

rm -rf "$out/tree" "$out/initramfs"
mkdir -p "$out/deb" "$out/initramfs"
if ! ls "$out/deb/${package}"_*.deb >/dev/null 2>&1; then
	rm -f "$out"/deb/*
	"$top/images/apt.sh" fetch host "$out/deb" "$package"
fi
"$top/images/apt.sh" extract "$out/tree" "$out/deb/${package}"_*.deb

config=$(echo "$out"/tree/boot/config-*)
grep -q '^CONFIG_PVH=y' "$config" || fail "$package has no PVH entry (CONFIG_PVH)"
cp "$out"/tree/boot/vmlinuz-* "$out/vmlinuz"
"$here/vmlinux.sh" "$out/vmlinuz" "$out/vmlinux"

# In the order in which they depend on each other.
modules=$(echo "$out"/tree/lib/modules/*)
modules_add() { # MODULE...
	local module name
	for module; do
		name=$(basename "$module").ko
		if [ ! -e "$modules/kernel/$module.ko" ]; then
			grep -q "/$name\$" "$modules/modules.builtin" || fail "$package has no $name"
			continue
		fi
		cp "$modules/kernel/$module.ko" "$out/initramfs/$name"
		echo "/$name" >>"$out/initramfs/modules"
	done
}
archive_make() { # FILE
	(cd "$out/initramfs" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) >"$out/$1"
}

gcc -std=gnu11 -Os -Wall -Wextra -Werror -static -nostdlib -ffreestanding -fno-stack-protector \
	-fno-pie -no-pie -Wl,-z,noseparate-code,--build-id=none -s \
	-o "$out/initramfs/init" "$here/init.c"
: >"$out/initramfs/modules"
modules_add drivers/virtio/virtio_ring drivers/virtio/virtio drivers/virtio/virtio_pci_legacy_dev drivers/virtio/virtio_pci_modern_dev \
	drivers/virtio/virtio_pci drivers/virtio/virtio_mmio drivers/block/virtio_blk drivers/char/virtio_console \
	fs/squashfs/squashfs fs/overlayfs/overlay
archive_make initrd.cpio
modules_add net/core/failover drivers/net/net_failover drivers/net/virtio_net
archive_make initrd-net.cpio
echo "${package#linux-image-}" >"$out/version"
rm -rf "$out/tree"
