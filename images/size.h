/*
 * images/size.h - sizes as people write them: 512M, 2g, 1073741824.
 */
#ifndef IBRIK_IMAGES_SIZE_H
#define IBRIK_IMAGES_SIZE_H

#include <stdint.h>

/* Bytes, or with a suffix K, M, G or T (powers of 1024, either case, an optional
 * "B" or "iB" after it). 0, or -EINVAL when it is no size, -ERANGE when it is too large. */
int size_parse(const char *text, uint64_t *bytes);

/* A whole decimal number within [least, most]: 0, -EINVAL or -ERANGE. */
int number_parse(const char *text, uint64_t least, uint64_t most, uint64_t *number);

#endif
