# symbols.awk - from `nm -n` to the kernel's table of symbols (arch/x86_64/symbols.c reads it):
# symbol_count, symbol_offsets[] (32-bit offsets from KERNEL_BASE), symbol_names (NUL-terminated).
BEGIN { n = 0 }
$1 ~ /^ffffffff/ && $2 ~ /^[tT]$/ && $3 ~ /^[a-zA-Z_]/ && $3 !~ /^__(text|kernel)_/ { addr[n] = $1; name[n] = $3; n++ }
END {
	print "\t.section .symbols, \"a\""
	print "\t.globl symbol_count, symbol_offsets, symbol_names"
	print "\t.balign 4"
	print "symbol_count: .long " n + 0
	print "symbol_offsets:"
	for (i = 0; i < n; i++) print "\t.long 0x" addr[i] " - 0xffffffff80000000"
	print "symbol_names:"
	for (i = 0; i < n; i++) print "\t.asciz \"" name[i] "\""
}
