# tests/net/lib.sh - machines on links of a network namespace's own: what the scripts of tests/cli-guest/ with a TAP share.
#
# Interface: source it first. The script is run again inside a namespace with tap0 (10.9.0.1/24, fd00:9::1/64); where that is not allowed its cases
#   are skipped.
#   relay_start [SEED]     a relay between $T/link and tap0; relay_say COMMAND... ; $answer is what it says
#   machine_start ARG...   `ibrik run` with the service (tests/net/peer.c) on the relay's link; machine_wait IP; machine_end NAME
#   peer VERB ARG...       the other side
#   moves NAME IP BYTES    both directions, byte for byte
PEER=$PWD/build/test/net/peer
if [ "${1:-}" != inside ]; then
	if ! unshare -n true 2> /dev/null || ! [ -w /dev/net/tun ]; then
		echo "skip $(basename "$0" .sh) needs a network namespace and a TAP of its own"
		exit 0
	fi
	exec unshare -n bash "$0" inside
fi
. tests/cli/fake/lib.sh
ip link set lo up && ip tuntap add tap0 mode tap && ip addr add 10.9.0.1/24 dev tap0 && ip -6 addr add fd00:9::1/64 dev tap0 nodad &&
	ip link set tap0 up || exit 1

relay_start() {
	exec 7>&- 8<&-
	rm -f "$T/link" "$T/say" "$T/hear"
	mkfifo "$T/say" "$T/hear"
	build/test/net/relay -s "${1:-1}" "stream:$T/link" tap:tap0 < "$T/say" > "$T/hear" &
	exec 7> "$T/say" 8< "$T/hear"
}

relay_say() {
	echo "$*" >&7
	read -r -t 10 answer <&8 && [[ $answer = ok* ]] && return
	not_ok "relay-${*// /-}" "said: $answer"
}

machine_start() {
	rm -f "$T/served"
	timeout "${MACHINE_SECONDS:-150}" "$IBRIK" run --accel tcg -m 128M --network "socket:$T/link" --log "$T/log" "$@" --exec "$PEER" serve \
		> "$T/served" 2> "$T/served.err" 7>&- 8<&- < /dev/null &
	machine=$!
}

peer() { timeout "${PEER_SECONDS:-60}" "$PEER" "$@"; }

machine_wait() { # IP
	for ((i = 0; i < 200; i++)); do
		grep -q -s ready "$T/served" && timeout 2 "$PEER" alive "$1" 1 > /dev/null && return
		sleep 0.1
	done
	not_ok machine "does not answer: $(cat "$T/served.err" "$T/log" | tail -n 5)"
	finish
}

# The service is told to end, and the machine says that all was well.
machine_end() { # NAME IP
	peer quit "$2"
	wait $machine
	status=$?
	check "$1-status" [ $status = 0 ]
	[ $status = 0 ] || tail -n 20 "$T/served.err" "$T/log"
}

is_same() { # NAME WORD...: what peer prints
	local name=$1
	shift
	if [[ $* = same* ]]; then ok "$name"; else not_ok "$name" "$*"; fi
}

moves() {
	is_same "$1-in" "$(peer put "$2" "$3" 1)"
	is_same "$1-out" "$(peer get "$2" "$3" 2)"
}
