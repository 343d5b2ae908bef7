/*
 * images/size.c - reads sizes and numbers from the command line.
 *
 * Interface: size_parse(), number_parse()
 * Errors:    -EINVAL and -ERANGE; the caller words the message
 */
#include "size.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

static const char *digits_parse(const char *text, uint64_t *number, int *error)
{
	*number = 0;
	*error = *text >= '0' && *text <= '9' ? 0 : -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(*number, (uint64_t)10, number) ||
		    __builtin_add_overflow(*number, (uint64_t)(*text - '0'), number))
			*error = -ERANGE;
	return text;
}

int size_parse(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "kmgt";
	const char *suffix;
	uint64_t number;
	int error;

	text = digits_parse(text, &number, &error);
	if (error)
		return error;
	if (*text) {
		suffix = strchr(suffixes, *text | 0x20);
		if (suffix) {
			int shift = 10 * (int)(suffix - suffixes + 1);

			if (number > UINT64_MAX >> shift)
				return -ERANGE;
			number <<= shift;
			text++;
			if (*text == 'i' || *text == 'I')
				text++;
		}
		if (*text && strcasecmp(text, "b") != 0)
			return -EINVAL;
	}
	*bytes = number;
	return 0;
}

int number_parse(const char *text, uint64_t least, uint64_t most, uint64_t *number)
{
	uint64_t value;
	int error;

	if (*digits_parse(text, &value, &error))
		return -EINVAL;
	if (error)
		return error;
	if (value < least || value > most)
		return -ERANGE;
	*number = value;
	return 0;
}
