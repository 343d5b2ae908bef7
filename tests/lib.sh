# tests/lib.sh - jobs and their results: what tests/run, the matrix and the families share.
#
# Theory: a job is a shell function that prints one line a case - `ok NAME`, `not ok NAME reason` or
# `skip NAME reason` - and anything else besides. Jobs run two at a time (the machines they are meant
# for have two cores, and a guest takes more than one), each with its output in build/test/.
#
# Interface:
#   job FAMILY NAME FUNCTION [ARG...]   adds a job, if the pattern of this run wants it
#   jobs_run [N]                        runs what was added, N at a time (default 2); may be called again
#   summary                             prints the last line; status 1 if anything failed
# Variables: TOP, OUT (build/test), PATTERN (what was asked for; empty is everything)

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
OUT=$TOP/build/test
PATTERN=${PATTERN:-}
mkdir -p "$OUT"

job_names=() job_commands=()
passed=0 failed=0 skipped=0

# Does the pattern want this job? A job is named family:name; the pattern may name either part.
wanted() {
	local family=$1 name=$2
	# shellcheck disable=SC2053
	[[ -z $PATTERN || $family:$name == $PATTERN || $name == $PATTERN || $family == $PATTERN ]]
}

job() {
	local family=$1 name=$2
	shift 2
	wanted "$family" "$name" || return 0
	job_names+=("$family:$name")
	job_commands+=("$(printf '%q ' "$@")")
}

job_report() { # name file status seconds
	local name=$1 file=$2 status=$3 seconds=$4 ok bad skip
	ok=$(grep -c '^ok ' "$file")
	bad=$(grep -c '^not ok ' "$file")
	skip=$(grep -c '^skip ' "$file")
	if [ "$bad" = 0 ] && { [ "$status" != 0 ] || [ $((ok + skip)) = 0 ]; }; then
		echo "not ok $name ended with status $status after $((ok + skip)) cases" >>"$file"
		bad=1
	fi
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
	if [ "$bad" = 0 ]; then
		printf 'ok    %-34s %4d passed%s  %3d s\n' "$name" "$ok" "$([ "$skip" = 0 ] || echo ", $skip skipped")" "$seconds"
	else
		printf 'FAIL  %-34s %4d passed, %d failed  %3d s  (%s)\n' "$name" "$ok" "$bad" "$seconds" "${file#"$TOP"/}"
		grep '^not ok ' "$file" | head -n 30 | sed 's/^/      /'
		grep -v -E '^(ok|not ok|skip) ' "$file" | tail -n 30 | sed 's/^/      | /'
	fi
}

jobs_run() {
	local most=${1:-2} i=0 running=0 pid file
	local -A name_of file_of start_of
	while [ $i -lt ${#job_names[@]} ] || [ $running -gt 0 ]; do
		if [ $i -lt ${#job_names[@]} ] && [ $running -lt "$most" ]; then
			file=$OUT/${job_names[i]//[:\/ ]/-}.out
			( cd "$TOP" && eval "${job_commands[i]}" ) >"$file" 2>&1 </dev/null &
			name_of[$!]=${job_names[i]} file_of[$!]=$file start_of[$!]=$SECONDS
			running=$((running + 1)) i=$((i + 1))
			continue
		fi
		wait -n -p pid
		local status=$?
		running=$((running - 1))
		job_report "${name_of[$pid]}" "${file_of[$pid]}" $status $((SECONDS - start_of[$pid]))
	done
	job_names=() job_commands=()
}

summary() {
	if [ $((passed + failed + skipped)) = 0 ]; then
		echo "nothing is called ${PATTERN:-so}"
		failed=1
	fi
	if [ $skipped -gt 0 ]; then
		echo "$passed passed, $failed failed, $skipped skipped"
	else
		echo "$passed passed, $failed failed"
	fi
	[ $failed = 0 ]
}

# The words of a `// KEY: ...` line among the first lines of a C file.
source_words() {
	sed -n "1,10s|^// $1: *||p" "$2"
}

# A host program from a test source that names what it is made of; prints the path of the program.
host_build() { # compiler file output flags...
	local cc=$1 file=$2 output=$3 sources flags
	shift 3
	sources=$(source_words sources "$file")
	flags=$(source_words flags "$file")
	mkdir -p "$(dirname "$output")"
	# shellcheck disable=SC2086
	(cd "$TOP" && "$cc" -std=gnu11 -g -O1 -Wall -Wextra -Wno-unused-parameter -fno-omit-frame-pointer "$@" -I. -Ikernel -idirafter tests/unit/shim \
		-o "$output" "$file" $sources $flags)
}
