# bench/net.sh - the suite net: round trips and bulk of bench/micro/net.c, and three Java servers under load, on a TAP of
# a network namespace that lives as long as the suite. Sourced by bench/run after micro.sh, whose figures and tables it shares.
#
# The load is wrk's, which shares the machine's cores with the guest; CPU time is that of the QEMU process, so it counts the guest and its
# devices and not the load. A server is warmed up until its rate is steady, since a JVM that goes on compiling costs more than any kernel. The first
# answer has boots of its own, without and with an archive of classes (`ibrik build --cds`; the same archive in both guests).

guests=${GUESTS:-ibrik linux}
parts=${PARTS-micro first servers}
servers=${SERVERS:-Jdk Tomcat Netty}
connections=${CONNECTIONS:-1 16 128}
warm_requests=${WARM:-30000}
warm_most_s=120
training_s=10
load_s=${LOAD:-6}
timeout_s=${TIMEOUT:-240}
# As for the java suite.
smp_plugin="-plugin $top/build/tcg-reread.so"
mac=02:00:00:4d:00:02
host_address=10.77.0.1
guest_address=10.77.0.2
net_initrd=initrd-net.cpio
net_linux="net=$guest_address"
net_ibrik="net.ip=$guest_address/24"
net_devices="-netdev tap,id=n0,ifname=tap0,script=no,downscript=no -device virtio-net-$(machine_bus),netdev=n0,mac=$mac -pidfile $out/qemu.pid"

# Building needs the machine's own network, measuring one that nobody else uses.
net_enter() {
	for tool in wrk ip unshare curl mvn; do
		command -v $tool >/dev/null || fail "$tool is missing (apt-get install wrk iproute2 util-linux curl maven)"
	done
	[ -n "${NET_INSIDE:-}" ] && return
	tools_build && net_build || exit 1
	NET_INSIDE=1 exec unshare -n "$here/run" net
}

