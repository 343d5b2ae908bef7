/*
 * kernel/core/options.c - kernel options and the boot time line; see boot.h.
 *
 * Options are words of two texts: the image's (kernel.opts of its settings) and the command line, which
 * wins. No locking: texts do not change after boot.
 */
#include "core/boot.h"
#include "core/clock.h"
#include "core/log.h"
#include "lib/string.h"
#include "mm/mm.h"

static const char *image_options = "";

/* Calls visit for each word of text that is `name` or begins with `name=`. */
static void find(const char *text, const char *name, void (*visit)(const char *v, size_t n, void *arg), void *arg)
{
	size_t len = strlen(name);

	while (*text) {
		while (*text == ' ' || *text == '\n' || *text == '\t')
			text++;
		size_t n = 0;
		while (text[n] && text[n] != ' ' && text[n] != '\n' && text[n] != '\t')
			n++;
		if (n >= len && strncmp(text, name, len) == 0) {
			if (n == len)
				visit(text + n, 0, arg);
			else if (text[len] == '=')
				visit(text + len + 1, n - len - 1, arg);
		}
		text += n;
	}
}

struct last {
	const char *v;
	size_t n;
};

static void keep_last(const char *v, size_t n, void *arg) { *(struct last *)arg = (struct last){ v, n }; }

bool option_get(const char *name, char *buf, size_t size)
{
	struct last l = { NULL, 0 };

	find(image_options, name, keep_last, &l);
	find(boot_info.cmdline, name, keep_last, &l);
	if (!l.v)
		return false;
	size_t n = MIN(l.n, size - 1);
	memcpy(buf, l.v, n);
	buf[n] = 0;
	return true;
}

bool option_flag(const char *name)
{
	char v[8];
	return option_get(name, v, sizeof(v)) && (!v[0] || !strcmp(v, "1") || !strcmp(v, "yes") || !strcmp(v, "on"));
}

uint64_t option_u64(const char *name, uint64_t fallback)
{
	char v[32];
	uint64_t n;
	const char *end;

	if (!option_get(name, v, sizeof(v)))
		return fallback;
	if (parse_u64(v, &end, &n) != 0) {
		log_warn("option %s=%s is not a number: ignored", name, v);
		return fallback;
	}
	if (*end == 'K' || *end == 'k')
		n <<= 10;
	else if (*end == 'M' || *end == 'm')
		n <<= 20;
	else if (*end == 'G' || *end == 'g')
		n <<= 30;
	return n;
}

struct each {
	void (*emit)(const char *value, void *arg);
	void *arg;
};

static void emit_word(const char *v, size_t n, void *arg)
{
	struct each *e = arg;
	char buf[256];

	n = MIN(n, sizeof(buf) - 1);
	memcpy(buf, v, n);
	buf[n] = 0;
	e->emit(buf, e->arg);
}

void option_each(const char *name, void (*emit)(const char *value, void *arg), void *arg)
{
	struct each e = { emit, arg };
	find(image_options, name, emit_word, &e);
	find(boot_info.cmdline, name, emit_word, &e);
}

/* The one list of what the kernel knows. `early` are used before the image has been read. */
static const struct {
	const char *name;
	bool early;
} known[] = {
	{ "boot.trace", false }, { "cpus", true }, { "debugexit", false }, { "idle.watch", true }, { "log", false }, { "mm.fail", false }, { "net.ip", false },
	{ "panic.halt", false }, { "panic.test", false }, { "syscalls", false }, { "tmp.max", false }, { "trace", false },
	{ "virtio_mmio.device", true },
};

static void check(const char *text, bool image)
{
	while (*text) {
		size_t n = 0, name = 0;
		unsigned i;

		while (text[n] && text[n] != ' ' && text[n] != '\n' && text[n] != '\t')
			n++;
		while (name < n && text[name] != '=')
			name++;
		for (i = 0; i < ARRAY_SIZE(known); i++)
			if (strlen(known[i].name) == name && strncmp(text, known[i].name, name) == 0)
				break;
		if (n && i == ARRAY_SIZE(known))
			log_warn("unknown kernel option %.*s: ignored", (int)n, text);
		else if (n && image && known[i].early)
			log_warn("kernel option %.*s comes too late in an image: give it to `ibrik run`", (int)n, text);
		text += n + (text[n] != 0);
	}
}

void option_add_image(const char *text)
{
	size_t a = strlen(image_options), b = strlen(text);
	char *joined = kmalloc(a + b + 2);

	if (!joined) {
		log_warn("no memory for the image's kernel options");
		return;
	}
	memcpy(joined, image_options, a);
	joined[a] = ' ';
	memcpy(joined + a + 1, text, b + 1);
	image_options = joined;
}

/* Marks from before the image's options were known: boot.trace may be one of them. */
static struct mark {
	uint64_t us;
	const char *what;
} kept[16];
static unsigned nkept;
static bool complete;

static void mark_print(uint64_t us, const char *what)
{
	static uint64_t last;

	log_print(LOG_WARN, "boot: %6lu us (+%lu) %s", us, us - last, what);
	last = us;
}

static void kept_print(void)
{
	for (unsigned i = 0; i < nkept; i++)
		mark_print(kept[i].us, kept[i].what);
	nkept = 0;
}

void boot_mark(const char *what)
{
	uint64_t now = clock_monotonic_ns() / 1000;

	if (option_flag("boot.trace")) {
		kept_print();
		mark_print(now, what);
	} else if (!complete && nkept < ARRAY_SIZE(kept)) {
		kept[nkept++] = (struct mark){ now, what };
	}
}

void options_complete(void)
{
	complete = true;
	check(boot_info.cmdline, false);
	check(image_options, true);
}
