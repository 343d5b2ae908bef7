# tests/guest/family.sh - the Linux ABI family: the same binaries on Linux and in guests.
#
# Theory: tests/guest/*.c are built once. On the host they must pass: Linux is the oracle. Then all of them
# go into one image as `run=` programs, so that hundreds of cases share a boot, and what passed on the host
# must pass there. When a guest hangs or panics, the case that was running is the culprit: it is
# reported, and another boot runs what is left.
#
# Interface: guest_host_jobs and guest_jobs add the jobs `guest:host` and `guest:cpus=N`.
# Variables: GUEST_CPUS (default "1 2 4"), GUEST_MEMORY (1G), STRESS_SECONDS (60)

GUEST_DIR=$OUT/guest
GUEST_CPUS=${GUEST_CPUS:-1 2 4}
GUEST_MEMORY=${GUEST_MEMORY:-1G}
GUEST_CFLAGS="-std=gnu11 -O2 -g -Wall -Wextra -Werror -Wno-infinite-recursion -pthread"

# Builds all programs; those of a topic with variants (see elf.c) are named topic-variant.
guest_build() {
	local file name
	mkdir -p "$GUEST_DIR"
	for file in tests/guest/*.c; do
		name=$(basename "$file" .c)
		case $name in
		stress|elf|lib_*) continue ;;
		esac
		guest_compile "$GUEST_DIR/$name" "$file" -lm || return
	done
	[ -e tests/guest/elf.sh ] && { . tests/guest/elf.sh && elf_build || return; }
	[ -e tests/guest/stress.c ] && { guest_compile "$GUEST_DIR/stress" tests/guest/stress.c || return; }
	return 0
}

# Is it newer than its source and every header of this tree that went into it? The compiler has written them down.
guest_fresh() { # output
	local file
	[ -e "$1" ] && [ -e "$1.d" ] || return
	for file in $(sed 's/^[^ ]*: //; s/\\$//' "$1.d"); do
		[ "$1" -nt "$file" ] || return
	done
}

guest_compile() { # output source flags...
	local output=$1 source=$2
	shift 2
	guest_fresh "$output" && return
	# libgcc_s is what pthread_exit opens; naming it puts it among the libraries of the image.
	# shellcheck disable=SC2086
	gcc $GUEST_CFLAGS -MMD -MF "$output.d" -o "$output" "$source" "$@" -Wl,--push-state,--no-as-needed,-lgcc_s,--pop-state
}

# Does the pattern name a job that runs all cases?
guest_all() {
	local cpus
	wanted guest host && return
	for cpus in $GUEST_CPUS; do
		wanted guest "cpus=$cpus" && return
	done
	return 1
}

# The topics this run wants, and their cases: "topic program case" lines.
guest_wanted() {
	local program topic case all=
	guest_all && all=1
	for program in "$GUEST_DIR"/*; do
		[ -x "$program" ] && [ -f "$program" ] || continue
		case $program in
		*.so|*/stress) continue ;;
		esac
		"$program" -l | while IFS=. read -r topic case; do
			# shellcheck disable=SC2053
			[[ -n $all || $topic == $PATTERN || $topic.$case == $PATTERN ]] &&
				echo "$topic $(basename "$program") $case"
		done
	done
	true
}

# Does the pattern name something inside the family?
guest_asked() {
	wanted guest "$1" && return
	# Others that it names have been asked for and this one has not.
	if guest_all || [[ $PATTERN == *:* ]]; then
		return 1
	fi
	# The programs know their cases; those that are older than their source know the old ones.
	guest_build >/dev/null 2>&1
	[ -n "$(guest_wanted | head -n 1)" ]
}

guest_host() {
	guest_build || { echo "not ok guest:build"; return 1; }
	guest_wanted >"$GUEST_DIR/wanted"
	local program
	for program in $(awk '!seen[$2]++ { print $2 }' "$GUEST_DIR/wanted"); do
		# shellcheck disable=SC2046
		timeout 300 "$GUEST_DIR/$program" \
			$(awk -v p="$program" '$2 == p { print $3 }' "$GUEST_DIR/wanted")
	done | tee "$GUEST_DIR/host.out"
	# Of a program that ended early nobody would miss the other cases: not here, and in no guest either.
	guest_missing "$GUEST_DIR/host.out" "$GUEST_DIR/wanted" | awk '{ print "not ok " $1 "." $3 " has no result" }' | tee -a "$GUEST_DIR/host.out"
	! grep -q '^not ok' "$GUEST_DIR/host.out"
}

# The "topic program case" lines of a file whose cases have no line among the results. There may be no results at all.
guest_missing() { # results cases
	awk 'FILENAME == ARGV[1] { done[$1 == "not" ? $3 : $2] = 1; next } !(($1 "." $3) in done)' "$1" "$2"
}

# Boots one image; standard output goes to a file. The guest is ended when it falls silent.
guest_boot() { # out err silence limit command...
	local out=$1 err=$2 silence=$3 limit=$4 pid size=-1 new last=$SECONDS start=$SECONDS status
	shift 4
	: >"$out"
	setsid "$@" >"$out" 2>"$err" </dev/null &
	pid=$!
	while kill -0 $pid 2>/dev/null; do
		sleep 0.5
		new=$(stat -c %s "$out")
		[ "$new" = "$size" ] || { size=$new last=$SECONDS; }
		if [ $((SECONDS - last)) -gt "$silence" ] || [ $((SECONDS - start)) -gt "$limit" ]; then
			echo "(no output for $((SECONDS - last)) s: ended)" >>"$err"
			kill -TERM -- -$pid 2>/dev/null
			sleep 2
			kill -KILL -- -$pid 2>/dev/null
		fi
	done
	wait $pid
	status=$?
	# What the command started must not outlive it.
	kill -KILL -- -$pid 2>/dev/null
	return $status
}

