#!/bin/bash
# Links that suffer: what crosses them arrives whole, in both directions. LINK_BYTES is how much (1 GiB by hand: 1073741824).
. "$(dirname "$0")/../net/lib.sh"
BYTES=${LINK_BYTES:-2000000}
HALF=$((BYTES / 4))
[ -z "${LINK_BYTES:-}" ] || MACHINE_SECONDS=20000 PEER_SECONDS=5000

# --- the relay's impairments, one machine -------------------------------------------------------------------------------------
relay_start 7
machine_start --ip 10.9.0.2/24,gw=10.9.0.1 --kernel-opts trace=net
machine_wait 10.9.0.2
moves clean 10.9.0.2 "$BYTES"
relay_say loss 1
moves loss-1-percent 10.9.0.2 "$BYTES"
is_same loss-1-percent-fragments "$(peer echo 10.9.0.2 20000)"
relay_say loss 5
moves loss-5-percent 10.9.0.2 "$HALF"
relay_say clear
relay_say delay 50
moves delay 10.9.0.2 "$BYTES"
relay_say loss 1
moves delay-and-loss 10.9.0.2 "$HALF"
relay_say clear
relay_say reorder 5
moves reordered 10.9.0.2 "$BYTES"
is_same reordered-fragments "$(peer echo 10.9.0.2 60000)"
relay_say duplicate 10
relay_say loss 1
moves everything 10.9.0.2 "$HALF"
is_same everything-fragments "$(peer echo 10.9.0.2 8000)"
relay_say clear

# The link is away in the middle of a transfer.
for verb in put get; do
	peer $verb 10.9.0.2 $((BYTES * 20)) 3 > "$T/transfer" &
	transfer=$!
	sleep 0.3
	relay_say link down
	check link-goes-down-early-enough-$verb kill -0 $transfer
	sleep 1.5
	relay_say link up
	wait $transfer
	is_same "link-down-and-up-$verb" "$(cat "$T/transfer")"
done

