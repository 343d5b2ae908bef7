#!/bin/bash
# suite: no
# Thousands of idle connections to a server in a machine, on a TAP, beside some that ask all the time: the busy ones must not slow down, no connection may
# end, and the kernel's memory must come back when all are closed. With `ip` and a root's rights.
# Variables: CROWD (2000) idle ones, CROWD_ACTIVE (16), CROWD_SERVER (netty) or http, CROWD_ROUNDS (2), SECONDS_EACH (10) of a measurement,
#	MEMORY_CROWD (768M), HEAP_CROWD (256m). 10,000: CROWD=10000 MEMORY_CROWD=2G HEAP_CROWD=768m
. "$(dirname "$0")/server.inc"
. "$(dirname "$0")/machine.inc"
MEMORY=${MEMORY_CROWD:-768M}
crowd=${CROWD:-2000} active=${CROWD_ACTIVE:-16} rounds=${CROWD_ROUNDS:-2} seconds=${SECONDS_EACH:-10} heap=${HEAP_CROWD:-256m}
few=10
KERNEL_SLACK_KB=4096 # what caches of the kernel may keep
if [ "$(id -u)" != 0 ] || ! [ -w /dev/net/tun ]; then
	echo "skip $name needs root and a TAP of its own"
	exit 0
fi
machine_space
server_make "${CROWD_SERVER:-netty}"
# HttpServer ends idle connections above 200, and others after 30 s, unless it is told not to.
machine_start ibrik "-Xms$heap -Xmx$heap -XX:+AlwaysPreTouch -XX:+UnlockExperimentalVMOptions -XX:+Use${GC}GC -Dsun.net.httpserver.nodelay=true \
	-Dsun.net.httpserver.maxIdleConnections=100000 -Dsun.net.httpserver.idleInterval=36000"
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
	machine_end || failed=1
	[ $failed = 0 ] || { fetch /net; tail -n 5 "$dir/err" "$dir/log"; }
	exit $failed
}
# Two measurements, of which the better one counts: others use this machine, too.
measure() { # NAME
	local i
	rate=0
	for i in 1 2; do
		say "ask $active $seconds" "$1"
		[ "$(figure rate)" -gt "$rate" ] || continue
		rate=$(figure rate) p99=$(figure p99_us) line=${answer#ok ask * idle}
	done
	echo "# $1: idle$line"
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
say "ask $active 15" warm-up
for ((round = 1; round <= rounds; round++)); do
	settled
	kernel_before=$kernel_kb program_before=$program_kb
	measure "few-$round"
	rate_few=$rate p99_few=$p99
	say "open $crowd" "open-$round"
	echo "# open-$round:${answer#ok open*idle}"
	memory_look
	each=$(((kernel_kb - kernel_before) * 1024 / crowd))
	echo "# memory of a connection: $each bytes of the kernel, $(((program_kb - program_before) * 1024 / crowd)) of the program"
	measure "many-$round"
	if [ "$rate" -ge $((rate_few * 8 / 10)) ] && [ "$p99" -le $((p99_few * 3 / 2 + 5000)) ]; then
		echo "ok $name-active-$round $rate requests/s beside $((crowd + few)) idle, $rate_few beside $few; p99 $p99 us, $p99_few us"
	else
		echo "not ok $name-active-$round $rate requests/s beside $((crowd + few)) idle, $rate_few beside $few; p99 $p99 us, $p99_few us"
		failed=1
	fi
	say touch "touch-$round"
	echo "ok $name-idle-answer-$round max_us=$(figure max_us)"
	say close "close-$round"
	say "open $few" "close-$round"
	settled
	if [ $((kernel_kb - kernel_before)) -le $KERNEL_SLACK_KB ]; then
		echo "ok $name-memory-$round kernel $kernel_before kB before, $kernel_kb after; program $program_before and $program_kb"
	else
		echo "not ok $name-memory-$round kernel $kernel_before kB before, $kernel_kb after; program $program_before and $program_kb"
		failed=1
	fi
done
finish
