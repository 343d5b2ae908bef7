#!/bin/bash
# suite: no
# Jetty 12: HTTP/1.1 and HTTP/2, in clear text and over TLS.
. "$(dirname "$0")/server.inc"
jars jetty
make_keys
compile jetty Probe.java JettyServer.java Http2Probe.java
here -Dkeys="$keys" -cp "$classes:$(path jetty)" JettyServer "$port"
ask Probe 127.0.0.1 "$port" 30 http
ask Http2Probe 127.0.0.1 "$port" $((port + 1))
ask Probe 127.0.0.1 $((port + 1)) 30 tls http stop
ends 0
guest -p "$port:8080" -p "$((port + 1)):8081" --file "$keys:/t/keys.p12" --cp "$classes:$(path jetty)" --main JettyServer -- 8080
ask Probe 127.0.0.1 "$port" 120 http gate
ask Http2Probe 127.0.0.1 "$port" $((port + 1))
ask Probe 127.0.0.1 $((port + 1)) 30 tls http stop
ends 0
