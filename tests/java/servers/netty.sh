#!/bin/bash
# suite: no
# Netty, by NIO and by its native epoll transport, with HTTP and WebSocket; ended by SIGTERM.
. "$(dirname "$0")/server.inc"
jars netty
compile netty Probe.java NettyServer.java SocketProbe.java
here -cp "$classes:$(path netty)" NettyServer "$port"
ask Probe 127.0.0.1 "$port" 30 http
ask SocketProbe 127.0.0.1 "$port"
ask Probe 127.0.0.1 $((port + 1)) 30 http stop
ends 0
guest -p "$port:8080" -p "$((port + 1)):8081" --cp "$classes:$(path netty)" --main NettyServer -- 8080
ask Probe 127.0.0.1 "$port" 120 http gate
ask SocketProbe 127.0.0.1 "$port"
ask Probe 127.0.0.1 $((port + 1)) 30 http gate
ask SocketProbe 127.0.0.1 $((port + 1))
kill $pid
ends 143
