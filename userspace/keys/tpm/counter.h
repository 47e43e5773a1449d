/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counters in the TPM's own memory, which only count up: even one that is
 * removed and made anew begins above all that this TPM ever counted. That
 * memory wears, so that who counts must do it seldom; see bucket.h.
 */
#ifndef VMC_TPM_COUNTER_H
#define VMC_TPM_COUNTER_H

#include "tpm.h"

/* All need srk_open(). */
/* Make it, or take the one that is there; VMC_EEXIST when something else is. @made (may be NULL): it was not there. */
int counter_make(struct tpm *t, uint32_t index, bool *made, struct vmc_error *err);
int counter_read(struct tpm *t, uint32_t index, uint64_t *value, struct vmc_error *err);	/* VMC_ENOENT */
int counter_increment(struct tpm *t, uint32_t index, uint64_t *value, struct vmc_error *err);
int counter_remove(struct tpm *t, uint32_t index, struct vmc_error *err);	/* not there: fine; not ours: left alone */

#endif
