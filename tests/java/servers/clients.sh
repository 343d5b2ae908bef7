#!/bin/bash
# suite: no
# Clients inside a machine: HTTP/1.1, HTTP/2, TLS 1.3, WebSocket, JDBC and UDP to servers on this machine; names, datagrams, interfaces and channels over loopback.
. "$(dirname "$0")/server.inc"
jars jetty
jars netty
make_keys
compile jetty JettyServer.java
compile netty NettyServer.java Inside.java
printf 'nameserver 127.0.0.1\nsearch example.test\n' >"$dir/resolv.conf"
others=()
quit() {
	local one
	for one in "${others[@]}"; do
		kill "$one" 2>/dev/null
	done
	[ -z "${postgres:-}" ] || runuser -u postgres -- "$postgres/pg_ctl" -D "$data" -m immediate stop >/dev/null 2>&1
	[ -z "${data:-}" ] || rm -rf "$data"
}
trap quit EXIT
for server in "-cp $classes:$(path jetty) JettyServer $port" "-cp $classes:$(path netty) NettyServer $((port + 2))" "-cp $classes Inside echo $port"; do
	# shellcheck disable=SC2086
	"$java" -Dkeys="$keys" $server >"$dir/peer-${#others[@]}.out" 2>&1 </dev/null &
	others+=($!)
done
# A database of its own, if Debian's PostgreSQL is there.
sql=0
postgres=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
if [ -n "$postgres" ] && [ "$(id -u)" = 0 ]; then
	jars postgresql
	EXTRA=$(path postgresql)
	data=$(mktemp -d)
	chown postgres "$data"
	runuser -u postgres -- "$postgres/initdb" -D "$data" -A trust >"$dir/initdb.out" 2>&1 &&
		runuser -u postgres -- "$postgres/pg_ctl" -w -D "$data" -l "$data/log" -o "-k $data -h 127.0.0.1 -p $((port + 4))" start >>"$dir/initdb.out" 2>&1 ||
		{ tail -n 3 "$dir/initdb.out"; echo "not ok clients PostgreSQL does not start"; exit 1; }
	sql=1
else
	echo "skip clients-sql no PostgreSQL here, or not root"
fi

# What `Inside remote` wants to know, as seen from a machine that calls this one HOST.
remote() {
	local args=("$1" "$port" $((port + 1)) $((port + 2)) "$port")
	[ $sql = 0 ] || args+=("jdbc:postgresql://$1:$((port + 4))/postgres" postgres '')
	printf '%s\n' "${args[@]}"
}
mapfile -t here_args < <(remote 127.0.0.1)
mapfile -t guest_args < <(remote 10.0.2.2)

for ((i = 0; i < 100; i++)); do
	(exec 3<>"/dev/tcp/127.0.0.1/$((port + 1))" 4<>"/dev/tcp/127.0.0.1/$((port + 3))") 2>/dev/null && break
	sleep 0.1
done
ask Inside remote "${here_args[@]}" </dev/null
report() {
	grep -E '^(ok|not ok|skip) ' "$1"
	grep -q '^not ok' "$1" && { cat "$1"; failed=1; }
	[ "$(grep -c '^ok' "$1")" -ge "$2" ] || { tail -n 5 "$1" "${1%out}err" "$dir/log"; echo "not ok ${where}clients less than $2 cases"; failed=1; }
}
# The names are asked from /etc/resolv.conf, so the check of the checks wants a namespace of its own.
where=host-
if [ "$(id -u)" = 0 ]; then
	unshare -m -n sh -c "ip link set lo up && mount --bind '$dir/resolv.conf' /etc/resolv.conf && exec '$java' -Dkeys='$keys' -cp '$classes' Inside local" >"$dir/local.out" 2>"$dir/local.err"
	sed -i -E 's/^((not )?ok) /\1 host-/' "$dir/local.out"
	report "$dir/local.out" 25
fi
where=
GUEST_JVM=-Dkeys=/t/keys.p12
guest --file "$keys:/t/keys.p12" --file "$dir/resolv.conf:/etc/resolv.conf" --cp "$classes" --main Inside -- local
wait $pid
report "$dir/out" 25
guest --file "$keys:/t/keys.p12" --cp "$classes${EXTRA:+:$EXTRA}" --main Inside -- remote "${guest_args[@]}"
wait $pid
report "$dir/out" $((6 + 4 * sql))
exit $failed
