/*
 * bench/micro/file.c - files that are cached: reads of several sizes, by system call and by mapping, names, and
 * files of /tmp that are made, grown and removed.
 */
#define _GNU_SOURCE
#include "micro.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char buffer[MIB];

/* The whole file in pieces of that size; a count is one piece. */
static long read_pieces(unsigned long count, size_t piece)
{
	int fd = packed_file();
	off_t at = 0;

	if (fd < 0)
		return fd;
	while (count--) {
		if (pread(fd, buffer, piece, at) != (ssize_t)piece)
			return errno ? -errno : -EIO;
		at = (at + (off_t)piece) % (off_t)PACKED_BYTES;
	}
	return 0;
}

static long run_read_4k(unsigned long count) { return read_pieces(count, 4096); }
static long run_read_64k(unsigned long count) { return read_pieces(count, 65536); }
static long run_read_1m(unsigned long count) { return read_pieces(count, MIB); }

static long run_scattered(unsigned long count)
{
	unsigned seed = 1;
	int fd = packed_file();

	if (fd < 0)
		return fd;
	while (count--) {
		seed = seed * 1103515245u + 12345;
		if (pread(fd, buffer, 512, (off_t)(seed >> 8) % (off_t)(PACKED_BYTES - 512)) != 512)
			return errno ? -errno : -EIO;
	}
	return 0;
}

/* Map, read a byte of every page, unmap. */
static long run_map(unsigned long count)
{
	int fd = packed_file();

	if (fd < 0)
		return fd;
	while (count--) {
		char *p = mmap(NULL, PACKED_BYTES, PROT_READ, MAP_PRIVATE, fd, 0);

		if (p == MAP_FAILED)
			return -errno;
		for (size_t at = 0; at < PACKED_BYTES; at += 4096)
			sink += (unsigned char)p[at];
		munmap(p, PACKED_BYTES);
	}
	return 0;
}

static long run_stat(unsigned long count)
{
	struct stat info;

	while (count--)
		if (stat(PACKED_FILE, &info))
			return -errno;
	return 0;
}

static long run_stat_missing(unsigned long count)
{
	struct stat info;

	while (count--)
		if (!stat("/bench/there/is/no/such/file", &info) || errno != ENOENT)
			return -EEXIST;
	return 0;
}

static long run_open(unsigned long count)
{
	while (count--) {
		int fd = open(PACKED_FILE, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || close(fd))
			return -errno;
	}
	return 0;
}

/* A directory of a few dozen entries: the JDK's or libc's own. */
static long run_readdir(unsigned long count)
{
	while (count--) {
		DIR *d = opendir("/etc");

		if (!d)
			return -errno;
		while (readdir(d))
			sink++;
		closedir(d);
	}
	return 0;
}

static long run_create(unsigned long count)
{
	while (count--) {
		int fd = open("/tmp/bench-new", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		if (fd < 0 || write(fd, buffer, 100) != 100 || close(fd) || unlink("/tmp/bench-new"))
			return errno ? -errno : -EIO;
	}
	return 0;
}

static int tmp_file(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/tmp/bench-file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return fd;
}

/* Sequential, over and over the same MiB. */
static long run_write(unsigned long count)
{
	int fd = tmp_file();
	off_t at = 0;

	while (count--) {
		if (pwrite(fd, buffer, 4096, at) != 4096)
			return errno ? -errno : -EIO;
		at = (at + 4096) % (off_t)MIB;
	}
	return 0;
}

/* Pages that were not there: a MiB is written and cut off again. */
static long run_grow(unsigned long count)
{
	int fd = tmp_file();

	while (count--)
		if (pwrite(fd, buffer, MIB, 0) != (ssize_t)MIB || ftruncate(fd, 0))
			return errno ? -errno : -EIO;
	return 0;
}

static long run_rename(unsigned long count)
{
	if (tmp_file() < 0)
		return -errno;
	while (count--)
		if (rename("/tmp/bench-file", "/tmp/bench-other") || rename("/tmp/bench-other", "/tmp/bench-file"))
			return -errno;
	return 0;
}

#define OP(name, run, divisor) { "file", name, run, divisor, 1 }

const struct operation file_operations[] = {
	OP("read-4K", run_read_4k, 1),
	OP("read-64K", run_read_64k, 1),
	OP("read-1M", run_read_1m, 1),
	OP("read-512-scattered", run_scattered, 1),
	OP("mmap-read-page", run_map, PACKED_BYTES / 4096),
	OP("stat", run_stat, 1),
	OP("stat-missing", run_stat_missing, 1),
	OP("open-close", run_open, 1),
	OP("readdir-etc", run_readdir, 1),
	OP("create-write-unlink-tmp", run_create, 1),
	OP("write-4K-tmp", run_write, 1),
	OP("grow-truncate-1M-tmp", run_grow, 1),
	OP("rename-tmp", run_rename, 2),
	{ 0 },
};
