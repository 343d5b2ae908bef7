#!/bin/bash
# `ibrik run` and images with real machines: streams, statuses, signals, settings, volumes, BIOS boot.
. "$(dirname "$0")/../cli/fake/lib.sh"
run_ibrik() { # the same with a limit for emulated machines
	timeout 100 "$IBRIK" run --accel tcg -m 128M "$@" > "$T/out" 2> "$T/err" < "${INPUT:-/dev/null}"
	status=$?
	out=$(tr -d '\0' < "$T/out") err=$(cat "$T/err")
}
cat > "$T/probe.c" <<'END'
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/rseq.h>
#include <sys/utsname.h>
#include <unistd.h>

static void on_term(int number) { dprintf(1, "got %d\n", number); _exit(7); }

static void on_signal(int number) { dprintf(1, "got %d\n", number); }

/* A signal while rseq_cs points to a description that is right, or wrong in one thing. Linux makes SIGSEGV then; its
 * handler may run once, but the next look at the description ends the program. */
static void describe_section(const char *wrong)
{
	static const unsigned place[2] = { RSEQ_SIG, 0 };
	static struct rseq_cs section __attribute__((aligned(32)));
	struct rseq *area = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);

	section.version = !strcmp(wrong, "version");
	section.start_ip = (unsigned long)&place[!strcmp(wrong, "place")];
	section.post_commit_offset = 4;
	section.abort_ip = (unsigned long)&place[strcmp(wrong, "signature") != 0];
	signal(SIGSEGV, on_signal);
	signal(SIGUSR1, on_signal);
	area->rseq_cs = !strcmp(wrong, "address") ? 8 : (unsigned long)&section;
	raise(SIGUSR1);
	printf("%s\n", area->rseq_cs ? "kept" : "cleared");
}

int main(int argc, char **argv, char **envp)
{
	char data[65536], here[4096];
	struct utsname name;
	ssize_t got;

	if (argc < 2)
		return 0;
	if (!strcmp(argv[1], "args"))
		for (int i = 2; i < argc; i++)
			printf("[%s]\n", argv[i]);
	if (!strcmp(argv[1], "env")) {
		uname(&name);
		printf("%s %s %s\n", getenv("A") ? getenv("A") : "-", getcwd(here, sizeof(here)), name.nodename);
	}
	if (!strcmp(argv[1], "status"))
		return atoi(argv[2]);
	if (!strcmp(argv[1], "streams")) {
		dprintf(2, "to-err\n");
		dprintf(1, "to-out\n");
	}
	if (!strcmp(argv[1], "cat"))
		while ((got = read(0, data, sizeof(data))) > 0)
			if (write(1, data, (size_t)got) != got)
				return 3;
	if (!strcmp(argv[1], "wait")) {
		signal(SIGTERM, on_term);
		signal(SIGINT, on_term);
		dprintf(1, "ready\n");
		for (;;)
			pause();
	}
	if (!strcmp(argv[1], "abort"))
		abort();
	if (!strcmp(argv[1], "section"))
		describe_section(argv[2]);
	if (!strcmp(argv[1], "show")) {
		int fd = open(argv[2], O_RDONLY);

		if (fd < 0)
			return 4;
		while ((got = read(fd, data, sizeof(data))) > 0)
			if (write(1, data, (size_t)got) != got)
				return 3;
	}
	if (!strcmp(argv[1], "create")) {
		int fd = open(argv[2], O_WRONLY | O_CREAT, 0644);

		printf("%s\n", fd < 0 ? strerror(errno) : "created");
	}
	return 0;
}
END
gcc -O1 -o "$T/probe" "$T/probe.c" && gcc -O1 -static -o "$T/static" "$T/probe.c" && gcc -O1 -static-pie -o "$T/static-pie" "$T/probe.c" || exit 1

