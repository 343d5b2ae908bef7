# bench/lib.sh - what every suite of bench/run shares: building the tools, composing the
# two guests from one image, and recording what a run gave.
#
# A measurement is a line of build/bench/SUITE.tsv, tab-separated:
#	machine guest cpu cpus kind mode run key value
# machine is microvm or q35; guest is ibrik, linux or linux-tuned; cpu is QEMU's -cpu;
# kind names the image (hello, hello-cds, small); mode is wall (a plain run), entry (the plugin notes the kernel's
# entry) or count (the plugin counts instructions). JSON and tables are made from it.
#
# Both guests get the same machine, firmware, memory, CPUs, devices and the same squashfs
# layers, as `ibrik run` would attach them (images/qemu.c): ibrik reads them through the image's header, Linux gets each layer as a raw
# window of the same file. One guest runs at a time.

say() { echo "bench: $1" >&2; }

fail() {
	say "$1"
	exit 1
}

tools_build() {
	local flags="-std=gnu11 -O2 -Wall -Wextra -Werror" tool
	for tool in awk gcc qemu-system-x86_64 readelf strip javac jar unsquashfs; do
		command -v $tool >/dev/null || fail "$tool is missing (apt-get install binutils gcc qemu-system-x86 default-jdk-headless squashfs-tools)"
	done
	mkdir -p "$out"
	gcc $flags -o "$out/guest" "$here/guest.c"
	gcc $flags -o "$out/image" "$here/image.c"
	gcc $flags -I"$here/.." -fPIC -shared -fvisibility=hidden -o "$out/icount.so" "$here/icount.c"
	"$here/peer/build.sh" "$out/peer"
	entry_linux=$("$here/pvh.sh" "$out/peer/vmlinux")
	[ "$with_ibrik" = 0 ] && return
	[ -s "$kernel" ] && [ -x "$tool_ibrik" ] || fail "build/ibrik.elf and build/ibrik are missing: run make first"
	entry_ibrik=$("$here/pvh.sh" "$kernel")
}

# The heap that ibrik's launcher gives a JVM in this much memory (jvm/launcher.c): the
# peer's operator knows that java is alone, too.
java_defaults() { # ZGC(0 or 1)
	awk -v mib="$memory" -v zgc="$1" 'BEGIN {
		other = 48 + (mib / 5 < 512 ? mib / 5 : 512) + (zgc ? 48 + mib / 10 : 0)
		percent = int((mib > other ? mib - other : 0) * 100 / mib)
		print "-XX:MaxRAMPercentage=" (percent < 25 ? 25 : percent > 85 ? 85 : percent)
	}'
}

# The java command that ibrik's launcher (jvm/launcher.c) would make of the image's
# settings, or the exec= command, for Linux's command line.
linux_command() { # IMAGE
	local zgc=0
	! "$out/image" "$1" | grep -q -- "-XX:+UseZGC" || zgc=1
	"$out/image" "$1" | awk -v defaults="$(java_defaults $zgc)" '
		$1 != "setting" { next }
		{ sub(/^setting /, ""); at = index($0, "="); key = substr($0, 1, at - 1); value = substr($0, at + 1) }
		key == "arg" { args = args " " value; next }
		key == "java.opt" { opts = opts " " value; next }
		{ set[key] = value }
		END {
			if (set["java.home"] == "") {
				print set["exec"] args
				exit
			}
			line = set["java.home"] "/bin/java " defaults opts
			if (set["java.cds"] != "")
				line = line " -XX:SharedArchiveFile=" set["java.cds"]
			if (set["java.jar"] != "")
				line = line " -jar " set["java.jar"]
			else
				line = line " -cp " set["java.cp"] " " set["java.main"]
			print line args
		}'
}

# microvm has its devices on virtio-mmio, q35 on PCI; both start qboot.
machine_arguments() {
	case $machine in
	microvm) echo "-machine microvm,rtc=on,x-option-roms=off -global virtio-mmio.force-legacy=false" ;;
	*) echo "-machine $machine,vmport=off -bios qboot.rom" ;;
	esac
	echo "-device virtio-rng-$(machine_bus) -device isa-debug-exit,iobase=0xf4,iosize=4"
}

machine_bus() { [ "$machine" = microvm ] && echo device || echo pci; }

# The image's environment as kernel parameters: Linux hands NAME=VALUE to process 1.
linux_environment() { # IMAGE
	"$out/image" "$1" | sed -n 's/^setting env=//p' | tr '\n' ' '
}

# Drives of the image's layers for Linux, the highest first.
linux_drives() { # IMAGE
	"$out/image" "$1" | awk -v file="$1" -v bus="$(machine_bus)" '
		$1 == "section" && $2 == "layer" { n++; offset[n] = $3; length_[n] = $4 }
		END {
			for (i = n; i >= 1; i--)
				printf "-drive if=none,id=d%d,readonly=on,driver=raw,file.driver=file,file.filename=%s,offset=%d,size=%d -device virtio-blk-%s,drive=d%d ",
					i, file, offset[i], length_[i], bus, i
		}'
}

