# tests/cli/fake/lib.sh - for the tests of the command: scratch folder, cases, small jars and kernels.
#
# Interface: source it; check NAME CONDITION... prints ok or not ok; finish ends the script.
#   run_ibrik ARG...       runs the command; $status, $out and $err hold what came of it
#   says NAME STATUS TEXT  the last run ended with that status and one line that holds TEXT
cd "$(dirname "${BASH_SOURCE[0]}")/../../.." || exit 1
IBRIK=$PWD/build/ibrik
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
failed=0

ok() { echo "ok $1"; }
not_ok() { echo "not ok $*"; failed=1; }
check() {
	local name=$1
	shift
	if "$@"; then ok "$name"; else not_ok "$name" "failed: $*"; fi
}
finish() { exit $failed; }

run_ibrik() {
	timeout 120 "$IBRIK" "$@" > "$T/out" 2> "$T/err" < "${INPUT:-/dev/null}"
	status=$?
	out=$(tr -d "\0" < "$T/out") err=$(cat "$T/err")
}
says() {
	local name=$1 want=$2 text=$3
	if [ "$status" != "$want" ]; then
		not_ok "$name" "status $status instead of $want: $err"
	elif [ "$(wc -l < "$T/err")" != 1 ] || [[ $err != "ibrik: "*"$text"* ]]; then
		not_ok "$name" "said: $err"
	else
		ok "$name"
	fi
}

# A kernel of five instructions, for images that need not boot: make_kernel FILE
make_kernel() {
	cat > "$T/kernel.S" <<-'END'
		.globl _start
		_start: .code32
		mov $0x10, %eax
		mov $0xf4, %dx
		out %eax, %dx
		1: hlt
		jmp 1b
		.section .note.pvh, "a", @note
		.long 4, 4, 18
		.asciz "Xen"
		.long _start
	END
	gcc -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-Ttext=0x200000 -o "$1" "$T/kernel.S"
}

# A jar with a class that was compiled for a release: make_jar FILE RELEASE [MANIFEST-LINE...]
make_jar() {
	local file=$1 release=$2
	shift 2
	mkdir -p "$T/classes"
	printf 'public class Main { public static void main(String[] a) { System.out.println("main"); } }\n' > "$T/Main.java"
	javac -d "$T/classes" --release "$release" "$T/Main.java" 2> /dev/null || return
	printf '%s\n' "$@" > "$T/manifest"
	jar --create --file "$file" --manifest "$T/manifest" -C "$T/classes" Main.class
}
