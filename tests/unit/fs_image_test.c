/*
 * tests/unit/fs_image_test.c - what the kernel reads of an image: hashes, headers, settings.
 */
// sources: tests/unit/shim/shim.c kernel/fs/settings.c kernel/fs/container_check.c kernel/lib/xxh64.c
// flags: -Itests/unit/shim -ffreestanding
#include "fs/container.h"
#include "fs/settings.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "lib/xxh64.h"
#include "shim.h"

static void xxh64_has_the_published_values(void)
{
	unsigned char data[101];
	uint64_t whole;
	struct xxh64 s;
	uint32_t gen = 2654435761u;

	for (size_t i = 0; i < sizeof(data); i++) { /* the generator of the project's own sanity check */
		data[i] = gen >> 24;
		gen *= gen;
	}
	CHECK(xxh64("", 0, 0) == 0xEF46DB3751D8E999ull);
	CHECK(xxh64("abc", 3, 0) == 0x44BC2CF5AD770999ull);
	CHECK(xxh64(data, 1, 0) == 0x4FCE394CC88952D8ull);
	CHECK(xxh64(data, 14, 0) == 0xCFFA8DB881BC3A3Dull);
	CHECK(xxh64(data, 101, 0) == 0x0EAB543384F878ADull);
	CHECK(xxh64(data, 101, 2654435761u) == 0xCAA65939306F1E21ull);
	for (size_t cut = 0; cut <= sizeof(data); cut++) {
		whole = xxh64(data, sizeof(data), 5);
		xxh64_begin(&s, 5);
		xxh64_add(&s, data, cut);
		xxh64_add(&s, data + cut, sizeof(data) - cut);
		CHECK(xxh64_end(&s) == whole);
	}
}

/* --- headers ---------------------------------------------------------------------------------------- */

static union {
	struct ibrik_header head;
	char bytes[IBRIK_BLOCK];
} page;

static void header_make(void)
{
	struct ibrik_section *s = page.head.sections;

	memset(&page, 0, sizeof(page));
	memcpy(page.head.magic, IBRIK_MAGIC, 8);
	page.head.version = IBRIK_VERSION;
	page.head.header_bytes = sizeof(page.head);
	page.head.nsections = 1;
	page.head.image_bytes = 1 << 20;
	s->type = IBRIK_LAYER;
	s->offset = IBRIK_DATA_OFFSET;
	s->length = 100000;
	s->hash_offset = IBRIK_DATA_OFFSET + 102400;
	strlcpy(s->name, "app", sizeof(s->name));
	strlcpy(s->mount, "/", sizeof(s->mount));
}

static const char *checked(void)
{
	page.head.header_hash = 0;
	page.head.header_hash = xxh64(&page, sizeof(page), 0);
	return container_header_check(&page.head, 1 << 20);
}

static void headers_are_checked(void)
{
	header_make();
	CHECK(!checked());
	CHECK(container_header_check(&page.head, (1 << 20) - 1));  /* cut short */
	page.bytes[4000] ^= 1;                                     /* behind the structure, inside the page */
	CHECK(container_header_check(&page.head, 1 << 20));
	header_make();
	page.head.nsections = IBRIK_MAX_SECTIONS + 1;
	CHECK(checked());
	header_make();
	page.head.sections[0].offset = UINT64_MAX & ~4095ull;
	CHECK(checked());
	header_make();
	page.head.sections[0].length = UINT64_MAX;
	CHECK(checked());
	header_make();
	page.head.sections[0].hash_offset = (1 << 20) - 8;
	CHECK(checked());
	header_make();
	memset(page.head.sections[0].mount, '/', sizeof(page.head.sections[0].mount));
	CHECK(checked());
	header_make();
	page.head.sections[0].type = 9;
	CHECK(checked());
	header_make();
	page.head.version = 2;
	CHECK(checked());
}

/* --- settings ---------------------------------------------------------------------------------------- */

static char joined[500];

static void join(const char *value, void *arg)
{
	size_t n = strlen(joined);

	sappendf(joined, sizeof(joined), &n, "%s;", value);
}

static const char *list(const char *key)
{
	joined[0] = 0;
	setting_each(key, join, NULL);
	return joined;
}

#define ADD(text) settings_add(text, sizeof(text), &where)

static void settings_merge_by_priority(void)
{
	size_t where;

	CHECK_EQ(ADD("exec=/bin/low\0arg=a\0arg=b\0env=X=1\0env=Y=2\0java.opt=-Xms1m\0kernel.opts=log=3\0run=/r\1x"), 0);
	CHECK_EQ(ADD("exec=/bin/high\0env=X=3\0env=XY=4\0java.opt=-Xmx2m\0kernel.opts=log=4"), 0);
	CHECK(!strcmp(setting_get("exec"), "/bin/high"));
	CHECK(!strcmp(list("arg"), "a;b;"));
	CHECK(!strcmp(list("env"), "Y=2;X=3;XY=4;"));
	CHECK(!strcmp(list("java.opt"), "-Xms1m;-Xmx2m;"));
	CHECK(!strcmp(list("kernel.opts"), "log=3;log=4;"));
	CHECK_EQ(ADD("arg=c\0arg=line one\nline two"), 0);
	CHECK(!strcmp(list("arg"), "c;line one\nline two;"));
	CHECK_EQ(ADD("args.clear=1"), 0);
	CHECK(!strcmp(list("arg"), ""));
	CHECK_EQ(ADD("args.clear=1\0arg=d"), 0);
	CHECK(!strcmp(list("arg"), "d;"));
	CHECK(!setting_get("no.such.key"));
	settings_clear();
	CHECK(!setting_get("exec"));
}

static void wrong_settings_change_nothing(void)
{
	size_t where;

	shim_quiet = 1;
	CHECK_EQ(ADD("exec=/a"), 0);
	CHECK_EQ(settings_add("exec=/b\0arg=c", 13, &where), -EINVAL); /* the last one has no end */
	CHECK_EQ(where, 8);
	CHECK_EQ(ADD("exec=/b\0nothing"), -EINVAL);
	CHECK_EQ(where, 8);
	CHECK_EQ(ADD("=x"), -EINVAL);
	CHECK_EQ(ADD("env=NOVALUE"), -EINVAL);
	CHECK_EQ(ADD("env==x"), -EINVAL);
	CHECK(!strcmp(setting_get("exec"), "/a"));
	shim_log_lines = 0;
	CHECK_EQ(ADD("future.key=1"), 0);
	CHECK_EQ(shim_log_lines, 1);
	for (long after = 0; after < 3; after++) {
		shim_fail_after = after;
		CHECK_EQ(ADD("exec=/b\0arg=c\0env=A=b"), -ENOMEM);
		shim_fail_after = -1;
		CHECK(!strcmp(setting_get("exec"), "/a"));
	}
	settings_clear();
}

int main(void)
{
	TEST(xxh64_has_the_published_values);
	TEST(headers_are_checked);
	TEST(settings_merge_by_priority);
	TEST(wrong_settings_change_nothing);
	return 0;
}