run_ibrik --exec "$T/probe" streams
check streams-unmixed [ "$status,$out,$err" = "0,to-out,to-err" ]
run_ibrik --exec "$T/static" status 42
check static-program-and-status [ "$status" = 42 ]
run_ibrik --exec "$T/static-pie" args 'one two' '' three
check static-pie-and-arguments [ "$status,$out" = "0,[one two]
[]
[three]" ]
run_ibrik -e A=b -w /usr --name box --exec "$T/probe" env
check environment-workdir-name [ "$out" = "b /usr box" ]
run_ibrik --exec "$T/probe" abort
check status-of-a-signal [ "$status" = 134 ]
run_ibrik --exec "$T/probe" section nothing
check section-described-rightly [ "$status,$out" = "0,got 10
cleared" ]
for wrong in version signature place address; do
	{ "$T/probe" section $wrong; } > /dev/null 2>&1
	check "section-wrong-in-$wrong-on-linux" [ $? = 139 ]
	run_ibrik --exec "$T/probe" section $wrong
	check "section-wrong-in-$wrong" [ "$status" = 139 ]
done
head -c 1000000 /dev/urandom > "$T/input"
INPUT=$T/input run_ibrik --exec "$T/probe" cat
check input-1-MB-both-ways cmp -s "$T/input" "$T/out"
for machine in q35 pc; do
	run_ibrik --machine $machine --exec "$T/probe" streams
	check "machine-$machine" [ "$status,$out" = "0,to-out" ]
done

mkdir "$T/volume"
echo inside > "$T/volume/file"
run_ibrik -v "$T/volume:/data/v:ro" --exec "$T/probe" show /data/v/file
check volume [ "$status,$out" = "0,inside" ]
run_ibrik -v "$T/volume:/data/v" --exec "$T/probe" create /data/v/new
check volume-is-read-only [ "$out" = "Read-only file system" ]
run_ibrik --file "$T/volume/file:/etc/x/file" --exec "$T/probe" show /etc/x/file
check file [ "$out" = inside ]
run_ibrik --exec "$T/probe" create /etc/new
check root-takes-writes [ "$out" = created ]

for signal in TERM INT; do
	rm -f "$T/out" # the last "ready" must not be taken for this one's
	"$IBRIK" run --accel tcg -m 128M --exec "$T/probe" wait > "$T/out" 2> "$T/err" < /dev/null &
	pid=$!
	for _ in $(seq 1000); do grep -q ready "$T/out" 2> /dev/null && break; sleep 0.1; done
	kill -$signal $pid
	wait $pid
	check "signal-$signal" [ "$?,$(tail -n1 "$T/out")" = "7,got $(kill -l $signal)" ]
done

# A QEMU that takes it gets the plugin against torn instructions when several CPUs are emulated.
if grep -q qemu_plugin_reset "$(command -v qemu-system-x86_64)" && ! grep -q qemu_plugin_scoreboard_new "$(command -v qemu-system-x86_64)"; then
	run_ibrik --cpus 2 --log "$T/log" --exec "$T/probe" status 3
	check plugin-with-several-cpus grep -q -e '-plugin [^ ]*/tcg-reread.so ' "$T/log"
	run_ibrik --cpus 1 --log "$T/log" --exec "$T/probe" status 3
	check no-plugin-with-one-cpu [ "$status,$(grep -c -e ' -plugin ' "$T/log")" = "3,0" ]
fi

run_ibrik --log "$T/log" --run "$T/probe status 3" --run "$T/probe streams"
check several-programs [ "$status,$out" = "3,to-out" ]
check several-programs-are-reported grep -q 'ran 0 768' "$T/log"

# Images: the command line wins over what is inside; the same image boots by itself under BIOS.
timeout 60 "$IBRIK" build --exec "$T/probe" -e A=image -o "$T/a.img" -- env
run_ibrik "$T/a.img"
check image [ "$status,$out" = "0,image / ibrik" ]
run_ibrik -e A=line "$T/a.img"
check environment-of-the-line-wins [ "$out" = "line / ibrik" ]
run_ibrik "$T/a.img" args x
check arguments-of-the-line-win [ "$out" = "[x]" ]
run_ibrik -- "$T/a.img"
check two-hyphens-keep-its-arguments [ "$status,$out" = "0,image / ibrik" ]
run_ibrik -- "$T/a.img" args y
check arguments-behind-two-hyphens [ "$out" = "[y]" ]
bios() { timeout 60 qemu-system-x86_64 -m 512 -drive file="$T/a.img",format=raw -display none -no-reboot -serial stdio < /dev/null > "$T/out" 2>&1; }
bios
check boots-by-itself-under-bios grep -q 'image / ibrik' "$T/out"

# Damage is found: in metadata when it is mounted, in data when it is first read.
timeout 60 "$IBRIK" build --exec "$T/static" --file "$T/input:/big" -o "$T/b.img" -- show /big
at=$(grep -a -b -o -F -m1 "$(head -c 16 "$T/input" | tail -c 8)" "$T/b.img" 2> /dev/null | head -n1 | cut -d: -f1)
app=$("$IBRIK" inspect --no-files "$T/b.img" | sed -n 's/^layer: *app .* at \([0-9]*\),.*/\1/p')
# Whatever stands there becomes something else: the time of the build is among what is flipped.
flip() {
	local old
	cp "$T/b.img" "$T/flip.img"
	old=$(od -An -tu1 -j "$1" -N 1 "$T/flip.img")
	printf "\\$(printf '%03o' $((old ^ 85)))" | dd of="$T/flip.img" bs=1 seek="$1" conv=notrunc status=none
}
flip "${at:-$((app + 200000))}"
run_ibrik "$T/flip.img"
check flipped-data-is-not-read [ "$status" != 0 -a "$status" != 124 ]
check flipped-data-gives-a-line grep -q '^ibrik: ' "$T/err"
flip $((app + 8))
run_ibrik "$T/flip.img"
check flipped-metadata [ "$status" = 125 ]
check flipped-metadata-gives-a-line grep -q '^ibrik: ' "$T/err"
finish
