#!/bin/bash
#
# bench/pvh.sh - the address at which a PVH boot enters a kernel: the 32-bit physical
# address in the ELF note "Xen", type 18 (PHYS32_ENTRY).
#
# Interface: pvh.sh KERNEL_ELF, prints 0xADDRESS
# Errors: one line, status 1, when the file has no such note.
readelf -nW "$1" 2>/dev/null | awk '
	/0x00000012\)/ && /Xen/ { found = 1 }
	found && /description data:/ {
		sub(/.*description data: */, "")
		for (i = 4; i >= 1; i--)
			address = address $i
		exit
	}
	END {
		if (address == "")
			exit 1
		print "0x" address
	}' || { echo "pvh.sh: $1 has no PVH entry" >&2; exit 1; }
