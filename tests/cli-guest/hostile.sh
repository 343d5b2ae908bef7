#!/bin/bash
# Hostile peers: while each attack of the relay's bad neighbour goes on, another client is served; then memory is what it was. And DHCP servers that lie.
# HOSTILE_SECONDS is for how long each at least (0), HOSTILE_RATE how many frames a second (1000), HOSTILE_SEED from which seed.
. "$(dirname "$0")/../net/lib.sh"
seconds=${HOSTILE_SECONDS:-0} rate=${HOSTILE_RATE:-1000} seed=${HOSTILE_SEED:-1}
MACHINE_SECONDS=$((200 + seconds * 40))

# The number behind that word in the relay's statistics, in $counted.
count() {
	relay_say stats
	counted=$(sed -n "s/.* $1 \([0-9]*\).*/\1/p" <<< "$answer")
	counted=${counted:-0}
}

# Waits until it is more than it was.
grows() { # WORD WAS
	for ((i = 0; i < 60; i++)); do
		count "$1"
		[ "$counted" -gt "$2" ] && return
		sleep 0.5
	done
	return 1
}

relay_start "$seed"
machine_start --ip 10.9.0.2/24,gw=10.9.0.1
machine_wait 10.9.0.2
link_local=$(sed -n 's/.*: 52:54:00:\(..\):\(..\):\(..\), mtu.*/fe80::5054:ff:fe\1:\2\3%tap0/p' "$T/log")
# What many connections at once leave with the service itself, and in caches, is there before. It is counted when what is kept for those who have gone has gone, too.
for attack in zero-windows small-mss holes; do
	relay_say hostile $attack "$rate"
	peer alive 10.9.0.2 40 > /dev/null
	relay_say hostile off
done
peer alive "$link_local" 20 > /dev/null
before=0
for ((i = 0; i < 20; i++)); do
	now=$(peer memory 10.9.0.2)
	[[ $now = [0-9]* ]] || continue
	[ "$now" -le $((before + 64)) ] && break
	before=$now
	sleep 3
done
# The last two once more: by now the client that is served is the oldest neighbour in a table that is full.
for attack in $(build/test/net/relay attacks) arp-flood udp-flood; do
	share=""
	if [ $attack = holes ]; then
		peer share 10.9.0.2 6000 > "$T/share" &
		share=$!
		sleep 0.3
	fi
	count talks
	ended=$counted
	relay_say hostile "$attack" "$rate"
	case $attack in
	*6*) address=$link_local ;;
	*) address=10.9.0.2 ;;
	esac
	# The machine needs a while until it keeps too much.
	[ $attack = holes ] && sleep 4
	until=$((SECONDS + seconds)) alive="" slowest=0
	while
		alive=$(peer alive "$address" 20)
		[ "${alive#* }" -gt "$slowest" ] && slowest=${alive#* }
		[ "${alive% *}" = 20 ] && [ $SECONDS -lt $until ]
	do :; done
	# Who hears a connection can end it: some of the mutations are its resets. And slow is not dead, but it is no service.
	wanted=20
	[ $attack = mutations ] && wanted=14
	if [ "${alive% *}" -ge $wanted ] && [ "$slowest" -lt 3000 ]; then
		ok "serves-during-$attack"
	else
		not_ok "serves-during-$attack" "of 20 and slowest in ms: $alive $slowest"
	fi
	if [ -n "$share" ]; then
		wait $share
		share=$(cat "$T/share")
		if [ "${share:-1000}" -gt 20 ] && [ "$share" -lt 150 ]; then ok "$attack-are-bounded"; else not_ok "$attack-are-bounded" "$share % of the limit"; fi
	fi
	[ $attack = segments ] && check segments-in-disorder-come-to-an-end grows talks "$ended"
	[ -z "${HOSTILE_SECONDS:-}" ] || echo "$attack: the network kept ${share:-?} % of its limit, slowest answer $slowest ms"
	relay_say hostile off
done
relay_say stats
check segments-in-disorder-were-understood [ "$(sed 's/.*wrong //' <<< "$answer")" = 0 ]
is_same after-all-in "$(peer put 10.9.0.2 2000000 1)"
is_same after-all-out "$(peer get "$link_local" 2000000 1)"
# What is kept for peers who went without a word goes by time-outs.
for ((i = 0; i < 60; i++)); do
	after=$(peer memory 10.9.0.2)
	[[ $after = [0-9]* ]] && [ "$after" -ge $((before - 2048)) ] && break
	sleep 1
done
if [ "$before" -gt 0 ] && [ "$after" -ge $((before - 2048)) ]; then ok memory-is-back; else not_ok memory-is-back "$before KiB before, $after after"; fi
machine_end hostile 10.9.0.2

# A server that tells lies before each word of truth; the truth is found.
relay_start "$seed"
relay_say dhcp lies 23 3600
machine_start
machine_wait 10.9.0.23
is_same dhcp-lies "$(peer get 10.9.0.23 100000 1)"
machine_end dhcp-lies 10.9.0.23
# One that refuses at first.
relay_start "$seed"
relay_say dhcp nak 24 3600
machine_start
check dhcp-is-refused grows refused 0
relay_say dhcp good 24 3600
machine_wait 10.9.0.24
is_same dhcp-refusals "$(peer get 10.9.0.24 100000 1)"
machine_end dhcp-refusals 10.9.0.24
finish
