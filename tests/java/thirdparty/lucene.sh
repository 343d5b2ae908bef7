#!/bin/bash
# suite: no
# Lucene's demo indexes a tree of text files (mapped files, locks, many small writes).
. "$(dirname "$0")/common.inc"
need /usr/share/java/lucene-core-8.7.0.jar liblucene8-java
jars=
for part in core demo queryparser analyzers-common; do
	jars=$jars:$(ls /usr/share/java/lucene-$part-*.jar | head -n 1)
done
docs=$OUT/lucene-docs
mkdir -p "$docs"
for i in $(seq 1 300); do
	echo "document $i speaks of kernels, pages and the number $((i * i))" >"$docs/doc$i.txt"
done
SRC=$OUT/lucene-docs
rm -rf /tmp/lucene-index
both lucene /dev/null 'total milliseconds|adding .*doc300.txt' --file "$docs:/src" -- org.apache.lucene.demo.IndexFiles "${jars#:}" \
	-docs /src/ -index /tmp/lucene-index
