/*
 * tests/unit/check.h - a line for each check of a host test. main() returns `failed`.
 */
#ifndef TESTS_UNIT_CHECK_H
#define TESTS_UNIT_CHECK_H

#include <stdio.h>

static int failed;

static void check(const char *name, int ok, const char *why)
{
	if (ok)
		printf("ok %s\n", name);
	else
		printf("not ok %s %s\n", name, why);
	failed |= !ok;
}

#endif
