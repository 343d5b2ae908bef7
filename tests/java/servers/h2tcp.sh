#!/bin/bash
# suite: no
# H2's server for JDBC over TCP, ended by its own command.
. "$(dirname "$0")/server.inc"
EXTRA=/usr/share/java/h2.jar
need $EXTRA libh2-java
compile '' SqlProbe.java
server=(-tcp -tcpPort "$port" -tcpAllowOthers -ifNotExists -tcpPassword x -baseDir)
stop() {
	"$java" -cp $EXTRA org.h2.tools.Server -tcpShutdown "tcp://127.0.0.1:$port" -tcpPassword x >"$dir/stop" 2>&1 || { tail -n 5 "$dir/stop"; echo "not ok ${where}shutdown"; failed=1; }
}
rm -rf "$dir/data"
here -cp $EXTRA org.h2.tools.Server "${server[@]}" "$dir/data"
ask SqlProbe "jdbc:h2:tcp://127.0.0.1:$port/./test" sa '' 30
stop
ends 0
guest -p "$port:$port" --cp $EXTRA --main org.h2.tools.Server -- "${server[@]}" /tmp/h2
ask SqlProbe "jdbc:h2:tcp://127.0.0.1:$port/./test" sa '' 120
stop
ends 0
