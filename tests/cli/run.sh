#!/bin/bash
# `ibrik run` against a fake QEMU: streams, statuses, signals, options. No guest is needed.
. "$(dirname "$0")/fake/lib.sh"
PATH=$PWD/tests/cli/fake:$PATH
export FAKE_GUEST FAKE_ARGUMENTS=$T/arguments
make_kernel "$T/kernel"
cp /bin/true "$T/program"
run_fake() { run_ibrik run --accel tcg --kernel "$T/kernel" "$@" --exec "$T/program"; }

FAKE_GUEST='echo "hello 1" >&$control; echo to-out >&$out; echo to-err >&$err; echo "exit 0" >&$control; exit 33'
run_fake
check streams-unmixed [ "$status,$out,$err" = "0,to-out,to-err" ]

FAKE_GUEST='echo "hello 1" >&$control; echo "exit 42" >&$control; exit 33'
run_fake
check status-of-the-application [ "$status,$out,$err" = "42,," ]

FAKE_GUEST='echo "hello 1" >&$control; echo "exit 143" >&$control; exit 33'
run_fake
check status-of-a-signal [ $status = 143 ]

FAKE_GUEST='echo "hello 1" >&$control; echo "fail 127 /app/x: no such file" >&$control; exit 33'
run_fake
says fail-127 127 "/app/x: no such file"
FAKE_GUEST='echo "fail 3 odd" >&$control; exit 33'
run_fake
says fail-with-an-odd-status 125 "odd"

FAKE_GUEST='echo "<6>[0.000100] quiet" >&$com1; echo "<4>[0.000200] be warned" >&$com1; echo "exit 0" >&$control; exit 33'
run_fake
check warnings-have-the-prefix [ "$status,$out,$err" = "0,,ibrik: be warned" ]
FAKE_GUEST='echo "6[0.000100] quiet" >&$com1; echo "4[0.000200] be warned" >&$com1; echo "exit 0" >&$control; exit 33'
run_fake
check levels-without-brackets [ "$status,$out,$err" = "0,,ibrik: be warned" ]
FAKE_GUEST='echo "<6>[0.000100] quiet" >&$com1; echo "<4>[0.000200] be warned" >&$com1; echo "exit 0" >&$control; exit 33'
run_fake --log "$T/log"
check log-holds-everything grep -q '^<6>\[0.000100\] quiet' "$T/log"
check log-sets-its-level grep -q -x 'debugexit=1 log=info' "$T/arguments"
run_fake --log "$T/log" --kernel-opts log=debug
check log-level-given-wins grep -q -x 'debugexit=1 log=debug' "$T/arguments"
run_fake --log "$T/log" --kernel-opts trace.log=1
check another-option-is-no-level grep -q -x 'debugexit=1 log=info trace.log=1' "$T/arguments"

