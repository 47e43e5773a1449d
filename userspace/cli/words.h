/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The words of the daemon's JSON, in the user's language. JSON itself is never translated. */
#ifndef VMC_CLI_WORDS_H
#define VMC_CLI_WORDS_H

/* A label made of a member's name, such as "Key state"; as it is when nobody thought of it. */
const char *words_label(const char *label);

/* The value @text of member @key ("a|b": either), when that is one of a few fixed words; else as it is. */
const char *words_value(const char *key, const char *text);

#endif
