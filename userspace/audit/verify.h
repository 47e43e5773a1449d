/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A log, wherever it is, looked at from its first entry to its last. */
#ifndef VMC_AUDIT_VERIFY_H
#define VMC_AUDIT_VERIFY_H

#include <jansson.h>

#include "head.h"

/*
 * Of the files in @dir, or of the one exported file @dir when it is no folder. @head: how the log is known to end,
 * and where; NULL: not known. @anchor: "SEQ:HASH", an entry that the log must have; or NULL. The answer is that of
 * audit_verify().
 */
json_t *audit_verify_files(const char *dir, const struct audit_head *head, const char *anchor,
			   struct vmc_error *err);

#endif
