#!/bin/bash
# Every wrong input gives one clear line and its status, and starts nothing.
. "$(dirname "$0")/fake/lib.sh"
PATH=$PWD/tests/cli/fake:$PATH
export FAKE_GUEST='echo started >&2; exit 1'
make_kernel "$T/kernel"
make_jar "$T/good.jar" 17 'Main-Class: Main'
make_jar "$T/nomain.jar" 17 'X: y'
make_jar "$T/missing.jar" 17 'Main-Class: other.Class'
printf 'not a jar at all\n' > "$T/text.jar"
head -c 300 "$T/good.jar" > "$T/short.jar"
printf '#!/bin/sh\n' > "$T/script"; chmod +x "$T/script"
printf '\177ELFjunk' > "$T/broken"; chmod +x "$T/broken"
printf 'x' > "$T/plain"
mkdir "$T/folder"

try() { local name=$1 want=$2 text=$3; shift 3; run_ibrik run --accel tcg "$@"; says "$name" "$want" "$text"; }
try not-a-jar 125 "not a jar" "$T/text.jar"
try jar-cut-short 125 "not a jar" "$T/short.jar"
try no-main-class 125 "no Main-Class" "$T/nomain.jar"
try missing-class 125 "other.Class is not in it" "$T/missing.jar"
try no-such-jar 127 "No such file" "$T/nothing.jar"
try folder-as-jar 125 "Is a directory" "$T/folder"
try wrong-jdk-folder 125 "not a JDK" --jdk "$T/folder" "$T/good.jar"
try no-jdk-folder 125 "No such file" --jdk "$T/nothing" "$T/good.jar"
try unknown-jdk 125 "17, 21 and 25" --jdk 11 "$T/good.jar"
if make_jar "$T/newer.jar" 17 'Main-Class: Main'; then
	# Class file version 69 is Java 25: written over the version in the stored class.
	(cd "$T" && printf '\000\000\000\105' | dd of=classes/Main.class bs=1 seek=4 conv=notrunc status=none &&
		jar --create --file newer.jar --manifest manifest -C classes Main.class)
	try jdk-older-than-the-classes 125 "needs Java 25 (class file version 69)" --jdk 17 "$T/newer.jar"
	(cd "$T" && printf '\000\000\000\172' | dd of=classes/Main.class bs=1 seek=4 conv=notrunc status=none &&
		jar --create --file newer.jar --manifest manifest -C classes Main.class)
	try newer-than-every-jdk 125 "needs Java 78" "$T/newer.jar"
fi
try unknown-option 125 "unknown option '--frobnicate'" --frobnicate "$T/good.jar"
try unknown-option-of-a-program 125 "unknown option '-l'; put -- before" --exec /bin/ls -l
try unknown-letter 125 "unknown option '-q'" -q "$T/good.jar"
try memory-is-no-size 125 "no size" -m lots "$T/good.jar"
try memory-too-small 125 "out of range" -m 1M "$T/good.jar"
try cpus-zero 125 "1 to 64" --cpus 0 "$T/good.jar"
try cpus-text 125 "1 to 64" --cpus two "$T/good.jar"
try cpus-too-many 125 "1 to 64" --cpus 65 "$T/good.jar"
try option-without-value 125 "takes a value" --memory
try env-without-name 125 "NAME=VALUE" -e =x "$T/good.jar"
try env-file-missing 125 "No such file" --env-file "$T/nothing" "$T/good.jar"
try volume-without-guest 125 "HOST:GUEST" -v "$T/folder" "$T/good.jar"
try volume-writable 125 "read-only" -v "$T/folder:/v:rw" "$T/good.jar"
try volume-missing 125 "No such file" -v "$T/nothing:/v" "$T/good.jar"
for place in / // /./. /proc /./proc /.//./sys/x /sys/x /dev; do
	try "volume-over-$place" 125 "are its own" -v "$T/folder:$place" "$T/good.jar"
done
for place in / /proc /sys/ /dev; do
	try "volume-of-the-machine's-$place" 125 "cannot be packed" -v "$place:/v" "$T/good.jar"
