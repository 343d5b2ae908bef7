# tests/guest/elf.sh - builds tests/guest/elf.c in the ways a program can be linked.
elf_build() {
	local flags="$GUEST_CFLAGS -Wno-unused-function"
	local -A way=(
		[pie]='-fPIE -pie -ldl'
		[fixed]='-fno-pie -no-pie -DFIXED -ldl'
		[static]='-fno-pie -static -DFIXED -DSTATIC'
		[static-pie]='-fPIE -static-pie -DSTATIC'
		[linked]='-fPIE -pie -DLINKED -ldl'
		[now]='-fPIE -pie -Wl,-z,now,-z,separate-code,-z,max-page-size=65536 -ldl'
		[packed]='-fPIE -pie -Wl,-z,noseparate-code,-z,norelro,-z,lazy -ldl'
	)
	local name
	# shellcheck disable=SC2086
	for name in linked opened; do
		[ "$GUEST_DIR/lib$name.so" -nt tests/guest/lib_tls.c ] ||
			gcc $flags -fPIC -shared -Wl,-Bsymbolic -o "$GUEST_DIR/lib$name.so" tests/guest/lib_tls.c || return
	done
	for name in "${!way[@]}"; do
		guest_fresh "$GUEST_DIR/elf-$name" && continue
		local libs=
		[ "$name" = linked ] && libs="-L$GUEST_DIR -llinked"
		case $name in
		static*) ;; # a search path in a static PIE crashes glibc's start
		*) libs="$libs -Wl,-rpath,\$ORIGIN:/t -Wl,--push-state,--no-as-needed,-lgcc_s,--pop-state" ;;
		esac
		# shellcheck disable=SC2086
		gcc $flags -MMD -MF "$GUEST_DIR/elf-$name.d" -DVARIANT="\"$name\"" -o "$GUEST_DIR/elf-$name" tests/guest/elf.c ${way[$name]} $libs || return
	done
}