# guest_run GUEST CPU CPUS KIND MODE RUN [MARKTEXT]: one boot, recorded.
guest_run() {
	local guest=$1 cpu=$2 cpus=$3 kind=$4 mode=$5 run=$6 text=${7:-hello}
	local image=$out/$kind.img plugin="" entry options layers
	local -a marks command
	case $guest in
	ibrik)
		entry=$entry_ibrik
		marks=(-m "exec=control:exec " -m "line=stdout:$text" -m "exit=control:exit " -m "fail=control:fail ")
		command=(-kernel "$kernel" -append "$ibrik_options ${net_ibrik:-}"
			-drive "if=none,id=d0,readonly=on,format=raw,file=$image" -device "virtio-blk-$(machine_bus),drive=d0") ;;
	linux | linux-tuned)
		entry=$entry_linux
		options="console=ttyS0 panic=-1 quiet"
		[ "$guest" = linux ] || options="$options $linux_tuning"
		layers=$("$out/image" "$image" | grep -c '^section layer')
		marks=(-m "init=serial:init " -m "exec=serial:exec " -m "line=stdout:$text" -m "exit=serial:exit " -m "fail=serial:peer: ")
		command=(-kernel "$out/peer/vmlinux" -initrd "$out/peer/${net_initrd:-initrd.cpio}"
			-append "$options $(linux_environment "$image")-- layers=$layers ${net_linux:-} ports thp=$linux_thp run $(linux_command "$image")"
			$(linux_drives "$image")) ;;
	esac
	case $mode in
	wall) [ "$cpus" = 1 ] || plugin=${smp_plugin:-} ;;
	entry) plugin="-plugin $out/icount.so,counter=$out/counter,entry=$entry,count=off" ;;
	count) plugin="-plugin $out/icount.so,counter=$out/counter,entry=$entry,count=$([ "$cpus" = 1 ] && echo on || echo smp)" ;;
	esac
	local prefix="$machine\t$guest\t$cpu\t$cpus\t$kind\t$mode\t$run"
	say "$machine, $guest -cpu $cpu, $cpus vCPU, $kind, $memory MiB, $mode run $run"
	{
		echo "memory_mib	$memory"
		echo "loadavg	$(cut -d' ' -f1 /proc/loadavg)"
		${AROUND:-} "$out/guest" -t "$timeout_s" -v "$(machine_bus)" \
			${plugin:+-c "$out/counter"} -l "$out/last-$guest.log" "${marks[@]}" -s exit -- \
			qemu-system-x86_64 $plugin -nodefaults -no-user-config -display none -no-reboot \
			$(machine_arguments) -accel tcg,thread=multi -cpu "$cpu" -smp "$cpus" -m "$memory" ${net_devices:-} "${command[@]}"
	} | awk -v prefix="$prefix" '{ print prefix "\t" $0 }' >"$out/last.tsv"
	cat "$out/last.tsv" >>"$tsv"
}

# What tells one kernel from another in the figures of a run that goes on.
kernel_sum() { cksum <"$kernel" | cut -d' ' -f1; }

# Keeps of the figures of a run that was cut off those of guests that were measured to the end.
resume() {
	[ -s "$tsv" ] || return 0
	awk -F '\t' -v sum="$(kernel_sum)" '$8 == "complete" && $9 != sum { other = 1 } END { exit other }' "$tsv" ||
		fail "$tsv holds runs of another kernel: build that one, or start afresh without RESUME=1"
	awk -F '\t' '
		{ run = $1 FS $2 FS $3 FS $4 FS $5 FS $6 FS $7 }
		NR == FNR { if ($8 == "complete") complete[run] = 1; next }
		run in complete' "$tsv" "$tsv" >"$tsv.kept" && mv "$tsv.kept" "$tsv"
}

# measured GUEST CPU CPUS KIND MODE RUN: whether the run that goes on has that guest already.
measured() {
	[ "${RESUME:-0}" = 1 ] && awk -F '\t' -v run="$machine\t$1\t$2\t$3\t$4\t$5\t$6" '
		$8 == "complete" && $1 FS $2 FS $3 FS $4 FS $5 FS $6 FS $7 == run { found = 1; exit }
		END { exit !found }' "$tsv"
}

# The guest that ran last has been measured to the end.
complete() { printf '%s\tcomplete\t%s\n' "$(cut -f1-7 "$out/last.tsv" | head -n 1)" "$(kernel_sum)" >>"$tsv"; }

# A value of the last run.
last() { awk -F '\t' -v key="$1" '$8 == key { print $9 }' "$out/last.tsv"; }

# Where and when, for the head of a report.
report_conditions() {
	echo "$(date -u '+%Y-%m-%d %H:%M') UTC, ibrik $(git -C "$top" describe --always --dirty 2>/dev/null)," \
		"Linux $(cat "$out/peer/version"), $(qemu-system-x86_64 --version | sed -n '1s/.*version \([^ ]*\).*/QEMU \1/p')," \
		"machine $machine, $memory MiB, $(nproc) host cores, load $(cut -d' ' -f1-3 /proc/loadavg) at the end."
}

record() { # GUEST KIND KEY VALUE: a figure that is no boot
	printf '%s\t%s\t-\t0\t%s\tfigure\t1\t%s\t%s\n' "$machine" "$1" "$2" "$3" "$4" >>"$tsv"
}

# Waits, a minute at most, until other work leaves a core free: load is shared.
quiet_wait() {
	local i
	for i in 1 2 3 4 5 6; do
		awk '{ exit !($1 < 1.5) }' /proc/loadavg && return
		sleep "$quiet_pause_s"
	done
}
