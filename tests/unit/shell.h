/*
 * tests/unit/shell.h - shell(): runs a command of the host, whose failure ends the test.
 */
#ifndef TESTS_UNIT_SHELL_H
#define TESTS_UNIT_SHELL_H

static void shell(const char *fmt, ...)
{
	char command[8192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	if (system(command)) {
		printf("not ok: %s\n", command);
		exit(1);
	}
}

#endif
