/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys whose lease on this host has ended: whoever cannot get one anew is told that it was here. The latest of them are
 * remembered. From any thread.
 */
#ifndef VMC_KEYS_LAPSE_H
#define VMC_KEYS_LAPSE_H

#include <stdbool.h>

#include "../lib/error.h"

#define LAPSES_MAX 1024

void lapse_note(const char *id);	/* "provider/key-id" */
void lapse_forget(const char *id);	/* it is here again */
/* Put that in front of @err, which is why @id cannot be had, if it is so. */
void lapse_explain(const char *id, struct vmc_error *err);

#endif
