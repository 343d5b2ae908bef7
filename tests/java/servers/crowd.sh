#!/bin/bash
# suite: no
# Thousands of idle connections to a server in a machine, on a TAP, beside some that ask all the time: the busy ones must not slow down, no connection may
# end, and the kernel's memory must come back when all are closed. With `ip` and a root's rights.
# Variables: CROWD (2000) idle ones, CROWD_ACTIVE (16), CROWD_SERVER (netty) or http, CROWD_ROUNDS (2), SECONDS_EACH (6) of a measurement,
#	MEMORY_CROWD (768M), HEAP_CROWD (256m). 10,000: CROWD=10000 MEMORY_CROWD=2G HEAP_CROWD=768m
. "$(dirname "$0")/server.inc"
. "$(dirname "$0")/machine.inc"
MEMORY=${MEMORY_CROWD:-768M}
crowd=${CROWD:-2000} active=${CROWD_ACTIVE:-16} rounds=${CROWD_ROUNDS:-2} seconds=${SECONDS_EACH:-6} heap=${HEAP_CROWD:-256m}
few=10
KERNEL_SLACK_KB=4096 # what caches of the kernel may keep
if [ "$(id -u)" != 0 ] || ! [ -w /dev/net/tun ]; then
	echo "skip $name needs root and a TAP of its own"
	exit 0
fi
make -s build/test/net/crowd || { echo "not ok $name the client does not compile"; exit 1; }
machine_space
server_make "${CROWD_SERVER:-netty}"
machine_start ibrik "-Xms$heap -Xmx$heap -XX:+AlwaysPreTouch -XX:+UnlockExperimentalVMOptions -XX:+Use${GC}GC $http_options"
coproc CLIENT { exec ip netns exec "$space" build/test/net/crowd $address 8080 /hello 2>"$dir/client.err"; }
client=$CLIENT_PID

# A command of the client; $answer is its line.
say() { # COMMAND
	echo "$1" >&"${CLIENT[1]}"
	read -r -t 600 answer <&"${CLIENT[0]}" || answer="not ok $1 the client says nothing: $(tail -n 1 "$dir/client.err")"
	echo "# $answer" >>"$dir/answers"
	[[ $answer = ok* ]] || { echo "not ok $2 ${answer#not ok }"; failed=1; finish; }
}
figure() { # NAME
	sed -n "s/.* $1=\([0-9]*\).*/\1/p" <<<"$answer"
}
finish() {
	exec {CLIENT[1]}>&-
	wait "$client"
	[ $failed = 0 ] || fetch /net
	machine_end || failed=1
	[ $failed = 0 ] || tail -n 5 "$dir/err" "$dir/log"
	exit $failed
}
# Others use this machine, too: of several measurements beside few and beside many the best ones are compared.
declare -A best_rate best_p99
measure() { # few|many
	local i rate p99
	for i in 1 2; do
		say "ask $active $seconds" "$1-$round"
		echo "# $1-$round: idle${answer#ok ask * idle}"
		rate=$(figure rate) p99=$(figure p99_us)
		[ "$rate" -le "${best_rate[$1]:-0}" ] || best_rate[$1]=$rate
		[ "$p99" -ge "${best_p99[$1]:-1000000000}" ] || best_p99[$1]=$p99
	done
}
settled() {
	local i
	for ((i = 0; i < 50; i++)); do
		[[ $(fetch /net) =~ established=([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -le $((few + 2)) ] && break
		sleep 0.2
	done
	sleep 2
	memory_look
}

say "open $few" warm-up
# Until its compiler has done the most.
last=0
for ((i = 0; i < 8; i++)); do
	say "ask $active $seconds" warm-up
	[ "$(figure rate)" -gt $((last * 11 / 10)) ] || break
	last=$(figure rate)
done
for ((round = 1; round <= rounds; round++)); do
	settled
	kernel_before=$kernel_kb program_before=$program_kb
	measure few
	say "open $crowd" "open-$round"
	echo "# open-$round: idle${answer#ok open * idle}"
	memory_look
	echo "# memory of a connection: $(((kernel_kb - kernel_before) * 1024 / crowd)) bytes of the kernel, $(((program_kb - program_before) * 1024 / crowd)) of the program"
	measure many
	say touch "touch-$round"
	echo "ok $name-idle-answer-$round max_us=$(figure max_us)"
	say close "close-$round"
	say "open $few" "close-$round"
	settled
	line="$name-memory-$round kernel $kernel_before kB before, $kernel_kb after; program $program_before and $program_kb"
	[ $((kernel_kb - kernel_before)) -le $KERNEL_SLACK_KB ] && echo "ok $line" || { echo "not ok $line"; failed=1; }
done
line="$name-active ${best_rate[many]} requests/s beside $((crowd + few)) idle, ${best_rate[few]} beside $few; p99 ${best_p99[many]} us, ${best_p99[few]} us"
[ "${best_rate[many]}" -ge $((best_rate[few] * 8 / 10)) ] && [ "${best_p99[many]}" -le $((best_p99[few] * 3 / 2 + 5000)) ] && echo "ok $line" ||
	{ echo "not ok $line"; failed=1; }
finish
