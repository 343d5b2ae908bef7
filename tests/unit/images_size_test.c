// sources: images/size.c
/* Sizes and numbers of the command line: what is accepted, what is refused. */
#include <errno.h>
#include <stdio.h>

#include "images/size.h"

static int failed;

static void size_is(const char *text, int error, uint64_t want)
{
	uint64_t got = 0;
	int status = size_parse(text, &got);

	if (status == error && (error || got == want)) {
		printf("ok size-%s\n", *text ? text : "empty");
		return;
	}
	printf("not ok size-%s status %d, value %llu\n", *text ? text : "empty", status, (unsigned long long)got);
	failed = 1;
}

static void number_is(const char *text, uint64_t least, uint64_t most, int error)
{
	uint64_t got = 0;
	int status = number_parse(text, least, most, &got);

	if (status == error) {
		printf("ok number-%s\n", *text ? text : "empty");
		return;
	}
	printf("not ok number-%s status %d\n", *text ? text : "empty", status);
	failed = 1;
}

int main(void)
{
	size_is("1024", 0, 1024);
	size_is("512M", 0, 512ull << 20);
	size_is("512m", 0, 512ull << 20);
	size_is("2G", 0, 2ull << 30);
	size_is("2GB", 0, 2ull << 30);
	size_is("2GiB", 0, 2ull << 30);
	size_is("16K", 0, 16384);
	size_is("1T", 0, 1ull << 40);
	size_is("7b", 0, 7);
	size_is("0", 0, 0);
	size_is("18446744073709551615", 0, UINT64_MAX);
	size_is("18446744073709551616", -ERANGE, 0);
	size_is("99999999999999999999G", -ERANGE, 0);
	size_is("17179869184G", -ERANGE, 0);
	size_is("", -EINVAL, 0);
	size_is("M", -EINVAL, 0);
	size_is("-1", -EINVAL, 0);
	size_is("1.5G", -EINVAL, 0);
	size_is("12X", -EINVAL, 0);
	size_is("12MM", -EINVAL, 0);
	size_is(" 12", -EINVAL, 0);
	size_is("12 M", -EINVAL, 0);
	number_is("1", 1, 255, 0);
	number_is("255", 1, 255, 0);
	number_is("256", 1, 255, -ERANGE);
	number_is("0", 1, 255, -ERANGE);
	number_is("", 1, 255, -EINVAL);
	number_is("2x", 1, 255, -EINVAL);
	number_is("0x2", 1, 255, -EINVAL);
	number_is("184467440737095516160", 0, UINT64_MAX, -ERANGE);
	return failed;
}
