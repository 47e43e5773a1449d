/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For tests: a German locale, and a small German catalog of the test's own. */
#ifndef VMC_TESTING_GERMAN_H
#define VMC_TESTING_GERMAN_H

#define TEST_GERMAN	"de_DE.UTF-8"

/* One entry of a catalog. */
#define TEST_PO(msgid, msgstr) "msgid \"" msgid "\"\nmsgstr \"" msgstr "\"\n\n"

/*
 * Makes a catalog of @po in @dir, and has this process and its children find it
 * and the locale, which lies in the build folder. The locale of the process stays
 * as it is. Call it once in a process: catalogs are kept by the C library.
 */
void test_german(const char *dir, const char *po);

#endif
