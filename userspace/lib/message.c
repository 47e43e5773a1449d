// SPDX-License-Identifier: GPL-2.0-or-later
/* Texts that can be told in any language later: taking apart, remembering. */
#include "message.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conversion.h"
#include "i18n.h"
#include "util.h"

/* ---- taking apart ------------------------------------------------------- */

static json_t *text_node(const char *s, size_t len)
{
	char *copy = strndup(s, len < MESSAGE_MAX ? len : MESSAGE_MAX - 1);
	json_t *o;

	if (!copy)
		return NULL;
	utf8_make_valid(copy);
	o = json_string(copy);
	free(copy);
	return o;
}

static json_t *string_arg(const struct conversion *c, const char *s)
{
	char text[MESSAGE_MAX];

	if (!s)
		s = "(null)";
	if (c->precision < 0 && !c->width)
		return message_recall(s);
	/* a precision may be all that says where an array ends */
	if (c->precision >= 0)
		snprintf(text, sizeof(text), "%*.*s", c->width, c->precision, s);
	else
		snprintf(text, sizeof(text), "%*s", c->width, s);
	return text_node(text, strlen(text));
}

static intmax_t take_signed(const struct conversion *c, va_list *ap)
{
	switch (c->length) {
	case LENGTH_LONG:
		return va_arg(*ap, long);
	case LENGTH_CHAR:
		return (signed char)va_arg(*ap, int);
	case LENGTH_MAX:
		return va_arg(*ap, intmax_t);
	case LENGTH_SHORT:
		return (short)va_arg(*ap, int);
	case LENGTH_SIZE:
		return va_arg(*ap, ssize_t);
	case LENGTH_LONG_LONG:
		return va_arg(*ap, long long);
	case LENGTH_PTRDIFF:
		return va_arg(*ap, ptrdiff_t);
	default:
		return va_arg(*ap, int);
	}
}

static uintmax_t take_unsigned(const struct conversion *c, va_list *ap)
{
	switch (c->length) {
	case LENGTH_LONG:
		return va_arg(*ap, unsigned long);
	case LENGTH_CHAR:
		return (unsigned char)va_arg(*ap, unsigned int);
	case LENGTH_MAX:
		return va_arg(*ap, uintmax_t);
	case LENGTH_SHORT:
		return (unsigned short)va_arg(*ap, unsigned int);
	case LENGTH_SIZE:
		return va_arg(*ap, size_t);
	case LENGTH_LONG_LONG:
		return va_arg(*ap, unsigned long long);
	case LENGTH_PTRDIFF:
		return (uintmax_t)va_arg(*ap, ptrdiff_t);
	default:
		return va_arg(*ap, unsigned int);
	}
}

/* @digits: the number without sign, at least one digit. */
static json_t *padded(const struct conversion *c, bool negative, const char *digits)
{
	char number[80], text[160];
	int n = (int)strlen(digits), least = c->precision;

	/* a precision is a least number of digits, zeros up to the width are one too */
	if (c->zero && c->precision < 0 && c->width > 0)
		least = c->width - negative;
	if (least > 64)
		least = 64;
	snprintf(number, sizeof(number), "%s%.*s%s", negative ? "-" : "", least > n ? least - n : 0,
		 "0000000000000000000000000000000000000000000000000000000000000000", digits);
	snprintf(text, sizeof(text), "%*s", c->width, number);
	return json_string(text);
}

static json_t *signed_arg(const struct conversion *c, intmax_t v)
{
	uintmax_t u = v < 0 ? -(uintmax_t)v : (uintmax_t)v;
	char digits[32];

	snprintf(digits, sizeof(digits), "%ju", u);
	return padded(c, v < 0, digits);
}

static json_t *unsigned_arg(const struct conversion *c, uintmax_t v)
{
	char digits[32];

	switch (c->kind) {
	case 'x':
		snprintf(digits, sizeof(digits), "%jx", v);
		break;
	case 'X':
		snprintf(digits, sizeof(digits), "%jX", v);
		break;
	case 'o':
		snprintf(digits, sizeof(digits), "%jo", v);
		break;
	default:
		snprintf(digits, sizeof(digits), "%ju", v);
		break;
	}
	return padded(c, false, digits);
}

static json_t *real_arg(const struct conversion *c, double v)
{
	int precision = c->precision < 0 ? 6 : c->precision;
	char text[MESSAGE_MAX];

	if (c->kind == 'g')
		snprintf(text, sizeof(text), "%*.*g", c->width, precision, v);
	else if (c->kind == 'e')
		snprintf(text, sizeof(text), "%*.*e", c->width, precision, v);
	else
		snprintf(text, sizeof(text), "%*.*f", c->width, precision, v);
	return json_string(text);
}

static json_t *one_arg(const struct conversion *c, va_list *ap)
{
	char one[2];

	switch (c->kind) {
	case 'd':
	case 'i':
		return signed_arg(c, take_signed(c, ap));
	case 'u':
	case 'x':
	case 'X':
	case 'o':
		return unsigned_arg(c, take_unsigned(c, ap));
	case 'f':
	case 'g':
	case 'e':
		return c->length == LENGTH_NONE ? real_arg(c, va_arg(*ap, double)) : NULL;
	case 's':
		return c->length == LENGTH_NONE ? string_arg(c, va_arg(*ap, const char *)) : NULL;
	case 'c':
		one[0] = (char)va_arg(*ap, int);
		one[1] = '\0';
		return text_node(one, 1);
	default:
		return NULL;
	}
}

