#!/bin/bash
# suite: no
# A Spring Boot 3 application with Actuator, from its executable jar. It takes minutes to start under emulation.
. "$(dirname "$0")/server.inc"
TIMEOUT=${TIMEOUT:-800}
jars spring
jars spring-loader
compile spring Probe.java SpringServer.java
mkdir -p "$dir/jar/BOOT-INF/lib" "$dir/jar/BOOT-INF/classes"
cp build/test/jars/spring/*.jar "$dir/jar/BOOT-INF/lib/"
cp "$classes"/Spring*.class "$classes"/Answers.class "$dir/jar/BOOT-INF/classes/"
# shellcheck disable=SC2016
echo 'server.port=${PORT:8080}' >"$dir/jar/BOOT-INF/classes/application.properties"
(cd "$dir/jar" && "$(dirname "$java")/jar" -xf "$OLDPWD"/build/test/jars/spring-loader/*.jar && rm -rf META-INF)
printf 'Main-Class: org.springframework.boot.loader.launch.JarLauncher\nStart-Class: SpringServer\nSpring-Boot-Classes: BOOT-INF/classes/\nSpring-Boot-Lib: BOOT-INF/lib/\n' \
	>"$dir/manifest"
# Boot's loader wants the jars inside stored, not compressed.
"$(dirname "$java")/jar" -c -0 -f "$dir/application.jar" -m "$dir/manifest" -C "$dir/jar" . || { echo "not ok $name no jar"; exit 1; }

health() {
	local answer
	answer=$(curl -s --max-time 60 "http://127.0.0.1:$port/actuator/health")
	if [ "$answer" = '{"status":"UP"}' ]; then
		echo "ok ${where}health"
	else
		echo "not ok ${where}health ${answer:-no answer}"
		failed=1
	fi
}
PORT=$port here -jar "$dir/application.jar"
ask Probe 127.0.0.1 "$port" 60 http
health
ask Probe 127.0.0.1 "$port" 60 stop
ends 0
guest -p "$port:8080" "$dir/application.jar"
ask Probe 127.0.0.1 "$port" 600 http gate
health
ask Probe 127.0.0.1 "$port" 60 stop
ends 0
