#!/bin/bash
# A card on a TAP, which cuts large frames and hands some over: what crosses it arrives whole, both ways, and did so in large frames; with one
# pair of queues and with several.
. "$(dirname "$0")/../net/lib.sh"
BYTES=${OFFLOAD_BYTES:-8000000}

# Its address is there as soon as the machine opens the TAP: else packets come from one to which there is no way back.
echo 0 > /proc/sys/net/ipv6/conf/tap0/accept_dad

counter() { # NAME: of the card's large frames, in the machine's last figures
	sed -n "s/.*net: large eth0 \(.* \)\?$1=\([0-9]*\).*/\2/p" "$T/log" | tail -n 1
}

# machine_tap ARG...: the service on the TAP; at its end it prints what the network has counted.
machine_tap() {
	rm -f "$T/served"
	timeout "${MACHINE_SECONDS:-150}" "$IBRIK" run --accel tcg -m 128M --network tap:tap0 --ip 10.9.0.2/24,gw=10.9.0.1 --log "$T/log" \
		--kernel-opts "trace=net" "$@" --exec "$PEER" serve > "$T/served" 2> "$T/served.err" < /dev/null &
	machine=$!
	machine_wait 10.9.0.2
}

at_least() { # NAME COUNTER LEAST
	local n
	n=$(counter "$2")
	if [ "${n:-0}" -ge "$3" ]; then ok "$1"; else not_ok "$1" "$2=${n:-nothing}, less than $3"; fi
}

both_ways() { # NAME ARG...: IPv4 and IPv6, several connections at once
	local name=$1
	shift
	machine_tap "$@"
	moves "$name" 10.9.0.2 "$BYTES"
	link_local=$(sed -n 's/.*: 52:54:00:\(..\):\(..\):\(..\), mtu.*/fe80::5054:ff:fe\1:\2\3%tap0/p' "$T/log")
	moves "$name-ipv6" "$link_local" "$BYTES"
	for i in 1 2 3 4; do
		peer put 10.9.0.2 $((BYTES / 4)) "$i" > "$T/put$i" &
		puts[i]=$!
		peer get 10.9.0.2 $((BYTES / 4)) "1$i" > "$T/get$i" &
		gets[i]=$!
	done
	for i in 1 2 3 4; do
		wait "${puts[i]}" "${gets[i]}"
		is_same "$name-at-once-in-$i" "$(cat "$T/put$i")"
		is_same "$name-at-once-out-$i" "$(cat "$T/get$i")"
	done
	machine_end "$name" 10.9.0.2
	# Of the bytes each way (three times BYTES), most lie in frames of many segments.
	at_least "$name-large-frames-in" received $((BYTES * 3 / 65536))
	at_least "$name-large-frames-out" sent $((BYTES * 3 / 65536))
	at_least "$name-segments-in-large-frames" joined $((BYTES * 3 / 1500 / 2))
}
both_ways microvm
both_ways q35 --machine q35
check one-queue [ "$(grep -c 'pair(s) of queues' "$T/log")" = 0 ]

# A TAP with several queues: one pair for each CPU, and with one CPU one of two is used.
ip link del tap0 && ip tuntap add tap0 mode tap multi_queue && ip addr add 10.9.0.1/24 dev tap0 && ip -6 addr add fd00:9::1/64 dev tap0 nodad || exit 1
echo 0 > /proc/sys/net/ipv6/conf/tap0/accept_dad
ip link set tap0 up
both_ways four-queues --machine q35 --cpus 4
check four-queues-are-used grep -q 'net .*: 4 pair(s) of queues$' "$T/log"
both_ways two-queues-on-mmio --cpus 2
check two-queues-are-used grep -q 'net .*: 2 pair(s) of queues$' "$T/log"
both_ways one-cpu --cpus 1
check one-cpu-uses-one-queue [ "$(grep -c 'pair(s) of queues' "$T/log")" = 0 ]
finish
