/*
 * kernel/fs/settings.c - the settings of the image.
 *
 * Theory:    Records of all sections stand in one list. What a section of a higher priority says replaces
 *            or joins what is there, by the kind of its key: single values and whole lists are replaced,
 *            the environment is merged by name, options are appended.
 * Interface: settings.h and vfs.h.
 */
#include "fs/settings.h"
#include "fs/vfs.h"
#include "core/log.h"
#include "lib/string.h"
#include "mm/mm.h"

enum setting_kind { SETTING_SINGLE, SETTING_LIST, SETTING_ENV, SETTING_APPEND };

static const struct {
	const char *key;
	enum setting_kind kind;
} known[] = {
	{ "exec", SETTING_SINGLE }, { "arg", SETTING_LIST }, { "args.clear", SETTING_SINGLE },
	{ "env", SETTING_ENV }, { "workdir", SETTING_SINGLE }, { "name", SETTING_SINGLE },
	{ "java.home", SETTING_SINGLE }, { "java.release", SETTING_SINGLE },
	{ "java.jar", SETTING_SINGLE }, { "java.main", SETTING_SINGLE }, { "java.cp", SETTING_SINGLE },
	{ "java.opt", SETTING_APPEND }, { "java.cds", SETTING_SINGLE },
	{ "kernel.opts", SETTING_APPEND }, { "run", SETTING_LIST },
};

struct setting {
	struct setting *next;
	unsigned section;   /* number of the section it came from */
	const char *value;  /* behind the key, in text */
	char text[];        /* key NUL value NUL */
};

static struct setting *first, **tail = &first;
static unsigned sections;

static int kind_of(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(known[i].key, key))
			return known[i].kind;
	return -1;
}

static void remove_where(bool (*match)(const struct setting *s, const void *arg), const void *arg)
{
	struct setting **p = &first, *s;

	while ((s = *p)) {
		if (match(s, arg)) {
			*p = s->next;
			kfree(s);
		} else {
			p = &s->next;
		}
	}
	tail = p;
}

static bool same_key(const struct setting *s, const void *arg)
{
	return !strcmp(s->text, arg);
}

static bool same_key_older(const struct setting *s, const void *arg)
{
	return s->section != sections && !strcmp(s->text, arg);
}

static bool same_variable(const struct setting *s, const void *arg)
{
	const char *name = arg, *end = strchr(name, '=');
	size_t len = end ? (size_t)(end - name) + 1 : strlen(name) + 1;

	return !strcmp(s->text, "env") && !strncmp(s->value, name, len);
}

static bool any(const struct setting *s, const void *arg) { return true; }

/* The record at data[0..len) without its NUL: "key=value". */
static struct setting *record_new(const char *data, size_t len, size_t key_len)
{
	struct setting *s = kmalloc(sizeof(*s) + len + 1);

	if (!s)
		return NULL;
	memcpy(s->text, data, len);
	s->text[len] = 0;
	s->text[key_len] = 0;
	s->value = s->text + key_len + 1;
	s->section = sections;
	s->next = NULL;
	return s;
}

static void record_merge(struct setting *s)
{
	switch (kind_of(s->text)) {
	case SETTING_SINGLE:
		remove_where(same_key, s->text);
		break;
	case SETTING_LIST:
		remove_where(same_key_older, s->text);
		break;
	case SETTING_ENV:
		remove_where(same_variable, s->value);
		break;
	case SETTING_APPEND:
		break;
	default:
		log_warn("unknown setting \"%s\" in the image is ignored", s->text);
		kfree(s);
		return;
	}
	if (!strcmp(s->text, "args.clear")) {
		if (!strcmp(s->value, "1"))
			remove_where(same_key_older, "arg");
		kfree(s);
		return;
	}
	*tail = s;
	tail = &s->next;
}

/* Finds what is wrong with a section: -EINVAL and *where. */
static int section_check(const char *data, size_t len, size_t *where)
{
	size_t at = 0;

	*where = 0;
	if (len > SETTINGS_MAX_BYTES)
		return -EINVAL;
	while (at < len) {
		const char *end = memchr(data + at, 0, len - at);
		const char *eq;

		*where = at;
		if (!end)
			return -EINVAL; /* the last record has no end */
		eq = memchr(data + at, '=', end - (data + at));
		if (!eq || eq == data + at || eq - (data + at) > 64)
			return -EINVAL;
		if (!strncmp(data + at, "env=", 4)) {
			const char *name = data + at + 4;

			if (*name == '=' || !memchr(name, '=', end - name))
				return -EINVAL;
		}
		at = end - data + 1;
	}
	return 0;
}

int settings_add(const char *data, size_t len, size_t *where)
{
	struct setting *list = NULL, **end = &list, *s;
	size_t at = 0;
	int r = section_check(data, len, where);

	if (r)
		return r;
	sections++;
	while (at < len) {
		size_t n = strlen(data + at);

		s = record_new(data + at, n, strchr(data + at, '=') - (data + at));
		if (!s) {
			while ((s = list)) {
				list = s->next;
				kfree(s);
			}
			return -ENOMEM;
		}
		*end = s;
		end = &s->next;
		at += n + 1;
	}
	while ((s = list)) {
		list = s->next;
		s->next = NULL;
		record_merge(s);
	}
	return 0;
}

void settings_each(void (*emit)(const char *key, const char *value, void *arg), void *arg)
{
	for (struct setting *s = first; s; s = s->next)
		emit(s->text, s->value, arg);
}

void settings_clear(void)
{
	remove_where(any, NULL);
	sections = 0;
}

const char *setting_get(const char *key)
{
	const char *value = NULL;

	for (struct setting *s = first; s; s = s->next)
		if (!strcmp(s->text, key))
			value = s->value;
	return value;
}

void setting_each(const char *key, void (*emit)(const char *value, void *arg), void *arg)
{
	for (struct setting *s = first; s; s = s->next)
		if (!strcmp(s->text, key))
			emit(s->value, arg);
}
