// sources: images/xxh64.c
/*
 * Known answers of XXH64: those of its specification for the empty input and published
 * ones for short texts, then the seams between the 32-, 8-, 4- and 1-byte steps.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/xxh64.h"

static int failed;

static void check(const char *name, uint64_t got, uint64_t want)
{
	if (got == want) {
		printf("ok %s\n", name);
		return;
	}
	printf("not ok %s got %016llx, want %016llx\n", name, (unsigned long long)got, (unsigned long long)want);
	failed = 1;
}

int main(void)
{
	unsigned char data[222];
	uint64_t hash;

	check("empty", xxh64("", 0, 0), 0xef46db3751d8e999ull);
	check("empty-seed", xxh64("", 0, 2654435761u), 0xac75fda2929b17efull);
	check("one-letter", xxh64("a", 1, 0), 0xd24ec4f1a98c6e5bull);
	check("abc", xxh64("abc", 3, 0), 0x44bc2cf5ad770999ull);
	check("43-bytes", xxh64("The quick brown fox jumps over the lazy dog", 43, 0), 0x0b242d361fda71bcull);

	/* The generator of the reference implementation's own test. */
	uint64_t byte_generator = 2654435761u;
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = (unsigned char)(byte_generator >> 56);
		byte_generator *= 11400714785074694797ull;
	}
	check("reference-1", xxh64(data, 1, 0), 0xe934a84adb052768ull);
	check("reference-4", xxh64(data, 4, 0), 0x9136a0dca57457eeull);
	check("reference-14", xxh64(data, 14, 0), 0x8282dcc4994e35c8ull);
	check("reference-222", xxh64(data, 222, 0), 0xb641ae8cb691c174ull);
	check("reference-222-seed", xxh64(data, 222, 2654435761u), 0x20cb8ab7ae10c14aull);

	/* Not aligned: the same bytes give the same hash wherever they lie. */
	unsigned char *copy = malloc(sizeof(data) + 1);
	memcpy(copy + 1, data, sizeof(data));
	hash = xxh64(copy + 1, sizeof(data), 0);
	check("unaligned", hash, xxh64(data, sizeof(data), 0));
	free(copy);
	return failed;
}
