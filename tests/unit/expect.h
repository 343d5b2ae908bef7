/*
 * tests/unit/expect.h - cases of a unit test that are functions: RUN(a_case) runs one and prints its line; what EXPECT() found wrong first is
 * the reason.
 */
#ifndef TESTS_UNIT_EXPECT_H
#define TESTS_UNIT_EXPECT_H

#include <stdio.h>
#include <string.h>
#include "check.h"

/* Of the case that runs: what was wrong first. */
static const char *wrong;
#define EXPECT(cond) (wrong = wrong || (cond) ? wrong : #cond)

static void run(const char *name, void (*test)(void))
{
	wrong = NULL;
	test();
	check(name, !wrong, wrong);
}
#define RUN(test) run(#test, test)

#endif
