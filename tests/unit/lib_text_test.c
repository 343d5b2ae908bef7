// sources:
// flags: -Wno-format-truncation
/*
 * tests/unit/lib_text_test.c - the kernel's formatted text and string functions against the C library's. The kernel's
 * files are included under other names, since both define the standard ones.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define memcpy k_memcpy
#define memmove k_memmove
#define memset k_memset
#define memcmp k_memcmp
#define memchr k_memchr
#define strlen k_strlen
#define strnlen k_strnlen
#define strcmp k_strcmp
#define strncmp k_strncmp
#define strchr k_strchr
#define strrchr k_strrchr
#define strstr k_strstr
#define strlcpy k_strlcpy
#define vsnprintf k_vsnprintf
#define snprintf k_snprintf
#include "../../kernel/lib/string.c"
#include "../../kernel/lib/printf.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strrchr
#undef strstr
#undef strlcpy
#undef vsnprintf
#undef snprintf

static int failed;

static void report(const char *name, int ok)
{
	printf(ok ? "ok %s\n" : "not ok %s differs from the C library\n", name);
	failed |= !ok;
}

#define SAME(...)                                                                \
	({                                                                       \
		char a[200], b[200];                                             \
		int x = snprintf(a, sizeof(a), __VA_ARGS__);                     \
		int y = k_snprintf(b, sizeof(b), __VA_ARGS__);                   \
		if (x != y || strcmp(a, b))                                      \
			printf("# \"%s\" instead of \"%s\"\n", b, a);            \
		x == y && !strcmp(a, b);                                         \
	})

static int formats(void)
{
	int ok = 1;
	ok &= SAME("%d %i %u %x %X %o", -5, 7, 8u, 255u, 255u, 8u);
	ok &= SAME("%5d|%-5d|%05d|%+d|% d", 42, 42, 42, 42, 42);
	ok &= SAME("%ld %lu %zu %zd %lx", -1L, ~0UL, (size_t)3, (ssize_t)-3, 0xdeadbeefUL);
	ok &= SAME("%hhd %hd %hhu", 300, 70000, 300);
	ok &= SAME("%s|%10s|%-10s|%.2s|%.*s", "abc", "abc", "abc", "abc", 1, "abc");
	ok &= SAME("%c%c %% %#x %#o %#x", 'a', 'b', 16u, 8u, 0u);
	ok &= SAME("%08x %.8x %16.8x %-16.8x|", 10u, 10u, 10u, 10u);
	ok &= SAME("%*d|%-*d|", 6, 1, 6, 1);
	ok &= SAME("%d %ld", -2147483647 - 1, -9223372036854775807L - 1);
	ok &= SAME("%.0d|%.3d|%+.3d", 0, 5, 5);
	ok &= SAME("%p", (void *)0x1234);
	return ok;
}

static int truncation(void)
{
	char a[8], b[8];
	int x = snprintf(a, sizeof(a), "%s", "longer than eight");
	int y = k_snprintf(b, sizeof(b), "%s", "longer than eight");
	size_t len = 0;

	sappendf(b, sizeof(b), &len, "%s", "longer than eight");
	sappendf(b, sizeof(b), &len, "%s", "more");
	return x == y && !strcmp(a, b) && len == 7;
}

static int copies(void)
{
	static char src[600], x[600], y[600];

	for (int round = 0; round < 20000; round++) {
		unsigned from = (unsigned)rand() % 300, to = (unsigned)rand() % 300, n = (unsigned)rand() % 300;
		for (unsigned i = 0; i < sizeof(src); i++)
			x[i] = y[i] = src[i] = (char)rand();
		memmove(x + to, x + from, n);
		k_memmove(y + to, y + from, n);
		if (memcmp(x, y, sizeof(x)))
			return 0;
		memcpy(x + to, src + from, n);
		k_memcpy(y + to, src + from, n);
		memset(x + from, n, to);
		k_memset(y + from, (int)n, to);
		if (memcmp(x, y, sizeof(x)))
			return 0;
		int p = memcmp(x + from, src + from, n), q = k_memcmp(x + from, src + from, n);
		if ((p < 0) != (q < 0) || (p > 0) != (q > 0))
			return 0;
	}
	return 1;
}

static int numbers(void)
{
	uint64_t v = 7;
	const char *end;

	return parse_u64("18446744073709551615x", &end, &v) == 0 && v == UINT64_MAX && *end == 'x' &&
	       parse_u64("18446744073709551616", &end, &v) == -ERANGE && parse_u64("", &end, &v) == -EINVAL &&
	       parse_u64("0xff", &end, &v) == 0 && v == 255 && parse_u64("-1", &end, &v) == -EINVAL && v == 255;
}

/* Lines end between words; a word that is longer than a line is cut. */
static int parts(void)
{
	char word[600];

	memset(word, 'w', sizeof(word));
	return text_part("one two", 7, 10) == 7 && text_part("one two", 7, 7) == 7 && text_part("one two", 7, 5) == 3 && text_part("one two", 7, 3) == 3 &&
	       text_part(word, 600, 200) == 200 && text_part(word, 200, 200) == 200 && text_part("", 0, 200) == 0 && text_part(" word", 5, 3) == 3;
}

int main(void)
{
	srand(1);
	report("formats_agree_with_snprintf", formats());
	report("truncated_text_is_terminated", truncation());
	report("copies_agree_for_every_overlap", copies());
	report("numbers_are_parsed_with_their_bounds", numbers());
	report("texts_are_cut_between_words", parts());
	report("strings", k_strlen("abc") == 3 && k_strcmp("a", "b") < 0 && !k_strncmp("abX", "abY", 2) &&
				  k_strrchr("a/b/c", '/')[1] == 'c' && !k_strstr("abc", "x") && k_strstr("abc", "bc"));
	return failed;
}
