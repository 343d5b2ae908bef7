// sources: images/zip.c
// flags: -lz
/*
 * The zip reader: stored and deflated entries, archives with something before or behind them,
 * and damage: every byte of a small archive is flipped and every shorter length tried.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "images/zip.h"

static int failed;
static char path[] = "/tmp/ibrik-zip-test.XXXXXX";

static void check(const char *name, int good)
{
	printf(good ? "ok %s\n" : "not ok %s\n", name);
	failed |= !good;
}

struct archive {
	unsigned char data[65536];
	size_t bytes;
	unsigned char directory[4096];
	size_t directory_bytes;
	unsigned entries;
	size_t base;
};

static void put(unsigned char *at, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		at[i] = (unsigned char)(value >> (8 * i));
}

static void add(struct archive *archive, const char *name, const void *data, size_t bytes, int method)
{
	unsigned char packed[8192], *local = archive->data + archive->bytes, *central = archive->directory + archive->directory_bytes;
	size_t packed_bytes = bytes, name_bytes = strlen(name);

	memcpy(packed, data, bytes < sizeof(packed) ? bytes : sizeof(packed));
	if (method == 8) {
		z_stream stream = { .next_in = (unsigned char *)data, .avail_in = (uInt)bytes, .next_out = packed, .avail_out = sizeof(packed) };

		deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
		deflate(&stream, Z_FINISH);
		packed_bytes = stream.total_out;
		deflateEnd(&stream);
	}
	memset(local, 0, 30);
	put(local, 0x04034b50, 4);
	put(local + 8, (uint64_t)method, 2);
	put(local + 26, name_bytes, 2);
	memcpy(local + 30, name, name_bytes);
	memcpy(local + 30 + name_bytes, packed, packed_bytes);
	memset(central, 0, 46);
	put(central, 0x02014b50, 4);
	put(central + 10, (uint64_t)method, 2);
	put(central + 16, crc32(0, data, (uInt)bytes), 4);
	put(central + 20, packed_bytes, 4);
	put(central + 24, bytes, 4);
	put(central + 28, name_bytes, 2);
	put(central + 42, archive->bytes - archive->base, 4);
	memcpy(central + 46, name, name_bytes);
	archive->bytes += 30 + name_bytes + packed_bytes;
	archive->directory_bytes += 46 + name_bytes;
	archive->entries++;
}

static void finish(struct archive *archive, const char *comment)
{
	unsigned char *end;
	size_t directory_at = archive->bytes;

	memcpy(archive->data + archive->bytes, archive->directory, archive->directory_bytes);
	archive->bytes += archive->directory_bytes;
	end = archive->data + archive->bytes;
	memset(end, 0, 22);
	put(end, 0x06054b50, 4);
	put(end + 8, archive->entries, 2);
	put(end + 10, archive->entries, 2);
	put(end + 12, archive->directory_bytes, 4);
	put(end + 16, directory_at - archive->base, 4);
	put(end + 20, strlen(comment), 2);
	memcpy(end + 22, comment, strlen(comment));
	archive->bytes += 22 + strlen(comment);
}

static void write_file(const void *data, size_t bytes)
{
	FILE *file = fopen(path, "w");

	fwrite(data, 1, bytes, file);
	fclose(file);
}

/* What reading the entry gives; the text is compared when that is 0. */
static int try_read(const void *data, size_t bytes, const char *name, const char *want)
{
	struct zip zip;
	unsigned char *got;
	size_t got_bytes;
	int error;

	write_file(data, bytes);
	error = zip_open(&zip, path);
	if (error)
		return error;
	error = zip_read(&zip, name, 1 << 20, &got, &got_bytes);
	zip_close(&zip);
	if (error)
		return error;
	if (got_bytes != strlen(want) || memcmp(got, want, got_bytes) != 0)
		error = 1;
	free(got);
	return error;
}

static struct archive *make(size_t prefix, const char *comment)
{
	struct archive *archive = calloc(1, sizeof(*archive));

	memset(archive->data, '#', prefix);
	archive->bytes = archive->base = prefix;
	add(archive, "META-INF/MANIFEST.MF", "Main-Class: A\n", 14, 8);
	add(archive, "A.class", "stored text", 11, 0);
	finish(archive, comment);
	return archive;
}

int main(void)
{
	struct archive *archive;
	struct zip zip;
	int wrong = 0, fd = mkstemp(path);

	close(fd);
	archive = make(0, "");
	check("deflated", try_read(archive->data, archive->bytes, "META-INF/MANIFEST.MF", "Main-Class: A\n") == 0);
	check("stored", try_read(archive->data, archive->bytes, "A.class", "stored text") == 0);
	check("missing", try_read(archive->data, archive->bytes, "B.class", "") == -ENOENT);
	check("behind-a-comment", try_read(archive->data, archive->bytes, "A.clas", "") == -ENOENT);
	for (size_t i = 0; i < archive->bytes; i++) {
		struct archive damaged = *archive;

		damaged.data[i] ^= 0xff;
		wrong += try_read(damaged.data, damaged.bytes, "META-INF/MANIFEST.MF", "Main-Class: A\n") == 1;
	}
	check("flipped-bytes-never-give-wrong-data", wrong == 0);
	for (size_t bytes = 0; bytes < archive->bytes; bytes++)
		wrong += try_read(archive->data, bytes, "A.class", "stored text") >= 0;
	check("cut-short-is-refused", wrong == 0);
	free(archive);

	archive = make(0, "a comment behind");
	check("comment", try_read(archive->data, archive->bytes, "A.class", "stored text") == 0);
	free(archive);
	archive = make(100, "");
	check("script-in-front", try_read(archive->data, archive->bytes, "A.class", "stored text") == 0);
	free(archive);

	check("empty-file", try_read("", 0, "A", "") == -EINVAL);
	check("text-file", try_read("this is not a zip file, only text that is long enough", 50, "A", "") == -EINVAL);
	check("folder", zip_open(&zip, "/tmp") == -EISDIR);
	check("no-file", zip_open(&zip, "/nonexistent/x.jar") == -ENOENT);
	unlink(path);
	return failed;
}
