#!/bin/bash
# suite: yes
# Tomcat 10 with its defaults; at least 99 % of its system calls come through the gate once it is warm.
. "$(dirname "$0")/server.inc"
jars tomcat
compile tomcat Probe.java TomcatServer.java
here -cp "$classes:$(path tomcat)" TomcatServer "$port"
ask Probe 127.0.0.1 "$port" 30 http stop
ends 0
guest -p "$port:8080" --cp "$classes:$(path tomcat)" --main TomcatServer -- 8080
ask Probe 127.0.0.1 "$port" 120 http gate stop
ends 0
