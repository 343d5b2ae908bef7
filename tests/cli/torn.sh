#!/bin/bash
# The suite runs a bundle again whose JVM died of an instruction that QEMU's translator tore. It must recognise that
# and nothing else.
. "$(dirname "$0")/fake/lib.sh"
. tests/java/family.sh

# report PC BYTES...: a JVM's error report whose dump begins at 0x7f2a148b9353.
report() {
	local pc=$1
	shift
	printf '#  SIGILL (0x4) at pc=%s, pid=1, tid=29\n\nInstructions: (pc=%s)\n' "$pc" "$pc"
	printf '0x00007f2a148b9353:   %s\n' "${*:1:16}"
	printf '0x00007f2a148b9363:   %s\n\n' "${*:17:16}"
	printf '0x00007f2a148b9353:   00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n'
}
patched="d0 0f 85 26 cd 4c 07 66 0f 1f 44 00 00 e9 1b 5c 48 07 fe ff 55 48 83 ec 20 41 81 7f 20 01 00 00"
whole="d0 0f 85 26 cd 4c 07 66 0f 1f 44 00 00 89 84 24 00 c0 fe ff 55 48 83 ec 20 41 81 7f 20 01 00 00"
torn() { # PC BYTES
	# shellcheck disable=SC2086
	report "$1" $2 > "$T/report"
	java_torn "$T/report"
}
not() { ! "$@"; }
check at-the-entry torn 0x00007f2a148b9360 "$patched"
check inside-the-entry torn 0x00007f2a148b9363 "$patched"
check at-its-last-byte torn 0x00007f2a148b9366 "$patched"
check not-behind-it not torn 0x00007f2a148b9367 "$patched"
check not-before-it not torn 0x00007f2a148b935f "$patched"
check not-without-a-patch not torn 0x00007f2a148b9360 "$whole"
echo "no report at all" > "$T/report"
check not-without-a-report not java_torn "$T/report"
finish
