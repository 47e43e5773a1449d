/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Test Anything Protocol: one line for each test. */
#ifndef TAP_H
#define TAP_H

#include <stdbool.h>

bool tap_ok(bool ok, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void tap_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void tap_skip(const char *reason, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void tap_bail(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));
int tap_end(void);

#endif /* TAP_H */