net_build() {
	local dir=$out/net-suite jars server options="-XX:+UseG1GC -Xms256m -Xmx256m -XX:+ErrorFileToStderr"
	rm -rf "$dir/classes"
	mkdir -p "$dir/classes"
	micro_build
	if ! ls "$dir"/lib/tomcat-embed-core-*.jar >/dev/null 2>&1; then
		mvn -q -B -f "$here/java/net/pom.xml" dependency:copy-dependencies -DoutputDirectory="$dir/lib" >"$out/mvn.out" 2>&1 ||
			fail "cannot fetch the servers: Maven says so in build/bench/mvn.out"
	fi
	jars=$(echo "$dir"/lib/*.jar | tr ' ' :)
	javac --release 17 -cp "$jars" -d "$dir/classes" "$here"/java/net/*.java || fail "the servers do not compile"
	jar --create --file "$dir/servers.jar" -C "$dir/classes" . || fail "cannot make servers.jar"
	for server in $servers; do
		"$tool_ibrik" build --jdk 17 --jvm-opts "$options" --main "Serve$server" --cp "$dir/servers.jar:$jars" -o "$out/net$server.img" ||
			fail "cannot build net$server.img"
	done
	case " $parts " in *" first "*)
		jar --create --file "$dir/small.jar" --main-class ServeJdk -C "$dir/classes" . &&
			"$tool_ibrik" build --jdk 17 "$dir/small.jar" -o "$out/first.img" &&
			timeout --preserve-status -s INT "$training_s" "$tool_ibrik" build --cds --jdk 17 "$dir/small.jar" -o "$out/first-cds.img" ||
			fail "cannot build first.img and first-cds.img" ;;
	esac
}

net_prepare() {
	ip link set lo up && ip tuntap add tap0 mode tap && ip addr add $host_address/24 dev tap0 && ip link set tap0 up &&
		ip neigh add $guest_address lladdr $mac dev tap0 nud permanent || fail "cannot make a TAP (as root, with /dev/net/tun)"
	gcc -std=gnu11 -O2 -Wall -Wextra -Werror -pthread -o "$out/net-peer" "$here/net/peer.c" &&
		gcc -std=gnu11 -O2 -Wall -Wextra -Werror -o "$out/net-first" "$here/net/first.c" || fail "bench/net does not compile"
	"$out/net-peer" -t 36000 >"$out/net-peer.out" &
	peer=$!
	trap 'kill $peer' EXIT
}

# CPU time of the QEMU process, in ticks.
qemu_ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$(cat "$out/qemu.pid")/stat"; }

wrk_run() { wrk -t1 -c"$1" -d"$2"s --timeout 10s --latency "http://$guest_address:8080/hello"; }

# Figures of one load, as keys and values.
load_measure() { # SERVER CONNECTIONS
	local before after
	before=$(qemu_ticks)
	wrk_run "$2" "$load_s" >"$out/wrk.out"
	after=$(qemu_ticks)
	awk -v name="$1-$2" -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" '
		function us(text) { return text ~ /us$/ ? text + 0 : text ~ /ms$/ ? text * 1000 : text * 1000000 }
		$1 == "50%" { p50 = us($2) }
		$1 == "99%" { p99 = us($2) }
		$2 == "requests" && $3 == "in" { requests = $1 }
		$1 == "Requests/sec:" { rate = $2 }
		/Socket errors|Non-2xx/ { errors = errors $0 }
		END {
			if (!requests || errors != "") {
				print "failed:" name "-load\t" (errors == "" ? "no answer" : errors)
				if (!requests)
					exit
			}
			print "figure:" name "-requests-per-s\t" rate
			print "figure:" name "-p50-us\t" p50
			print "figure:" name "-p99-us\t" p99
			print "figure:" name "-cpu-us-per-request\t" ticks / hz * 1000000 / requests
		}' "$out/wrk.out"
}

# Instructions of all CPUs so far, of the kernel and of the application, as icount.c leaves them (struct counter of counter.h).
instructions() { od -An -v -w64 -t u8 -j 16 -N 1024 "$out/counter" | awk '{ kernel += $1; app += $2 } END { print kernel, app }'; }

# The same load under the plugin that counts: what a request costs, whoever waits for whom.
load_count() { # SERVER CONNECTIONS
	local before after
	before=$(instructions)
	wrk_run "$2" "$load_s" >"$out/wrk.out"
	after=$(instructions)
	awk -v name="$1-$2" -v before="$before" -v after="$after" '
		$2 == "requests" && $3 == "in" && $1 {
			split(before, b, " ")
			split(after, a, " ")
			printf "figure:%s-kernel-insns-per-request\t%.0f\n", name, (a[1] - b[1]) / $1
			printf "figure:%s-app-insns-per-request\t%.0f\n", name, (a[2] - b[2]) / $1
		}' "$out/wrk.out"
}

# Ends when the rate is steady (a number of requests has been answered, and three rates in a row lie within a tenth of each other), since the JVM
# compiles no more by then that counts; or when that takes too long.
server_warm() {
	local requests=0 first=0 second=0 end=$((SECONDS + warm_most_s)) count
	while [ "$SECONDS" -lt "$end" ]; do
		count=$(wrk_run 64 5 | awk '$2 == "requests" && $3 == "in" { print $1 }')
		[ "${count:-0}" -gt 0 ] || return
		requests=$((requests + count))
		if [ "$requests" -ge "$warm_requests" ] && steady "$first" "$second" "$count"; then
			break
		fi
		first=$second second=$count
	done
	printf 'figure:%s-warm-requests\t%d\n' "$1" "$requests"
}

# Whether numbers above nought lie within a tenth of each other.
steady() {
	printf '%s\n' "$@" | sort -n | awk 'NR == 1 { least = $1 } { most = $1 } END { exit !(least > 0 && most - least <= least / 10) }'
}

server_stop() { curl -s -m 10 "http://$guest_address:8080/stop" >/dev/null; }

figures_take() { awk -v prefix="$(cut -f1-7 "$out/last.tsv" | head -n 1)" '{ print prefix "\t" $0 }' "$out/net.figures" >>"$tsv"; }

first_round() { # KIND RUN
	local cpus guest start job ms
	for cpus in $cpu_counts; do
		for guest in $guests; do
			! measured "$guest" max "$cpus" "$1" wall "$2" || continue
			quiet_wait
			start=$(date +%s%N)
			guest_run "$guest" max "$cpus" "$1" wall "$2" "done" &
			job=$!
			if ms=$("$out/net-first" $guest_address 8080 "$start" 90); then
				printf 'figure:%s-answer-ms\t%s\n' "$1" "$ms" >"$out/net.figures"
				server_stop
			else
				printf 'failed:%s-answer\tno answer\n' "$1" >"$out/net.figures"
			fi
			wait $job
			figures_take
			complete
		done
	done
}

server_round() { # SERVER MODE RUN
	local cpus guest start job count measure=load_measure
	[ "$2" != count ] || measure=load_count
	for cpus in $cpu_counts; do
		for guest in $guests; do
			! measured "$guest" max "$cpus" "net$1" "$2" "$3" || continue
			quiet_wait
			: >"$out/net.figures"
			rm -f "$out/qemu.pid"
			start=$(date +%s%N)
			guest_run "$guest" max "$cpus" "net$1" "$2" "$3" "done" &
			job=$!
			if "$out/net-first" $guest_address 8080 "$start" 90 >/dev/null; then
				server_warm "$1" >>"$out/net.figures"
				for count in $connections; do
					$measure "$1" "$count" >>"$out/net.figures"
				done
				server_stop
			fi
			wait $job
			figures_take
			complete
		done
	done
}

suite_run() {
	local run server
	net_prepare
	for run in $(seq "$runs"); do
		case " $parts " in *" micro "*) micro_round net wall "$run" ;; esac
		case " $parts " in *" first "*)
			first_round first "$run"
			first_round first-cds "$run" ;;
		esac
		case " $parts " in *" servers "*)
			for server in $servers; do
				server_round "$server" wall "$run"
			done ;;
		esac
	done
	timeout_s=$((timeout_s * 4))
	warm_most_s=$((warm_most_s * 2))
	case " $parts " in *" servers "*)
		for server in $servers; do
			server_round "$server" count 1
		done ;;
	esac
	case " $parts " in *" micro "*)
		micro_round net-count count 1 ;;
	esac
}

net_enter