done
# The superuser may read everything, so another user has to ask.
mkdir "$T/secret"
echo x > "$T/secret/file"
chmod 0 "$T/secret/file"
chmod 755 "$T"
if [ "$(id -u)" != 0 ]; then
	try volume-not-readable 125 "Failed to read file" -v "$T/secret:/v" --exec /bin/true
elif setpriv --reuid 65534 --clear-groups test -x "$IBRIK"; then
	timeout 60 setpriv --reuid 65534 --clear-groups "$IBRIK" run --accel tcg -v "$T/secret:/v" --exec /bin/true > "$T/out" 2> "$T/err"
	status=$? err=$(cat "$T/err")
	says volume-not-readable 125 "Failed to read file"
else
	echo "skip volume-not-readable the command lies where nobody else may read"
fi
try publish-one-port 125 "8080:8080" -p 8080 "$T/good.jar"
try publish-no-port 125 "1 to 65535" -p 0:80 "$T/good.jar"
try publish-too-large 125 "1 to 65535" -p 8080:65536 "$T/good.jar"
try publish-no-address 125 "no IPv4 address" -p here:8080:80 "$T/good.jar"
try publish-sctp 125 "tcp or udp" -p 8080:80/sctp "$T/good.jar"
try publish-without-user 125 "--network user" --network none -p 8080:80 "$T/good.jar"
try network-unknown 125 "tap:NAME" --network bridge "$T/good.jar"
try network-tap-nameless 125 "1 to 15 characters" --network tap: "$T/good.jar"
try network-tap-missing 125 "no such interface" --network tap:nosuch0 "$T/good.jar"
try network-socket-nowhere 125 "HOST:PORT" --network socket:here "$T/good.jar"
try network-socket-without-a-host 125 "HOST:PORT" --network socket::5555 "$T/good.jar"
try network-socket-with-a-word 125 "1 to 65535" --network socket:127.0.0.1:x,server=on "$T/good.jar"
try network-socket-without-a-peer 125 "No such file" --network "socket:$T/nothing" --exec /bin/true
try network-port-without-a-peer 125 "Connection refused" --network socket:127.0.0.1:1 --exec /bin/true
try publish-a-port-twice 125 "published already" -p 18080:80 -p 0.0.0.0:18080:81 "$T/good.jar"
try ip-without-length 125 "ADDR/LEN" --ip 10.0.0.2 "$T/good.jar"
try ip-with-a-large-length 125 "1 to 32" --ip 10.0.0.2/33 "$T/good.jar"
try ip-is-none 125 "no IPv4 address" --ip 10.0.0/24 "$T/good.jar"
try ip-with-a-word 125 "ADDR/LEN" --ip 10.0.0.2/24,metric=3 "$T/good.jar"
try ip-of-the-whole-network 125 "no machine can have" --ip 10.0.0.255/24 "$T/good.jar"
try ip-with-an-odd-router 125 "'10.0.0' is no IPv4 address" --ip 10.0.0.2/24,gw=10.0.0 "$T/good.jar"
try ip-with-itself-as-router 125 "own address" --ip 10.0.0.2/24,gw=10.0.0.2 "$T/good.jar"
try ip-with-a-router-elsewhere 125 "no host of the machine's network" --ip 10.0.0.2/24,gw=192.168.7.1 "$T/good.jar"
try ip-with-the-network-as-router 125 "no host of the machine's network" --ip 10.0.0.2/24,gw=10.0.0.255 "$T/good.jar"
try ip-with-two-routers 125 "there is one already" --ip 10.0.0.2/24,gw=10.0.0.1,gw=10.0.0.3 "$T/good.jar"
try ip-with-two-mtus 125 "there is one already" --ip 10.0.0.2/24,mtu=1400,mtu=1300 "$T/good.jar"
try ip-with-a-server-that-cannot-be 125 "'0.0.0.0' is no address" --ip 10.0.0.2/24,dns=0.0.0.0 "$T/good.jar"
try ip-of-another-network 125 "10.0.2.0/24" --ip 192.168.1.5/24 "$T/good.jar"
try ip-of-the-router 125 "10.0.2.0/24" --ip 10.0.2.2/24 "$T/good.jar"
try ip-with-an-odd-server 125 "'dns' is no address" --ip 10.0.0.2/24,dns=dns "$T/good.jar"
try ip-with-four-servers 125 "three servers" --ip 10.0.0.2/24,dns=1.1.1.1,dns=1.1.1.2,dns=::3,dns=1.1.1.4 "$T/good.jar"
try ip-with-an-odd-domain 125 "'a..b' is no name" --ip 10.0.0.2/24,domain=a..b "$T/good.jar"
try ip-with-an-odd-host 125 "'-x' is no name" --ip 10.0.0.2/24,hostname=-x "$T/good.jar"
try ip-with-a-small-mtu 125 "576 to 65535" --ip 10.0.0.2/24,mtu=100 "$T/good.jar"
try ip-without-network 125 "--network none has none" --network none --ip 10.0.0.2/24 "$T/good.jar"
try volume-relative 125 "begin with /" -v "$T/folder:v" "$T/good.jar"
mkdir -p "$T/links" "$T/outside"
ln -s "$T/outside" "$T/links/out"
try file-through-a-link 125 "/etc/out is a link" --file "$T/links:/etc" --file "$T/plain:/etc/out/deep/file" --exec /bin/true
check file-through-a-link-goes-nowhere [ -z "$(ls -A "$T/outside")" ]
try file-with-dots 125 "'..'" --file "$T/plain:/a/../b" "$T/good.jar"
try workdir-relative 125 "begin with /" -w here "$T/good.jar"
for name in 'a b' a_b -x x- a..b .a '' "$(printf '%065d' 0)"; do
	try "name-'${name:0:4}'" 125 "--name" --name "$name" --exec /bin/true
