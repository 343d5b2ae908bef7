#!/bin/bash
# suite: no
# Kafka, broker and controller in one (KRaft), with its own main class on a storage that its tool has formatted here, and started again on what it has written
# (KafkaServer); ended by SIGTERM. The address that brokers tell their clients is one for both sides, so the ports inside are those outside.
. "$(dirname "$0")/server.inc"
TIMEOUT=${TIMEOUT:-420}
jars kafka
compile kafka KafkaServer.java KafkaProbe.java
EXTRA=$(path kafka)
GUEST_JVM='-Dorg.apache.logging.log4j.level=INFO -Dlog4j.shutdownHookEnabled=false'

# What a broker is told, with its storage in $1.
properties() {
	cat <<-END
		process.roles=broker,controller
		node.id=1
		listeners=PLAINTEXT://:$port,CONTROLLER://127.0.0.1:$((port + 1))
		advertised.listeners=PLAINTEXT://127.0.0.1:$port
		controller.listener.names=CONTROLLER
		controller.quorum.bootstrap.servers=127.0.0.1:$((port + 1))
		log.dirs=$1
		offsets.topic.num.partitions=3
		offsets.topic.replication.factor=1
		transaction.state.log.num.partitions=3
		transaction.state.log.replication.factor=1
		transaction.state.log.min.isr=1
		group.initial.rebalance.delay.ms=0
	END
}

format() {
	properties "$dir/$1" >"$dir/$1.properties"
	"$java" -cp "$EXTRA" kafka.tools.StorageTool format -t "$("$java" -cp "$EXTRA" kafka.tools.StorageTool random-uuid)" -c "$dir/$1.properties" --standalone \
		>"$dir/format.out" 2>&1 || { tail -n 3 "$dir/format.out"; echo "not ok $name format"; exit 1; }
}

# The broker must have ended in its own way and complained of nothing: $1 is what it has printed, $2 how often it has ended. A controller that registers
# before its election is over is told so, in a line of that kind, and asks again.
clean() {
	local complaints ended
	complaints=$(awk 'held != "" { if (!/NotControllerException/) print held; held = "" }
		/^[0-9:.]+ \[.*\] (ERROR|FATAL)/ { held = $0 }
		END { if (held != "") print held }' "$1")
	ended=$(grep -c 'BrokerServer id=1] shut down completed' "$1")
	if [ -z "$complaints" ] && [ "$ended" = "$2" ]; then
		echo "ok ${where}clean"
	else
		head -n 5 <<<"$complaints"
		echo "not ok ${where}clean the broker complains, or has ended $ended times"
		exit 1
	fi
}

format host
# shellcheck disable=SC2086
here $GUEST_JVM -cp "$EXTRA" kafka.Kafka "$dir/host.properties"
ask KafkaProbe "127.0.0.1:$port" 60
kill $pid
ends 143
clean "$dir/host.out" 1
properties "$dir/again" >"$dir/again.properties"
# shellcheck disable=SC2086
here $GUEST_JVM -cp "$classes:$EXTRA" KafkaServer "$dir/again.properties" $((port + 2))
ask KafkaProbe "127.0.0.1:$port" 60 $((port + 2))
kill $pid
ends 143
clean "$dir/host.out" 2

properties /tmp/kafka >"$dir/guest.properties"
format stored
files=(--file "$dir/guest.properties:/t/kafka.properties")
while read -r file; do
	files+=(--file "$dir/stored/$file:/tmp/kafka/$file")
done < <(cd "$dir/stored" && find . -type f -printf '%P\n')
guest -p "$port:$port" "${files[@]}" --cp "$EXTRA" --main kafka.Kafka -- /t/kafka.properties
ask KafkaProbe "127.0.0.1:$port" 200
kill $pid
ends 143
clean "$dir/out" 1
guest -p "$port:$port" -p "$((port + 2)):$((port + 2))" --file "$dir/guest.properties:/t/kafka.properties" --cp "$classes:$EXTRA" --main KafkaServer -- \
	/t/kafka.properties $((port + 2))
ask KafkaProbe "127.0.0.1:$port" 200 $((port + 2))
kill $pid
ends 143
clean "$dir/out" 2
