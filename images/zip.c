/*
 * images/zip.c - a zip reader for jars: finds an entry in the central directory
 * and unpacks it (stored or deflated), with Zip64 and with data before the archive.
 *
 * Every number in the file is untrusted: offsets and lengths are checked against the file
 * before use, an entry's size against a cap, and its CRC-32 after unpacking.
 *
 * Interface: zip_open(), zip_read(), zip_close()
 * Errors:    negative errno, see zip.h
 */
#include "zip.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define END_SIZE 22
#define END64_SIZE 56
#define LOCATOR64_SIZE 20
#define CENTRAL_SIZE 46
#define LOCAL_SIZE 30
#define DIRECTORY_MAX (256u << 20)

static uint16_t get16(const unsigned char *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t get32(const unsigned char *at)
{
	return get16(at) | (uint32_t)get16(at + 2) << 16;
}

static uint64_t get64(const unsigned char *at)
{
	return get32(at) | (uint64_t)get32(at + 4) << 32;
}

static int read_at(struct zip *zip, void *data, uint64_t bytes, uint64_t at)
{
	char *to = data;

	if (at > zip->bytes || bytes > zip->bytes - at)
		return -EINVAL;
	while (bytes) {
		ssize_t got = pread(zip->fd, to, bytes, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EINVAL;
		to += got;
		at += (uint64_t)got;
		bytes -= (uint64_t)got;
	}
	return 0;
}

/* The end record is the last thing in the file but for a comment of up to 64 KiB. */
static int find_end(struct zip *zip, uint64_t *end_at, unsigned char *end)
{
	uint64_t window = zip->bytes < END_SIZE + 65535 ? zip->bytes : END_SIZE + 65535;
	unsigned char *tail;
	uint64_t at;
	int error;

	if (window < END_SIZE)
		return -EINVAL;
	tail = malloc(window);
	if (!tail)
		return -ENOMEM;
	error = read_at(zip, tail, window, zip->bytes - window);
	for (at = window - END_SIZE; !error; at--) {
		if (get32(tail + at) == 0x06054b50 && at + END_SIZE + get16(tail + at + 20) <= window) {
			memcpy(end, tail + at, END_SIZE);
			*end_at = zip->bytes - window + at;
			break;
		}
		if (at == 0)
			error = -EINVAL;
	}
	free(tail);
	return error;
}

static int read_directory(struct zip *zip)
{
	unsigned char end[END_SIZE], locator[LOCATOR64_SIZE], end64[END64_SIZE];
	uint64_t end_at, offset;
	int error = find_end(zip, &end_at, end);

	if (error)
		return error;
	zip->entries = get16(end + 10);
	zip->directory_bytes = get32(end + 12);
	offset = get32(end + 16);
	if (zip->entries == 0xffff || zip->directory_bytes == 0xffffffff || offset == 0xffffffff) {
		if (end_at >= LOCATOR64_SIZE && !read_at(zip, locator, LOCATOR64_SIZE, end_at - LOCATOR64_SIZE) &&
		    get32(locator) == 0x07064b50) {
			error = read_at(zip, end64, END64_SIZE, get64(locator + 8));
			if (error || get32(end64) != 0x06064b50)
				return -EINVAL;
			zip->entries = get64(end64 + 32);
			zip->directory_bytes = get64(end64 + 40);
			offset = get64(end64 + 48);
			end_at = get64(locator + 8);
		}
	}
	if (zip->directory_bytes > end_at || zip->directory_bytes > DIRECTORY_MAX)
		return -EINVAL;
	/* The directory stands directly before its end record: what its offset lacks is a prefix. */
	zip->shift = (int64_t)(end_at - zip->directory_bytes) - (int64_t)offset;
	if (zip->shift < 0)
		return -EINVAL;
	zip->directory = malloc(zip->directory_bytes + 1);
	if (!zip->directory)
		return -ENOMEM;
	return read_at(zip, zip->directory, zip->directory_bytes, end_at - zip->directory_bytes);
}

int zip_open(struct zip *zip, const char *path)
{
	struct stat status;
	int error;

	memset(zip, 0, sizeof(*zip));
	zip->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (zip->fd < 0)
		return -errno;
	if (fstat(zip->fd, &status) < 0)
		error = -errno;
	else if (!S_ISREG(status.st_mode))
		error = S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
	else {
		zip->bytes = (uint64_t)status.st_size;
		error = read_directory(zip);
	}
	if (error)
		zip_close(zip);
	return error;
}

void zip_close(struct zip *zip)
{
	if (zip->fd >= 0)
		close(zip->fd);
	free(zip->directory);
	zip->fd = -1;
	zip->directory = NULL;
}

/* Sizes and offset of 0xffffffff are found in the extra field 1, in this order. */
static int read_zip64(const unsigned char *extra, unsigned bytes, uint64_t *size, uint64_t *packed, uint64_t *offset)
{
	uint64_t *fields[] = { size, packed, offset };

	while (bytes >= 4) {
		unsigned id = get16(extra), length = get16(extra + 2);

		if (length > bytes - 4)
			return -EINVAL;
		if (id == 1) {
			const unsigned char *at = extra + 4;

			for (unsigned i = 0; i < 3; i++) {
				if (*fields[i] != 0xffffffff)
					continue;
				if (at + 8 > extra + 4 + length)
					return -EINVAL;
				*fields[i] = get64(at);
				at += 8;
			}
			return 0;
		}
		extra += 4 + length;
		bytes -= 4 + length;
	}
	return 0;
}

static int inflate_entry(const unsigned char *packed, uint64_t packed_bytes, unsigned char *data, uint64_t bytes)
{
	z_stream stream = { .next_in = (unsigned char *)packed, .avail_in = (uInt)packed_bytes,
		            .next_out = data, .avail_out = (uInt)bytes };
	int status;

	if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
		return -ENOMEM;
	status = inflate(&stream, Z_FINISH);
	inflateEnd(&stream);
	return status == Z_STREAM_END && stream.total_out == bytes ? 0 : -EINVAL;
}

static int read_entry(struct zip *zip, const unsigned char *central, uint64_t most, unsigned char **data, size_t *bytes)
{
	unsigned method = get16(central + 10), flags = get16(central + 8);
	uint64_t packed_bytes = get32(central + 20), size = get32(central + 24), offset = get32(central + 42);
	unsigned char local[LOCAL_SIZE], *packed = NULL, *out = NULL;
	int error;

	error = read_zip64(central + CENTRAL_SIZE + get16(central + 28), get16(central + 30), &size, &packed_bytes, &offset);
	if (error)
		return error;
	if (flags & 1 || (method != 0 && method != 8))
		return -ENOTSUP;
	if (size > most || packed_bytes > zip->bytes || size > UINT32_MAX || packed_bytes > UINT32_MAX)
		return size > most ? -EFBIG : -EINVAL;
	offset += (uint64_t)zip->shift;
	error = read_at(zip, local, LOCAL_SIZE, offset);
	if (error || get32(local) != 0x04034b50)
		return -EINVAL;
	offset += LOCAL_SIZE + get16(local + 26) + get16(local + 28);

	packed = malloc(packed_bytes + 1);
	out = malloc(size + 1);
	error = packed && out ? read_at(zip, packed, packed_bytes, offset) : -ENOMEM;
	if (!error && method == 8)
		error = inflate_entry(packed, packed_bytes, out, size);
	else if (!error && packed_bytes != size)
		error = -EINVAL;
	else if (!error)
		memcpy(out, packed, size);
	if (!error && crc32(0, out, (uInt)size) != get32(central + 16))
		error = -EINVAL;
	free(packed);
	if (error) {
		free(out);
		return error;
	}
	out[size] = 0;
	*data = out;
	*bytes = size;
	return 0;
}

int zip_read(struct zip *zip, const char *name, uint64_t most, unsigned char **data, size_t *bytes)
{
	size_t name_bytes = strlen(name);
	uint64_t at = 0;

	for (uint64_t i = 0; i < zip->entries && zip->directory_bytes - at >= CENTRAL_SIZE; i++) {
		const unsigned char *central = zip->directory + at;
		uint64_t length = CENTRAL_SIZE + (uint64_t)get16(central + 28) + get16(central + 30) + get16(central + 32);

		if (get32(central) != 0x02014b50 || length > zip->directory_bytes - at)
			return -EINVAL;
		if (get16(central + 28) == name_bytes && memcmp(central + CENTRAL_SIZE, name, name_bytes) == 0)
			return read_entry(zip, central, most, data, bytes);
		at += length;
	}
	return -ENOENT;
}