done
mkfifo "$T/fifo" "$T/fifo.img"
try fifo-as-jar 125 "not a jar" "$T/fifo"
try fifo-as-image 125 "not an ibrik image" "$T/fifo.img"
try fifo-as-file 125 "not a regular file" --file "$T/fifo:/x" "$T/good.jar"
try fifo-as-volume 125 "not a regular file" -v "$T/fifo:/x" --exec /bin/true
try device-as-jar 125 "not a jar" /dev/zero
try unknown-accel 125 "auto, kvm, tcg" --accel xen "$T/good.jar"
try unknown-machine 125 "microvm, q35, pc" --machine vax "$T/good.jar"
try log-not-writable 125 "No such file" --log "$T/nothing/log" "$T/good.jar"
try quote-not-closed 125 "not closed" --jvm-opts '-Dx="a b' "$T/good.jar"
try cp-without-main 125 "--cp goes with --main" --cp "$T/good.jar" "$T/good.jar"
try main-not-in-cp 125 "is in none of" --main Nope --cp "$T/good.jar"
try run-with-an-image 125 "inside --run" --run "/bin/true a" a.img
try jvm-opts-of-a-program 125 "--jvm-opts is for Java" --jvm-opts -Xmx1g --exec /bin/true
try main-and-exec 125 "only one of" --main Main --cp "$T/good.jar" --exec /bin/true
try nothing-to-run 125 "what shall I run"
try program-missing 127 "No such file" --exec "$T/nothing"
try program-not-executable 126 "not executable" --exec "$T/plain"
try program-is-a-folder 126 "is a folder" --exec "$T/folder"
try program-is-a-script 126 "is a script" --exec "$T/script"
try program-is-broken 126 "not a program" --exec "$T/broken"
try kernel-missing 125 "No such file" --kernel "$T/nothing" --exec /bin/true

