#!/bin/bash
#
# bench/peer/vmlinux.sh - the plain ELF kernel out of a bzImage.
#
# A bzImage is real-mode sectors, then a protected-mode part that carries the
# kernel compressed. The boot protocol's header says how many sectors come first
# (byte 0x1f1) and where the compressed kernel lies in the rest (0x248 offset,
# 0x24c length), so nothing has to be searched for. Every format but gzip has the
# unpacked size appended in four bytes, which the unpackers must not see.
#
# Why: under TCG the kernel's own unpacker runs for seconds. A peer that boots the
# unpacked file by PVH shows what the kernel costs and not what unpacking costs.
#
# Interface: vmlinux.sh BZIMAGE OUTPUT
# Errors: one line on standard error, status 1, no output file.
set -u -o pipefail

fail() {
	echo "vmlinux.sh: $1" >&2
	rm -f "${out:-}"
	exit 1
}

number() { # OFFSET SIZE: a little-endian number of the image
	od -An -t "u$2" -j "$1" -N "$2" "$image" | tr -d ' \n'
}

[ $# = 2 ] || { echo "usage: vmlinux.sh BZIMAGE OUTPUT" >&2; exit 1; }
image=$1
out=
[ -r "$image" ] || fail "cannot read $image"
[ "$(tail -c +515 "$image" | head -c 4)" = HdrS ] || fail "$image is not a bzImage"

sectors=$(number $((0x1f1)) 1)
offset=$(number $((0x248)) 4)
length=$(number $((0x24c)) 4)
[ "$sectors" -gt 0 ] || sectors=4
start=$(((sectors + 1) * 512 + offset))
[ "$length" -gt 8 ] && [ $((start + length)) -le "$(stat -c %s "$image")" ] ||
	fail "$image names a payload that it does not hold"

magic=$(od -An -t x1 -j $start -N 4 "$image" | tr -d ' \n')
size_bytes=4
case $magic in
1f8b*) unpack="gzip -dc" size_bytes=0 ;;
fd377a58) unpack="xz -dc --single-stream" ;;
5d0000*) unpack="xz -dc --format=lzma" ;;
02214c18) unpack="lz4 -dc" ;;
28b52ffd) unpack="zstd -dcq --long=31" ;;
425a68*) unpack="bzip2 -dc" ;;
7f454c46) unpack="cat" size_bytes=0 ;;
*) fail "the kernel is packed in a format this does not know (magic $magic)" ;;
esac
command -v "${unpack%% *}" >/dev/null || fail "the kernel is packed with ${unpack%% *}, which is not installed"

out=$2
tail -c +$((start + 1)) "$image" 2>/dev/null | head -c $((length - size_bytes)) | $unpack >"$out"
[ "${PIPESTATUS[2]}" = 0 ] || fail "${unpack%% *} could not unpack the kernel"
[ "$(head -c 4 "$out" | od -An -t x1 | tr -d ' \n')" = 7f454c46 ] || fail "what was unpacked is not an ELF file"
