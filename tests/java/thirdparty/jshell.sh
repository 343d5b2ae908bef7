#!/bin/bash
# suite: yes
# jshell, fed by standard input, with its execution engine in the same JVM.
. "$(dirname "$0")/common.inc"
input=$OUT/jshell.in
cat >"$input" <<'END'
int square(int x) { return x * x; }
record Point(int x, int y) { int length() { return Math.abs(x) + Math.abs(y); } }
var squares = java.util.stream.IntStream.range(0, 10).map(i -> square(i)).sum();
System.out.println("squares " + squares + " length " + new Point(-3, 4).length());
/exit
END
both jshell "$input" '^squares 285 length 7$' -- jdk.jshell/jdk.internal.jshell.tool.JShellToolProvider '' --execution local -
