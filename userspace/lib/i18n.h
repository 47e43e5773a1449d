/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Words for persons, in their language (gettext, domain "vmcrypt"). Mark every
 * literal that a person reads: _("text") where it is used, N_("text") in a table
 * whose user calls _() on it. Formats keep their conversions; a translation may
 * reorder them with %1$s. What programs read (JSON keys, D-Bus names, codes,
 * MESSAGE_IDs) is never marked.
 *
 * The language is that of the calling thread (uselocale(3)). It is taken from
 * the locale's LC_MESSAGES; $LANGUAGE counts for the whole process, so that a
 * daemon which speaks many languages takes it out of its environment.
 */
#ifndef VMC_LIB_I18N_H
#define VMC_LIB_I18N_H

#include <libintl.h>
#include <locale.h>

#define _(text)		dgettext("vmcrypt", text)
#define N_(text)	(text)
/* A form for one and one for many; languages have up to six of them. */
#define P_(one, many, n)	dngettext("vmcrypt", one, many, n)

#define I18N_LOCALE_MAX	64	/* with the closing NUL */

/*
 * Find the catalogs: in the folder compiled in, or in $VMCRYPT_LOCALEDIR (an
 * absolute path; not heeded in a process that has more rights than its caller).
 * Texts come as UTF-8 whatever the locale's charset is. Once, before any thread.
 */
void i18n_init(void);

/*
 * The locale called @name, such as "de_DE.UTF-8", for uselocale(): messages of
 * that language, all else as in C. (locale_t)0 for English, which is also what
 * comes of a name that is malformed or not installed. The objects are kept, 32 at
 * most, and must not be freed. From any thread.
 */
locale_t i18n_locale(const char *name);

/* The calling thread speaks @l (0: English) from now on; returns what to give to i18n_restore(). */
locale_t i18n_speak(locale_t l);
void i18n_restore(locale_t before);

/*
 * @text, its decimal point written as the user's locale does (LC_NUMERIC of the
 * environment), which the process itself never sets: files and JSON need points.
 * One byte is replaced by one; a locale that needs more keeps the point.
 */
void i18n_decimal(char *text);

#endif