guest_image() { # image, then "program case..." lines on standard input
	local image=$1 args=() file line
	for file in "$GUEST_DIR"/*; do
		case $file in
		*.so) args+=(--file "$file:/t/$(basename "$file")") ;;
		esac
	done
	while read -r line; do
		set -- $line
		args+=(--run "$GUEST_DIR/$line")
	done
	build/ibrik build "${args[@]}" -o "$image"
}

# What may be skipped in a guest though it passes on Linux, by the reason that is given.
guest_gaps() { # cpus
	echo "see docs/|the emulator never$([ "$1" != 1 ] || echo '|one CPU')"
}

guest_one() { # cpus
	local cpus=$1 boots=0 dir=$GUEST_DIR/cpus=$1 topic program case status
	mkdir -p "$dir"
	[ -x build/ibrik ] || { echo "not ok guest:cpus=$cpus there is no build/ibrik"; return 1; }
	# What must pass here is what passed on the host; what did not has not been tried here.
	: >"$dir/left"
	awk -v left="$dir/left" 'FILENAME == ARGV[1] { word[$1 == "not" ? $3 : $2] = $1; next }
		word[$1 "." $3] == "ok" { print >left; next }
		word[$1 "." $3] != "skip" { print "not ok " $1 "." $3 " was not run: it does not pass on Linux" }' \
		"$GUEST_DIR/host.out" "$GUEST_DIR/wanted" >"$dir/results"
	while [ -s "$dir/left" ] && [ $boots -lt 12 ]; do
		boots=$((boots + 1))
		awk '{ if (!($2 in cases)) order[n++] = $2; cases[$2] = cases[$2] " " $3 }
			END { for (i = 0; i < n; i++) print order[i] cases[order[i]] }' "$dir/left" |
			guest_image "$dir/image" || { echo "not ok guest:image ibrik build failed"; return 1; }
		guest_boot "$dir/out" "$dir/err" 60 600 build/ibrik run -m "$GUEST_MEMORY" --cpus "$cpus" \
			--log "$dir/log.$boots" "$dir/image"
		status=$?
		tr -d '\r' <"$dir/out" | grep -E '^(ok|not ok|skip) ' >"$dir/said"
		cat "$dir/said" >>"$dir/results"
		guest_missing "$dir/results" "$dir/left" >"$dir/missing"
		if [ -s "$dir/missing" ]; then
			read -r topic program case <"$dir/missing"
			if [ "$(wc -l <"$dir/missing")" = "$(wc -l <"$dir/left")" ]; then
				echo "not ok $topic.$case (cpus=$cpus) first of a boot without any result" >>"$dir/results"
				{ cat "$dir/err"; tail -n 40 "$dir/log.$boots"; } 2>/dev/null
			else
				echo "not ok $topic.$case (cpus=$cpus) the guest ended or hung here" >>"$dir/results"
				{ tail -n 5 "$dir/err"; tail -n 25 "$dir/log.$boots"; } 2>/dev/null
			fi
			sed -i 1d "$dir/missing"
		elif [ $status != 0 ] && ! grep -q '^not ok' "$dir/said"; then
			echo "not ok guest.end (cpus=$cpus) all cases passed, and the machine ended with status $status" >>"$dir/results"
			{ tail -n 5 "$dir/err"; tail -n 25 "$dir/log.$boots"; } 2>/dev/null
		fi
		mv "$dir/missing" "$dir/left"
	done
	awk -v gaps="$(guest_gaps "$cpus")" '$1 == "skip" && $0 !~ gaps { $1 = "not ok"; $2 = $2 " is skipped here and passes on Linux:" } { print }' \
		"$dir/results" >"$dir/judged"
	mv "$dir/judged" "$dir/results"
	sed "s/^\(not ok [^ ]*\) /\1 (cpus=$cpus) /; s/(cpus=$cpus) (cpus=$cpus)/(cpus=$cpus)/" "$dir/results"
	while read -r topic program case; do
		echo "not ok $topic.$case (cpus=$cpus) was not reached"
	done <"$dir/left"
	[ ! -s "$dir/left" ] && ! grep -q '^not ok' "$dir/results"
}

# The stress program prints its own result line. It is built here, too: who asks for it alone has no guest:host before it.
guest_stress() { # cpus seconds
	local dir=$GUEST_DIR/stress-$1
	mkdir -p "$dir"
	guest_compile "$GUEST_DIR/stress" tests/guest/stress.c || return
	build/ibrik build --exec "$GUEST_DIR/stress" -o "$dir/image" -- "$2" || return
	# At this level the log tells of every fault that became a signal, and where.
	guest_boot "$dir/out" "$dir/err" 60 $(($2 * 3 + 120)) build/ibrik run -m "$GUEST_MEMORY" --cpus "$1" \
		--kernel-opts log=debug --log "$dir/log" "$dir/image"
	local status=$?
	cat "$dir/out" "$dir/err"
	[ $status = 0 ] || tail -n 30 "$dir/log"
	return $status
}

guest_host_jobs() {
	guest_all || guest_asked host || return 0
	job_names+=(guest:host) job_commands+=("guest_host")
}

guest_jobs() {
	local cpus
	# First, beside the smallest guest: four busy CPUs here and four there are more than a host of two gives out evenly, and
	# what it takes away from a CPU is charged to the thread that runs there (docs/caveats.md).
	[ -e tests/guest/stress.c ] && job guest stress guest_stress 4 "${STRESS_SECONDS:-60}"
	for cpus in $GUEST_CPUS; do
		if guest_asked "cpus=$cpus"; then
			job_names+=("guest:cpus=$cpus") job_commands+=("guest_one $cpus")
		fi
	done
	true
}