cut() { local name=$1 want=$2 text=$3; shift 3; run_ibrik "$@"; says "$name" "$want" "$text"; }
cut no-command 125 "no command"
cut unknown-command 125 "unknown command 'fly'" fly
cut deploy-says-so 125 "deploy" deploy x
cut kernel-is-no-kernel 125 "no x86-64 ELF kernel" build --kernel "$T/plain" --exec /bin/true -o "$T/x.img"
check no-image-after-a-failure [ ! -e "$T/x.img" ]
cut output-is-a-folder 125 "not a regular file" build --kernel "$T/kernel" --exec /bin/true -o "$T/folder"
cut words-after-the-jar 125 "stand after --" build "$T/good.jar" word
cut inspect-nothing 127 "no such file" inspect "$T/nothing"
cut inspect-a-fifo 125 "not an ibrik image" inspect "$T/fifo"
cut inspect-a-jar 125 "not an ibrik image" inspect "$T/good.jar"

# What is read is not written over, and what cannot start leaves the log of an earlier run.
kept() { # NAME FILE COMMAND...: the command fails, and the file stays
	local name=$1 file=$2
	shift 2
	cp "$file" "$T/before"
	"$@"
	check "$name-stays" cmp -s "$file" "$T/before"
}
cp /bin/true "$T/prog"
run_ibrik build --kernel "$T/kernel" --exec /bin/true -o "$T/b.img"
kept program-as-output "$T/prog" cut program-as-output 125 "is read, too" build --kernel "$T/kernel" --exec "$T/prog" -o "$T/prog"
kept jar-as-output "$T/good.jar" cut jar-as-output 125 "is read, too" build --kernel "$T/kernel" "$T/good.jar" -o "$T/good.jar"
kept kernel-as-output "$T/kernel" cut kernel-as-output 125 "is read, too" build --kernel "$T/kernel" --exec /bin/true -o "$T/kernel"
ln "$T/plain" "$T/other-name"
kept file-as-output "$T/plain" cut file-as-output 125 "is read, too" build --kernel "$T/kernel" --exec /bin/true --file "$T/plain:/x" -o "$T/other-name"
kept jar-as-log "$T/good.jar" try jar-as-log 125 "is read, too" --log "$T/good.jar" "$T/good.jar"
kept image-as-log "$T/b.img" try image-as-log 125 "is read, too" --log "$T/b.img" "$T/b.img"
echo "of an earlier run" > "$T/old.log"
kept log-of-an-earlier-run "$T/old.log" try log-of-an-earlier-run 125 "not a jar" --log "$T/old.log" "$T/text.jar"
timeout 60 "$IBRIK" inspect "$T/b.img" > /dev/full 2> "$T/err"
status=$? err=$(cat "$T/err")
says output-of-inspect-is-full 125 "standard output"
SOURCE_DATE_EPOCH=yesterday cut bad-source-date 125 "SOURCE_DATE_EPOCH" build --kernel "$T/kernel" --exec /bin/true -o "$T/x.img"

# Images: cut short, flipped bytes.
run_ibrik build --kernel "$T/kernel" --exec /bin/true -o "$T/a.img"
check image-builds [ $status = 0 ]
head -c 100000 "$T/a.img" > "$T/cut.img"
try image-cut-short 125 "cut short" "$T/cut.img"
head -c 4100 "$T/a.img" > "$T/cut.img"
try image-without-header 125 "not an ibrik image" "$T/cut.img"
flip() { # OFFSET: a copy with one byte changed
	cp "$T/a.img" "$T/flip.img"
	printf '\377' | dd of="$T/flip.img" bs=1 seek="$1" conv=notrunc status=none
}
flip 4300
try header-flipped 125 "header is damaged" "$T/flip.img"
flip 65540
try kernel-flipped 125 "kernel in the image is damaged" "$T/flip.img"
for at in 3 450 8200 20000 65000; do
	flip $at
	run_ibrik inspect --verify "$T/flip.img"
	says "boot-code-flipped-at-$at" 125 "the boot code is damaged"
done
app=$("$IBRIK" inspect --no-files "$T/a.img" | sed -n 's/^layer: *app .* at \([0-9]*\),.*/\1/p')
flip $((app + 12345))
run_ibrik inspect --verify "$T/flip.img"
says verify-names-the-block 125 "block 3 "
try jdk-for-an-image 125 "ibrik build" --jdk 17 "$T/a.img"
try main-for-an-image 125 "--main cannot change" --main X "$T/a.img"
finish
