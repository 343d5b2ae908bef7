#!/bin/bash
# suite: no
# ZooKeeper, a server of one: sessions, watches, ephemeral nodes; ended by SIGTERM.
. "$(dirname "$0")/server.inc"
jars zookeeper
compile zookeeper ZooKeeperProbe.java
EXTRA=$(path zookeeper)
GUEST_JVM=-Dzookeeper.admin.enableServer=false
rm -rf "$dir/data"
here $GUEST_JVM -cp "$EXTRA" org.apache.zookeeper.server.ZooKeeperServerMain "$port" "$dir/data"
ask ZooKeeperProbe "127.0.0.1:$port" 60
kill $pid
ends 143
guest -p "$port:2181" --cp "$EXTRA" --main org.apache.zookeeper.server.ZooKeeperServerMain -- 2181 /tmp/zookeeper
ask ZooKeeperProbe "127.0.0.1:$port" 150
kill $pid
ends 143
