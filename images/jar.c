/*
 * images/jar.c - what a jar says about itself: main class, class path, class file version.
 *
 * Interface: jar_read() for the manifest, jar_class_release() for the Java release that a
 *            class was compiled for
 * Errors:    a file that is no jar ends the command; a missing class is the answer 0
 */
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "zip.h"

#define MANIFEST_MAX (16u << 20)
#define CLASS_MAX (64u << 20)
#define NEWEST_RELEASE 64

static void jar_open(const char *path, struct zip *zip)
{
	int error = zip_open(zip, path);

	if (error == -ENOENT)
		die(STATUS_NOT_FOUND, "%s: no such file", path);
	if (error == -EINVAL)
		die(STATUS_ERROR, "%s is not a jar: it is no zip file, or a damaged one", path);
	if (error)
		die(STATUS_ERROR, "cannot read %s: %s", path, strerror(-error));
}

/* The value of a main attribute: the name in any case, lines continued by a leading blank. */
static char *manifest_value(const char *manifest, const char *name)
{
	size_t name_bytes = strlen(name);
	const char *at = manifest;

	while (*at && *at != '\n' && *at != '\r') {
		char *value = NULL;
		size_t length = 0;
		bool wanted = strncasecmp(at, name, name_bytes) == 0 && at[name_bytes] == ':';

		if (wanted)
			at += name_bytes + 1 + strspn(at + name_bytes + 1, " ");
		for (;;) {
			size_t line = strcspn(at, "\r\n");

			if (wanted) {
				value = xrealloc(value, length + line + 1);
				memcpy(value + length, at, line);
				length += line;
				value[length] = 0;
			}
			at += line;
			at += at[0] == '\r' && at[1] == '\n' ? 2 : *at != 0;
			if (*at != ' ')
				break;
			at++;
		}
		if (wanted) {
			while (length && value[length - 1] == ' ')
				value[--length] = 0;
			return value;
		}
	}
	return NULL;
}

void jar_read(const char *path, struct jar *jar)
{
	unsigned char *manifest;
	struct zip zip;
	size_t bytes;
	char *value;
	int error;

	memset(jar, 0, sizeof(*jar));
	jar_open(path, &zip);
	error = zip_read(&zip, "META-INF/MANIFEST.MF", MANIFEST_MAX, &manifest, &bytes);
	zip_close(&zip);
	if (error == -ENOENT)
		return;
	if (error)
		die(STATUS_ERROR, "%s is a damaged jar: its manifest cannot be read (%s)", path, strerror(-error));
	jar->main_class = manifest_value((char *)manifest, "Main-Class");
	jar->class_path = manifest_value((char *)manifest, "Class-Path");
	value = manifest_value((char *)manifest, "Multi-Release");
	jar->multi_release = value && strcasecmp(value, "true") == 0;
	free(value);
	free(manifest);
}

/* Major version 45 is Java 1.1, 61 is Java 17. */
static unsigned class_release(const char *path, const char *name, const unsigned char *data, size_t bytes)
{
	if (bytes < 8 || memcmp(data, "\xca\xfe\xba\xbe", 4) != 0)
		die(STATUS_ERROR, "%s: %s is not a class file", path, name);
	return (unsigned)(data[6] << 8 | data[7]) - 44u;
}

unsigned jar_class_release(const char *path, const char *class_name)
{
	char *name = format("%s.class", class_name);
	unsigned release = 0;
	unsigned char *data;
	struct jar jar;
	struct zip zip;
	size_t bytes;
	int error;

	for (char *at = name; at < name + strlen(class_name); at++)
		if (*at == '.')
			*at = '/';
	jar_read(path, &jar);
	jar_open(path, &zip);
	error = zip_read(&zip, name, CLASS_MAX, &data, &bytes);
	if (!error) {
		release = class_release(path, name, data, bytes);
		free(data);
	}
	/* A class that only newer releases have. */
	for (unsigned version = 9; error == -ENOENT && jar.multi_release && version <= NEWEST_RELEASE; version++) {
		char *versioned = format("META-INF/versions/%u/%s", version, name);

		error = zip_read(&zip, versioned, CLASS_MAX, &data, &bytes);
		if (!error) {
			release = class_release(path, versioned, data, bytes);
			release = release < version ? version : release;
			free(data);
		}
		free(versioned);
	}
	if (error && error != -ENOENT)
		die(STATUS_ERROR, "%s is a damaged jar: %s cannot be read (%s)", path, name, strerror(-error));
	zip_close(&zip);
	free(name);
	return release;
}