# IPv6: the address that belongs to the card, one that a router lets it make, and small and fragmented datagrams.
link_local=$(sed -n 's/.*: 52:54:00:\(..\):\(..\):\(..\), mtu.*/fe80::5054:ff:fe\1:\2\3%tap0/p' "$T/log")
global=fd00:9::${link_local#fe80::}
global=${global%\%*}
moves ipv6-link-local "$link_local" "$BYTES"
relay_say advertise fd00:9::
sleep 0.5
moves ipv6-global "$global" "$BYTES"
is_same ipv6-fragments "$(peer echo "$global" 20000)"
relay_say loss 2
moves ipv6-loss "$global" "$HALF"
relay_say clear
# A router behind which less fits, and says so: to a connection that stands, and to new ones.
peer get "$global" $((BYTES * 20)) 3 > "$T/transfer" &
transfer=$!
sleep 0.3
relay_say mtu 1280 tell
check ipv6-path-mtu-falls-early-enough kill -0 $transfer
wait $transfer
is_same ipv6-path-mtu-falls "$(cat "$T/transfer")"
moves ipv6-path-mtu "$global" "$BYTES"
is_same ipv6-path-mtu-fragments "$(peer echo "$global" 20000)"
relay_say clear
relay_say stats
[ -z "${LINK_BYTES:-}" ] || echo "$answer"
check the-link-has-suffered grep -q 'lost [1-9].* duplicated [1-9].* reordered [1-9].* long [1-9].* down [1-9]' <<< "$answer"
machine_end links 10.9.0.2
# What the counters said in the end: what was lost went again before a timer ran out.
check path-mtu-is-believed grep -q 'paths too_big=[1-9][0-9]* lowered=[1-9]' "$T/log"
check lost-segments-go-again grep -q 'recovery begun=[1-9][0-9]* resent=[1-9]' "$T/log"
[ -z "${LINK_BYTES:-}" ] || grep 'recovery begun' "$T/log" | tail -n 1

# --- the address changes in the middle of a transfer: what begins afterwards arrives -------------------------------------------
relay_start 9
relay_say dhcp good 2 4
machine_start
machine_wait 10.9.0.2
peer get 10.9.0.2 $((BYTES * 50)) 3 > "$T/transfer" &
transfer=$!
relay_say dhcp nak 2 4
for ((i = 0; i < 100; i++)); do
	grep -q '10.9.0.2 is given up' "$T/served.err" && break
	sleep 0.1
done
check address-is-given-up grep -q '10.9.0.2 is given up' "$T/served.err"
relay_say dhcp good 6 3600
machine_wait 10.9.0.6
moves address-changed 10.9.0.6 "$BYTES"
check the-old-address-is-silent [ -z "$(timeout 2 "$PEER" alive 10.9.0.2 1 2> /dev/null)" ]
kill $transfer
wait $transfer 2> /dev/null
machine_end address-change 10.9.0.6

# --- other cards and lengths: QEMU itself, with a monitor ----------------------------------------------------------------------
"$IBRIK" build --kernel-opts "net.ip=10.9.0.2/24,gw=10.9.0.1 log=info" --exec "$PEER" -o "$T/a.img" -- serve || { not_ok build; finish; }

# card_start MACHINE NETDEV DEVICE: boots the image with that card. What is written to descriptor 9 is for QEMU's monitor.
card_start() {
	rm -f "$T/monitor" "$T/served"
	mkfifo "$T/monitor"
	exec 9<> "$T/monitor"
	timeout "${MACHINE_SECONDS:-100}" qemu-system-x86_64 -accel tcg -cpu max -M "$1" -m 128 -nodefaults -display none -no-reboot -serial "file:$T/served" \
		-blockdev "driver=raw,node-name=a,read-only=on,file.driver=file,file.filename=$T/a.img" -device virtio-blk-pci,drive=a \
		-netdev "$2" -device "$3" -monitor stdio 7>&- 8<&- 9>&- < "$T/monitor" > "$T/served.err" 2>&1 &
	machine=$!
	: > "$T/log"
}

# The service is told to end; the machine turns itself off, and had nothing to complain of.
card_end() { # NAME
	peer quit 10.9.0.2
	wait $machine
	status=$?
	check "$1-ends" [ $status = 0 ]
	check "$1-without-a-panic" [ "$(grep -ac 'panic' "$T/served")" = 0 ]
}

mtu_of_card() { sed -n 's/.*, mtu \([0-9]*\), link up.*/\1/p' "$T/served" | head -n 1; }

relay_start 8
ip link set tap0 mtu 1280
card_start pc "stream,id=n,server=off,addr.type=unix,addr.path=$T/link" virtio-net-pci,netdev=n,disable-modern=on,host_mtu=1280,romfile=
machine_wait 10.9.0.2
check legacy-mtu-1280 [ "$(mtu_of_card)" = 1280 ]
moves legacy-mtu-1280 10.9.0.2 "$BYTES"
relay_say loss 1
moves legacy-mtu-1280-loss 10.9.0.2 "$HALF"
relay_say stats
is_same legacy-mtu-1280-fragments "$(peer echo 10.9.0.2 9000)"
card_end legacy-mtu-1280
exec 7>&-

# Straight to the TAP, which makes sums and large frames. Cards from before any layout was right have each header in a descriptor of its own; without
# merged buffers it is the shorter one.
ip link set tap0 mtu 1500
for merged in on off; do
	card_start pc tap,id=n,ifname=tap0,script=no,downscript=no "virtio-net-pci,netdev=n,disable-modern=on,any_layout=off,mrg_rxbuf=$merged,romfile="
	machine_wait 10.9.0.2
	moves "legacy-header-apart-merged-$merged" 10.9.0.2 "$BYTES"
	is_same "legacy-header-apart-merged-$merged-fragments" "$(peer echo 10.9.0.2 60000)"
	card_end "legacy-header-apart-merged-$merged"
done
ip link set tap0 mtu 9001
card_start q35 tap,id=n,ifname=tap0,script=no,downscript=no virtio-net-pci,netdev=n,host_mtu=9001,romfile=
machine_wait 10.9.0.2
check jumbo-mtu [ "$(mtu_of_card)" = 9001 ]
moves jumbo 10.9.0.2 "$BYTES"
is_same jumbo-datagram "$(peer echo 10.9.0.2 8900)"
is_same jumbo-fragments "$(peer echo 10.9.0.2 60000)"
peer get 10.9.0.2 $((BYTES * 8)) 3 > "$T/transfer" &
transfer=$!
echo "set_link n off" >&9
sleep 1
echo "set_link n on" >&9
wait $transfer
is_same set-link "$(cat "$T/transfer")"
check link-down-is-told grep -q 'link down' "$T/served"
check link-up-is-told grep -q 'link up' <(grep -A 100 'link down' "$T/served")
ip link set tap0 mtu 1500
moves jumbo-here-1500-there 10.9.0.2 "$BYTES"
card_end jumbo
finish
