/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What "vmcrypt doctor" can see of the host by itself. */
#ifndef VMC_CLI_CHECKS_H
#define VMC_CLI_CHECKS_H

#include <jansson.h>
#include <stddef.h>
#include <sys/types.h>

enum finding { FIND_OK, FIND_WARN, FIND_FAIL };

/*
 * Append {check, result: "ok" | "warn" | "fail", text, fix} to @list; @fix is
 * what to type, or "" when nothing is to be done. @fix and @fmt are translated here.
 */
void finding_add(json_t *list, const char *check, enum finding result, const char *fix,
		 const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Module, dm-crypt, AES drivers and device nodes. @root goes in front of every path, "" on a real host. */
void checks_kernel(json_t *list, const char *root, const char *release);

/* May the process @pid lock @heap bytes in memory? */
void checks_memlock(json_t *list, const char *root, pid_t pid, size_t heap);

/* How many findings are of this kind. */
size_t findings_count(const json_t *list, const char *result);

#endif
