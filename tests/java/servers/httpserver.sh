#!/bin/bash
# suite: no
# The JDK's HttpServer and HttpsServer.
. "$(dirname "$0")/server.inc"
make_keys
compile '' Probe.java JdkServer.java
here -Dkeys="$keys" -cp "$classes" JdkServer "$port"
ask Probe 127.0.0.1 "$port" 30 http
ask Probe 127.0.0.1 $((port + 1)) 30 tls http stop
ends 0
guest -p "$port:8080" -p "$((port + 1)):8081" --file "$keys:/t/keys.p12" --cp "$classes" --main JdkServer -- 8080
ask Probe 127.0.0.1 "$port" 120 http gate
ask Probe 127.0.0.1 $((port + 1)) 30 tls http stop
ends 0