# Lines that were asked for go to the log where there is one; warnings stay visible.
FAKE_GUEST='echo "4[0.000100] [1 true] brk(0) = 4096 <0.000001>" >&$com1; echo "4[0.000200] boot:   1200 us (+3) threads" >&$com1; echo "4[0.000300] be warned" >&$com1; echo "exit 0" >&$control; exit 33'
run_fake --log "$T/log" --kernel-opts 'trace=syscalls boot.trace'
check trace-goes-to-the-log [ "$status,$err,$(grep -c 'brk(0)\|boot: ' "$T/log")" = "0,ibrik: be warned,2" ]
run_fake --kernel-opts 'trace=syscalls boot.trace'
check trace-without-a-log [ "$(grep -c '^ibrik: \(\[1 true\]\|boot: \)' "$T/err")" = 2 ]
FAKE_GUEST='echo "<0>[1.000000] panic: page fault" >&$com1; echo "<0>[1.000001] rip 0" >&$com1; exit 35'
run_fake
check panic-is-125 [ "$status,$err" = "125,ibrik: panic: page fault
ibrik: rip 0" ]
FAKE_GUEST='exit 35'
run_fake
says silent-panic 125 "panicked"
FAKE_GUEST='exit 0'
run_fake
says reset-without-status 125 "without a status"
FAKE_GUEST='echo "qemu-system-x86_64: cannot set up guest memory" >&2; exit 1'
run_fake
says qemu-fails-to-start 125 "QEMU: cannot set up guest memory"
FAKE_GUEST='kill -9 $$'
run_fake
says qemu-is-killed 125 "signal 9"

# Standard input: all of it arrives, then its end; nothing is taken before the guest asks.
FAKE_GUEST='echo "hello 1" >&$control; echo stdin >&$control; cat <&$in >&$out; echo "exit 0" >&$control; exit 33'
head -c 3000000 /dev/urandom > "$T/input"
INPUT=$T/input run_fake
check input-3-MB-both-ways cmp -s "$T/input" "$T/out"
printf 'one\ntwo\n' > "$T/input"
INPUT=$T/input run_fake
check input-and-its-end [ "$out" = "one
two" ]
FAKE_GUEST='echo "hello 1" >&$control; sleep 0.3; echo "exit 0" >&$control; exit 33'
left=$( { timeout 20 "$IBRIK" run --accel tcg --kernel "$T/kernel" --exec "$T/program" > /dev/null; cat; } < "$T/input" )
check input-is-left-alone [ "$left" = "one
two" ]
FAKE_GUEST='echo "hello 1" >&$control; echo stdin >&$control; cat <&$in >&$out; echo "exit 5" >&$control; exit 33'
timeout 20 "$IBRIK" run --accel tcg --kernel "$T/kernel" --exec "$T/program" <&- >&- 2>&-
check closed-streams [ $? = 5 ]

# A slow reader loses nothing; a reader that goes does not hang the command.
FAKE_GUEST='echo "hello 1" >&$control; head -c 2000000 /dev/zero >&$out; echo "exit 0" >&$control; exit 33'
bytes=$(timeout 60 "$IBRIK" run --accel tcg --kernel "$T/kernel" --exec "$T/program" | { sleep 1; wc -c; })
check slow-reader [ "$bytes" = 2000000 ]
timeout 60 "$IBRIK" run --accel tcg --kernel "$T/kernel" --exec "$T/program" | head -c 1 > /dev/null
check reader-that-goes [ "${PIPESTATUS[0]}" -lt 124 ]

# Waits until the guest of a command that was just started is ready. What the last one wrote must be gone before (rm), or the signal meets the shell
# that is to become the command.
ready() { for _ in $(seq 1000); do grep -q -s ready "$T/out" && break; sleep 0.05; done; }

# Signals become lines on the control channel.
FAKE_GUEST='echo "hello 1" >&$control; echo ready >&$out; read -r line <&$control; echo "$line" >&$out; echo "exit 9" >&$control; exit 33'
for signal in TERM INT QUIT HUP; do
	rm -f "$T/out"
	"$IBRIK" run --accel tcg --kernel "$T/kernel" --exec "$T/program" > "$T/out" 2> "$T/err" < /dev/null &
	pid=$!
	ready
	kill -$signal $pid
	wait $pid
	check "signal-$signal" [ "$?,$(tail -n1 "$T/out")" = "9,signal $(kill -l $signal)" ]
done
FAKE_GUEST='echo "hello 1" >&$control; echo ready >&$out; sleep 60'
rm -f "$T/out"
"$IBRIK" run --accel tcg --stop-timeout 1 --kernel "$T/kernel" --exec "$T/program" > "$T/out" 2> "$T/err" < /dev/null &
pid=$!
ready
kill -TERM $pid
start=$SECONDS
wait $pid
check stop-timeout [ "$?" = 143 -a $((SECONDS - start)) -le 4 ]

# nohup: what is ignored stays so.
FAKE_GUEST='echo "hello 1" >&$control; echo ready >&$out; read -r line <&$control; echo "$line" >&$out; echo "exit 9" >&$control; exit 33'
rm -f "$T/out"
(trap '' HUP; exec "$IBRIK" run --accel tcg --kernel "$T/kernel" --exec "$T/program") > "$T/out" 2> "$T/err" < /dev/null &
pid=$!
ready
kill -HUP $pid
sleep 0.3
kill -TERM $pid
wait $pid
check hangup-that-is-ignored [ "$?,$(tail -n1 "$T/out")" = "9,signal 15" ]

# What the machine is made of.
FAKE_GUEST='echo "exit 0" >&$control; exit 33'
run_fake -m 96M --cpus 3
check memory grep -q -x '98304k' "$T/arguments"
check cpus grep -q -x '3' "$T/arguments"
check microvm-by-default grep -q '^microvm,' "$T/arguments"
run_fake --machine q35
check q35 grep -q '^virtio-blk-pci,' "$T/arguments"
check disks-are-read-only [ "$(grep -c '^driver=raw.*read-only=on' "$T/arguments")" = "$(grep -c '^virtio-blk-' "$T/arguments")" ]
run_fake -p 18081:80 -p 0.0.0.0:18082:53/udp
check published-ports-lead-to-the-lease grep -q -x 'user,id=net0,hostfwd=tcp:127.0.0.1:18081-:80,hostfwd=udp:0.0.0.0:18082-:53' "$T/arguments"
run_fake -p 18081:80 --ip 10.0.2.77/24,gw=10.0.2.2
check published-ports-lead-to-the-address-given grep -q -- '-10.0.2.77:80$' "$T/arguments"
run_fake -p 18081:80 --ip 10.0.2.77/24 --kernel-opts net.ip=10.0.2.78/24
check kernel-options-win grep -q -- '-10.0.2.78:80$' "$T/arguments"
"$IBRIK" build --kernel "$T/kernel" --kernel-opts net.ip=10.0.2.79/24 --exec "$T/program" -o "$T/at.img"
run_ibrik run --accel tcg -p 18081:80 "$T/at.img"
check published-ports-lead-to-the-address-of-the-image grep -q -- '-10.0.2.79:80$' "$T/arguments"
mkdir "$T/tmp"
TMPDIR=$T/tmp run_fake
FAKE_GUEST='sleep 0.5; ls -A "$TMPDIR" >&$out; echo "exit 0" >&$control; exit 33'
TMPDIR=$T/tmp run_fake
check nothing-on-the-disk-while-it-runs [ "$status,$out" = "0," ]
check nothing-is-left-behind [ -z "$(ls -A "$T/tmp")" ]
finish
