// SPDX-License-Identifier: GPL-2.0-or-later
/* Words for persons, in their language. */
#include "i18n.h"

#include <langinfo.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOMAIN		"vmcrypt"
#define LOCALES_MAX	32

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	char name[I18N_LOCALE_MAX];
	locale_t l;
} kept[LOCALES_MAX];
static size_t n_kept;

void i18n_init(void)
{
	const char *dir = secure_getenv("VMCRYPT_LOCALEDIR");

	bindtextdomain(DOMAIN, dir && *dir == '/' ? dir : VMC_LOCALEDIR);
	bind_textdomain_codeset(DOMAIN, "UTF-8");
}

/* language[_TERRITORY][.charset][@modifier], and nothing that names a path. */
static bool name_ok(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.@");

	return len && !name[len] && len < I18N_LOCALE_MAX && *name != '.';
}

static bool is_english(const char *name)
{
	return !strcmp(name, "C") || !strcmp(name, "POSIX") || !strncmp(name, "C.", 2);
}

static locale_t make(const char *name)
{
	locale_t base = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0), l;

	if (!base)
		return (locale_t)0;
	l = newlocale(LC_MESSAGES_MASK, name, base);
	if (!l)
		freelocale(base);
	return l;
}

/* Names that are not installed are not kept: whoever calls could fill the list with them. */
static locale_t find(const char *name)
{
	locale_t l;

	for (size_t i = 0; i < n_kept; i++)
		if (!strcmp(kept[i].name, name))
			return kept[i].l;
	if (n_kept == LOCALES_MAX)
		return (locale_t)0;
	l = make(name);
	if (l) {
		snprintf(kept[n_kept].name, sizeof(kept[n_kept].name), "%s", name);
		kept[n_kept++].l = l;
	}
	return l;
}

locale_t i18n_locale(const char *name)
{
	locale_t l;

	if (!name || !name_ok(name) || is_english(name))
		return (locale_t)0;
	pthread_mutex_lock(&lock);
	l = find(name);
	pthread_mutex_unlock(&lock);
	return l;
}

static locale_t english;
static pthread_once_t english_once = PTHREAD_ONCE_INIT;

static void make_english(void)
{
	english = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
	if (!english)
		english = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

locale_t i18n_speak(locale_t l)
{
	pthread_once(&english_once, make_english);
	return uselocale(l ? l : english);
}

void i18n_restore(locale_t before)
{
	uselocale(before);
}

static char radix = '.';
static pthread_once_t radix_once = PTHREAD_ONCE_INIT;

static void ask_radix(void)
{
	locale_t l = newlocale(LC_NUMERIC_MASK, "", (locale_t)0);
	const char *s = l ? nl_langinfo_l(RADIXCHAR, l) : ".";

	if (strlen(s) == 1)
		radix = *s;
	if (l)
		freelocale(l);
}

void i18n_decimal(char *text)
{
	char *point = strchr(text, '.');

	pthread_once(&radix_once, ask_radix);
	if (point)
		*point = radix;
}