/* A "*" of @c: its value goes into @value, and counts as an argument. */
static int star_arg(json_t *args, int *value, va_list *ap)
{
	int v = va_arg(*ap, int);
	char text[16];

	/* nothing here is that wide; and "-width" must not overflow */
	*value = v > MESSAGE_MAX ? MESSAGE_MAX : v < -MESSAGE_MAX ? -MESSAGE_MAX : v;
	snprintf(text, sizeof(text), "%d", v);
	return json_array_append_new(args, json_string(text));
}

static int take_args(json_t *args, const char *fmt, va_list *ap, bool *has_errno)
{
	struct conversion c;
	const char *p = fmt;

	while ((p = strchr(p, '%'))) {
		p = conversion_parse(p, &c);
		if (!p || c.position)
			return -1;
		if (c.kind == '%')
			continue;
		if (c.kind == 'm') {
			*has_errno = true;
			continue;
		}
		if (c.other_flags)
			return -1;
		if (c.star_width && star_arg(args, &c.width, ap))
			return -1;
		if (c.star_precision && star_arg(args, &c.precision, ap))
			return -1;
		if (c.minus && c.width > 0)
			c.width = -c.width;
		if (json_array_append_new(args, one_arg(&c, ap)))
			return -1;
	}
	return 0;
}

json_t *message_format(const char *fmt, va_list ap)
{
	bool has_errno = false;
	int error = errno, bad;
	json_t *o, *args = json_array();
	va_list copy;

	va_copy(copy, ap);
	bad = take_args(args, fmt, &copy, &has_errno);
	va_end(copy);
	if (bad) {
		json_decref(args);
		return NULL;
	}
	o = json_pack("{s:s, s:o}", "format", fmt, "args", args);
	if (o && has_errno)
		json_object_set_new(o, "errno", json_integer(error));
	return o;
}

json_t *message_tell(char *english, size_t size, const char *fmt, va_list ap)
{
	json_t *m = message_format(fmt, ap);
	locale_t before;

	if (m) {
		message_render_english(m, english, size);
		return m;
	}
	before = i18n_speak((locale_t)0);
	vsnprintf(english, size, fmt, ap);
	i18n_restore(before);
	return NULL;
}

/* ---- remembering ---------------------------------------------------------- */

#define REMEMBERED	16u

struct memory {
	unsigned int next;
	struct { char *text; json_t *m; } of[REMEMBERED];
};

static pthread_key_t memory_key;
static pthread_once_t memory_once = PTHREAD_ONCE_INIT;
static bool memory_there;

static void memory_free(void *data)
{
	struct memory *mem = data;

	for (unsigned int i = 0; i < REMEMBERED; i++) {
		free(mem->of[i].text);
		json_decref(mem->of[i].m);
	}
	free(mem);
}

static void make_memory_key(void)
{
	memory_there = !pthread_key_create(&memory_key, memory_free);
}

/* NULL: this thread remembers nothing. */
static struct memory *memory_of_thread(bool make)
{
	struct memory *mem;

	pthread_once(&memory_once, make_memory_key);
	mem = memory_there ? pthread_getspecific(memory_key) : NULL;
	if (mem || !make || !memory_there)
		return mem;
	mem = calloc(1, sizeof(*mem));
	if (mem && pthread_setspecific(memory_key, mem)) {
		free(mem);
		mem = NULL;
	}
	return mem;
}

void message_remember(const char *text, json_t *m)
{
	struct memory *mem = m ? memory_of_thread(true) : NULL;
	char *copy = mem ? strdup(text) : NULL;
	unsigned int i;

	if (!copy) {
		json_decref(m);
		return;
	}
	i = mem->next++ % REMEMBERED;
	free(mem->of[i].text);
	json_decref(mem->of[i].m);
	mem->of[i].text = copy;
	mem->of[i].m = m;
}

const char *message_say(const char *msgid)
{
	const char *text = *msgid ? _(msgid) : msgid;

	message_remember(text, json_pack("{s:s, s:[]}", "format", msgid, "args"));
	return text;
}

/* Borrowed, the newest first; NULL when it is not known. */
static json_t *recall(const char *text)
{
	struct memory *mem = memory_of_thread(false);

	for (unsigned int i = 1; mem && i <= REMEMBERED; i++) {
		unsigned int at = (mem->next - i) % REMEMBERED;

		if (mem->of[at].text && !strcmp(mem->of[at].text, text))
			return mem->of[at].m;
	}
	return NULL;
}

json_t *message_recall(const char *text)
{
	json_t *m = recall(text);

	return m ? json_incref(m) : text_node(text, strlen(text));
}

const char *message_english(const char *text, char *out, size_t size)
{
	json_t *m = recall(text);

	if (m)
		return message_render_english(m, out, size);
	snprintf(out, size, "%s", text);
	return out;
}

/* ---- as one string ---------------------------------------------------------- */

#define PACKED	'\1'

const char *message_pack(const char *text, char *out, size_t size)
{
	json_t *m = recall(text);
	char *json = m ? json_dumps(m, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	if (json && strlen(json) + 2 <= size)
		snprintf(out, size, "%c%s", PACKED, json);
	else
		message_english(text, out, size);
	free(json);
	return out;
}

const char *message_unpack(const char *packed, char *out, size_t size)
{
	json_t *m = *packed == PACKED ? json_loads(packed + 1, JSON_DECODE_ANY, NULL) : NULL;

	if (m)
		message_render(m, out, size);
	else
		snprintf(out, size, "%s", *packed == PACKED ? "" : packed);
	/* what is unpacked may become part of another text */
	message_remember(out, m);
	return out;
}
