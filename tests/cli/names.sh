#!/bin/bash
# `make test T=...` runs the jobs of the Linux ABI that the name names, and no others.
. tests/lib.sh
. tests/guest/family.sh
GUEST_DIR=$(mktemp -d)
trap 'rm -rf "$GUEST_DIR"' EXIT
GUEST_CPUS="1 2"
guest_build() { :; }
printf '#!/bin/sh\necho futex.wakes; echo futex.waits\n' >"$GUEST_DIR/futex"
printf '#!/bin/sh\necho stress.works\n' >"$GUEST_DIR/stress"
chmod +x "$GUEST_DIR"/*

selects() { # name pattern jobs cases
	local jobs cases
	PATTERN=$2 job_names=() job_commands=()
	guest_host_jobs
	guest_jobs
	jobs=${job_names[*]}
	cases=$(guest_wanted | wc -l)
	if [ "$jobs" = "$3" ] && [ "$cases" = "$4" ]; then
		echo "ok $1"
	else
		echo "not ok $1 T='$2' runs '$jobs' with $cases cases, not '$3' with $4"
	fi
}

selects everything '' 'guest:host guest:stress guest:cpus=1 guest:cpus=2' 2
selects a-family guest 'guest:host guest:stress guest:cpus=1 guest:cpus=2' 2
selects all-of-a-family 'guest:*' 'guest:host guest:stress guest:cpus=1 guest:cpus=2' 2
selects a-topic futex 'guest:host guest:cpus=1 guest:cpus=2' 2
selects a-case futex.waits 'guest:host guest:cpus=1 guest:cpus=2' 1
selects cases-by-a-glob 'futex.w*' 'guest:host guest:cpus=1 guest:cpus=2' 2
selects a-job-without-cases stress 'guest:stress' 0
selects a-job-without-cases-by-its-family guest:stress 'guest:stress' 0
selects the-host guest:host 'guest:host' 2
selects a-number-of-cpus guest:cpus=2 'guest:host guest:cpus=2' 2
selects a-number-of-cpus-alone cpus=2 'guest:host guest:cpus=2' 2
selects another-family unit '' 0
selects a-job-of-another-family cli:run '' 0
selects nothing nosuchname '' 0

out=$(tests/run suite nosuchname)
if [ $? = 1 ] && [[ $out == *"nothing is called nosuchname"* ]]; then
	echo "ok a-name-of-nothing-is-an-error"
else
	echo "not ok a-name-of-nothing-is-an-error it says '$out'"
fi
