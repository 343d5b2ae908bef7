/*
 * kernel/lib/printf.c - formatted text; see string.h for what is understood.
 */
#include "lib/string.h"

struct out {
	char *buf;
	size_t size;
	size_t len;
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void pad(struct out *o, char c, int n)
{
	while (n-- > 0)
		put(o, c);
}

struct spec {
	bool left, zero, plus, space, alt;
	int width, precision; /* precision -1: none */
};

static void put_text(struct out *o, const struct spec *sp, const char *s, size_t n)
{
	int fill = sp->width > (int)n ? sp->width - (int)n : 0;
	if (!sp->left)
		pad(o, ' ', fill);
	for (size_t i = 0; i < n; i++)
		put(o, s[i]);
	if (sp->left)
		pad(o, ' ', fill);
}

static void put_number(struct out *o, const struct spec *sp, uint64_t v, unsigned base, bool negative,
		       bool upper)
{
	char digits[24];
	int n = 0;
	const char *alphabet = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	bool zero = v == 0;

	for (; v; v /= base)
		digits[n++] = alphabet[v % base];
	if (n == 0 && sp->precision != 0)
		digits[n++] = '0';

	const char *prefix = "";
	if (negative)
		prefix = "-";
	else if (sp->plus)
		prefix = "+";
	else if (sp->space)
		prefix = " ";
	else if (sp->alt && base == 16 && !zero)
		prefix = upper ? "0X" : "0x";
	else if (sp->alt && base == 8 && !zero)
		prefix = "0";

	int zeros = sp->precision > n ? sp->precision - n : 0;
	int fill = sp->width - n - zeros - (int)strlen(prefix);
	if (sp->zero && !sp->left && sp->precision < 0 && fill > 0) {
		zeros += fill;
		fill = 0;
	}
	if (!sp->left)
		pad(o, ' ', fill);
	while (*prefix)
		put(o, *prefix++);
	pad(o, '0', zeros);
	while (n > 0)
		put(o, digits[--n]);
	if (sp->left)
		pad(o, ' ', fill);
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = { buf, size, 0 };

	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(&o, *fmt);
			continue;
		}
		struct spec sp = { .precision = -1 };
		for (fmt++;; fmt++) {
			if (*fmt == '-')
				sp.left = true;
			else if (*fmt == '0')
				sp.zero = true;
			else if (*fmt == '+')
				sp.plus = true;
			else if (*fmt == ' ')
				sp.space = true;
			else if (*fmt == '#')
				sp.alt = true;
			else
				break;
		}
		if (*fmt == '*') {
			sp.width = va_arg(ap, int);
			if (sp.width < 0) {
				sp.left = true;
				sp.width = -sp.width;
			}
			fmt++;
		} else {
			for (; *fmt >= '0' && *fmt <= '9'; fmt++)
				sp.width = sp.width * 10 + (*fmt - '0');
		}
		if (*fmt == '.') {
			fmt++;
			sp.precision = 0;
			if (*fmt == '*') {
				sp.precision = va_arg(ap, int);
				fmt++;
			} else {
				for (; *fmt >= '0' && *fmt <= '9'; fmt++)
					sp.precision = sp.precision * 10 + (*fmt - '0');
			}
		}
		int length = 0; /* -2 char, -1 short, 0 int, 1 word */
		for (;; fmt++) {
			if (*fmt == 'l' || *fmt == 'z' || *fmt == 't' || *fmt == 'j')
				length = 1;
			else if (*fmt == 'h')
				length = length == -1 ? -2 : -1;
			else
				break;
		}
		switch (*fmt) {
		case 'd':
		case 'i': {
			int64_t v = length == 1 ? va_arg(ap, long) : va_arg(ap, int);
			if (length == -1)
				v = (short)v;
			else if (length == -2)
				v = (signed char)v;
			put_number(&o, &sp, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10, v < 0, false);
			break;
		}
		case 'u':
		case 'x':
		case 'X':
		case 'o': {
			uint64_t v = length == 1 ? va_arg(ap, unsigned long) : va_arg(ap, unsigned);
			if (length == -1)
				v = (uint16_t)v;
			else if (length == -2)
				v = (uint8_t)v;
			sp.plus = sp.space = false;
			put_number(&o, &sp, v, *fmt == 'u' ? 10 : *fmt == 'o' ? 8 : 16, false, *fmt == 'X');
			break;
		}
		case 'p':
			sp.alt = true;
			put_number(&o, &sp, (uintptr_t)va_arg(ap, void *), 16, false, false);
			break;
		case 'c': {
			char c = (char)va_arg(ap, int);
			put_text(&o, &sp, &c, 1);
			break;
		}
		case 's': {
			const char *s = va_arg(ap, const char *);
			if (!s)
				s = "(null)";
			put_text(&o, &sp, s, sp.precision >= 0 ? strnlen(s, sp.precision) : strlen(s));
			break;
		}
		case '%':
			put(&o, '%');
			break;
		case 0:
			fmt--;
			break;
		default:
			put(&o, '%');
			put(&o, *fmt);
		}
	}
	if (size > 0)
		buf[MIN(o.len, size - 1)] = 0;
	return (int)o.len;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return n;
}

void sappendf(char *buf, size_t size, size_t *len, const char *fmt, ...)
{
	va_list ap;

	if (size == 0 || *len >= size - 1)
		return;
	va_start(ap, fmt);
	int n = vsnprintf(buf + *len, size - *len, fmt, ap);
	va_end(ap);
	*len = MIN(*len + (size_t)n, size - 1);
}
