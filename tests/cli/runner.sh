#!/bin/bash
# What the runner of the Linux ABI makes of programs and guests that fail otherwise than by a line `not ok`: with a fake command for a machine.
. tests/lib.sh
. tests/guest/family.sh
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
cd "$T" || exit 1
GUEST_DIR=$T/guest PATTERN=
guest_build() { :; }
mkdir guest build
printf '#!/bin/bash\nif [ "$1" = -l ]; then echo futex.wakes; echo futex.waits; else printf "$HOST"; fi\n' >guest/futex
printf '#!/bin/bash\n[ "$1" = run ] || exit 0\nprintf "$GUEST"\nexit $STATUS\n' >build/ibrik
chmod +x guest/futex build/ibrik
both='ok futex.wakes\nok futex.waits\n'

# judges NAME STATUS LINE HOST CPUS GUEST STATUS-OF-THE-MACHINE: the status of the runner, and a line that it prints
judges() {
	local status out
	export HOST=$4 GUEST=$6 STATUS=$7
	guest_host >host.txt
	out=$(guest_one "$5" 2>&1)
	status=$?
	if [ $status = "$2" ] && grep -q -x -e "$3" <<<"$out" && { [ "$2" != 0 ] || ! grep -q '^not ok' <<<"$out"; }; then
		echo "ok $1"
	else
		echo "not ok $1 status $status: $(tr '\n' '|' <<<"$out")"
	fi
}
judges all-pass 0 'ok futex.waits' "$both" 2 "$both" 0
judges a-failure 1 'not ok futex.wakes (cpus=2) why' "$both" 2 'not ok futex.wakes why\nok futex.waits\n' 1
judges nothing-at-all 1 'not ok futex.wakes (cpus=2) first of a boot.*' "$both" 2 '' 0
judges an-end-before-the-last 1 'not ok futex.waits (cpus=2) the guest ended.*' "$both" 2 'ok futex.wakes\n' 0
judges a-panic-behind-the-last 1 'not ok guest.end (cpus=2) .* status 125' "$both" 2 "$both" 125
judges a-skip 1 'not ok futex.waits (cpus=2) is skipped here.*' "$both" 2 'ok futex.wakes\nskip futex.waits no card\n' 0
judges a-skip-that-is-a-caveat 0 'skip futex.waits .*' "$both" 2 'ok futex.wakes\nskip futex.waits see docs/caveats.md\n' 0
judges a-skip-on-one-cpu 0 'skip futex.waits .*' "$both" 1 'ok futex.wakes\nskip futex.waits there is only one CPU\n' 0
judges a-skip-of-what-two-cpus-have 1 'not ok futex.waits (cpus=2) .*' "$both" 2 'ok futex.wakes\nskip futex.waits there is only one CPU\n' 0
judges a-program-that-ends-early-on-linux 1 'not ok futex.waits (cpus=2) was not run.*' 'ok futex.wakes\n' 2 'ok futex.wakes\n' 0
if grep -q -x 'not ok futex.waits has no result' host.txt; then echo "ok and-it-is-told"; else echo "not ok and-it-is-told $(cat host.txt)"; fi
judges a-case-skipped-on-linux 0 'ok futex.wakes' 'ok futex.wakes\nskip futex.waits why\n' 2 'ok futex.wakes\n' 0
