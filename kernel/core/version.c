/*
 * kernel/core/version.c - the commit that this kernel was built from, a file by itself so that a commit compiles nothing else again.
 */
#include "core/boot.h"

const char ibrik_version[] = IBRIK_VERSION_TEXT;
