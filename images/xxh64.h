/*
 * images/xxh64.h - XXH64, the checksum of the image format.
 */
#ifndef IBRIK_IMAGES_XXH64_H
#define IBRIK_IMAGES_XXH64_H

#include <stddef.h>
#include <stdint.h>

uint64_t xxh64(const void *data, size_t bytes, uint64_t seed);

#endif
