#!/bin/bash
# Files when memory is short: names without data are counted, too, and a file whose cache cannot be made is an error of its caller.
. "$(dirname "$0")/../cli/fake/lib.sh"
guest() { run_ibrik run --accel tcg "$@"; }

# Names of one kind until no more are to be had. Then everybody else's memory must be there, and what is removed must come back.
cat > "$T/names.c" <<'END_C'
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

static char target[4001];

static int make(const char *kind, const char *name)
{
	int fd;

	if (!strcmp(kind, "symlinks"))
		return symlink(target, name);
	if (!strcmp(kind, "links"))
		return link("first", name);
	if (!strcmp(kind, "directories"))
		return mkdir(name, 0755);
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
	return fd < 0 ? -1 : close(fd);
}

static unsigned long left(void)
{
	struct statfs s;

	return statfs(".", &s) ? 0 : s.f_ffree;
}

int main(int argc, char **argv)
{
	unsigned long before, n = 0;
	char name[200], *p;
	int err;

	memset(target, 't', sizeof(target) - 1);
	memset(name, 'n', sizeof(name));
	if (argc != 2 || chdir("/dev/shm") || close(open("first", O_CREAT, 0644)))
		return 2;
	before = left();
	for (;; n++) {
		sprintf(name + 150, "%lu", n);
		if (make(argv[1], name))
			break;
	}
	err = errno;
	if (left() != before - n) {
		printf("%lu names, %lu left of %lu\n", n, left(), before);
		return 1;
	}
	p = malloc(2 << 20);
	if (!p)
		return 3;
	memset(p, 1, 2 << 20);
	for (unsigned long i = n; i-- > 0;) {
		sprintf(name + 150, "%lu", i);
		if (remove(name)) {
			perror("remove");
			return 1;
		}
	}
	if (left() != before) {
		printf("%lu left after all were removed, %lu before\n", left(), before);
		return 1;
	}
	puts(n < 100 ? "too few" : strerrorname_np(err));
	return 0;
}
END_C
gcc -D_GNU_SOURCE -O1 -o "$T/names" "$T/names.c" || exit 1
for kind in symlinks links directories files; do
	guest -m 64M --exec "$T/names" -- $kind
	check "$kind-without-end-are-ENOSPC" [ "$status,$out" = "0,ENOSPC" ]
done

# Each file of a folder goes into a TCP socket and is mapped, while some allocations fail (kernel option mm.fail): bytes, or an errno.
cat > "$T/send.c" <<'END_C'
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

/* How often a call is tried that memory may refuse. */
#define TRIES 100

static int pair(int fd[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM, 0), r = -1;

	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	fd[1] = -1;
	if (listener >= 0 && fd[0] >= 0 && !bind(listener, (struct sockaddr *)&a, len) && !listen(listener, 1) &&
	    !getsockname(listener, (struct sockaddr *)&a, &len) && !connect(fd[0], (struct sockaddr *)&a, len)) {
		fd[1] = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		r = fd[1] < 0 || fcntl(fd[0], F_SETFL, O_NONBLOCK) ? -1 : 0;
	}
	close(listener);
	if (r) {
		close(fd[0]);
		close(fd[1]);
	}
	return r;
}

int main(int argc, char **argv)
{
	static char buf[65536];
	unsigned sent = 0, refused = 0;
	int fd[2], n;

	for (n = 0; n < TRIES && pair(fd); n++)
		;
	if (argc != 2 || n == TRIES)
		return 2;
	for (n = 1; n <= 200; n++) {
		off_t at = 0;
		char name[200];
		void *p;
		int file = -1;

		snprintf(name, sizeof(name), "%s/%d", argv[1], n);
		for (int i = 0; i < TRIES && file < 0; i++)
			file = open(name, O_RDONLY);
		if (file < 0)
			return 3;
		if (sendfile(fd[0], file, &at, 65536) > 0)
			sent++;
		else if (errno == ENOMEM || errno == ENOBUFS || errno == EAGAIN)
			refused++;
		else
			return perror("sendfile"), 1;
		close(file);
		/* Another file: that one's cache may be there by now. */
		snprintf(name, sizeof(name), "%s/%d", argv[1], 200 + n);
		for (int i = 0; i < TRIES && (file < 0 || !i); i++)
			file = open(name, O_RDONLY);
		p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
		if (p == MAP_FAILED && errno != ENOMEM)
			return perror("mmap"), 1;
		if (p != MAP_FAILED)
			munmap(p, 4096);
		close(file);
		while (recv(fd[1], buf, sizeof(buf), 0) > 0)
			;
	}
	printf("%s %s\n", sent ? "sent" : "nothing", refused ? "refused" : "all");
	return 0;
}
END_C
gcc -D_GNU_SOURCE -O1 -static -o "$T/send" "$T/send.c" || exit 1
mkdir "$T/data"
for ((i = 1; i <= 400; i++)); do
	head -c $((3000 + i * 10)) /dev/zero | tr '\0' x > "$T/data/$i"
done
check sendfile-on-linux [ "$("$T/send" "$T/data")" = "sent all" ]
files=()
for ((i = 1; i <= 400; i++)); do files+=(--file "$T/data/$i:/data/$i"); done
"$IBRIK" build "${files[@]}" --exec "$T/send" -o "$T/send.img" -- /data || not_ok build
guest -m 128M "$T/send.img"
check sendfile-with-memory [ "$status,$out" = "0,sent all" ]
# The end of the process, too: with 7, what gives back memory could not do it if it needed as many allocations that may fail.
for n in 7 13 19; do
	guest -m 128M --kernel-opts mm.fail=$n "$T/send.img"
	check "sendfile-when-every-${n}th-allocation-fails" [ "$status,${out#* }" = 0,refused ]
done
finish
