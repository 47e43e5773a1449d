/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Texts for persons that are kept, and read later by somebody of another
 * language: what the translator knows, and what was put in. As JSON, M is
 *
 *	"text"				as it is
 *	{"format": F, "args": [M...]}	F with its n-th argument replaced by the n-th M;
 *					F is looked up in the catalog first. A "*" of a width
 *					or precision counts as an argument, as printf counts.
 *					"errno": N is what %m stands for
 *	{"errno": N}			what strerror(N) says
 *	[M...]				one after the other
 *
 * A kept format is looked up and substituted here; it never gets to printf, so
 * that whoever alters what is kept alters words and no more.
 */
#ifndef VMC_LIB_MESSAGE_H
#define VMC_LIB_MESSAGE_H

#include <jansson.h>
#include <stdarg.h>
#include <stddef.h>

#define MESSAGE_MAX	1024	/* bytes of a rendered message that are kept, with the NUL */

/*
 * @fmt and its arguments. A string argument that message_remember() knows goes in
 * as what it was made of. NULL when there is no memory, or @fmt has a conversion
 * that is not taken apart here (flags "+", " " and "#", %n, %p, long double).
 */
json_t *message_format(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

/* The same; @english gets the text in English, also when NULL comes back. */
json_t *message_tell(char *english, size_t size, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));

/*
 * @m in the language of the calling thread, or in English. Anything may be in @m:
 * what makes no sense is left out, what does not fit is cut after a whole
 * character, and the work is bounded. Returns @out.
 */
const char *message_render(const json_t *m, char *out, size_t size);
const char *message_render_english(const json_t *m, char *out, size_t size);

/*
 * What the last texts of this thread were made of: vmc_fail() and its kin put
 * them in, so that an error is told in any language although only its text is
 * handed on. @m is taken over and may be NULL. Kept: the last 16 of a thread.
 */
void message_remember(const char *text, json_t *m);
/*
 * _(msgid), remembered: for sentences from a table that become an argument. No
 * conversion is in @msgid, and no empty text.
 */
const char *message_say(const char *msgid);
/* A new reference: what @text was made of, or @text itself when that is not known. */
json_t *message_recall(const char *text);
/* @text in English, for logs and whatever else is kept; @out may not be @text. Returns @out. */
const char *message_english(const char *text, char *out, size_t size);

/*
 * One string that holds a message: for columns that hold a text. It begins with
 * the byte 1 and JSON, or is the English text when that is all there is, or when
 * the JSON does not fit. message_unpack() renders either for the calling thread,
 * and remembers it.
 */
const char *message_pack(const char *text, char *out, size_t size);
const char *message_unpack(const char *packed, char *out, size_t size);

/*
 * In all of @answer: where an object has a "text" and, beside it or in its
 * "details", the "message" it was made of, the text is rendered for the calling
 * thread and the message taken out.
 */
void message_localize(json_t *answer);

#endif
