/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The storage root key, known by its name. Something that sits between the
 * host and its TPM may offer a root key of its own; so the name of the first
 * one met is kept in STATE_DIR/tpm/srk, and another one is an error for ever.
 */
#ifndef VMC_TPM_SRK_H
#define VMC_TPM_SRK_H

#include "tpm.h"

/*
 * Find or make the SRK (owner hierarchy; the persistent 0x81000001, else the
 * standard ECC P-256 template) and open t->hmac on it. There is a pin and it
 * is another key: VMC_ETPMCLEARED when the TPM is the same one, VMC_ETPMROOT
 * otherwise. No pin: with @pin it is written.
 */
int srk_open(struct tpm *t, bool pin, struct vmc_error *err);
/*
 * Make the key of the SRK's template in a hierarchy (ESYS_TR_RH_OWNER, ESYS_TR_RH_ENDORSEMENT):
 * always the same one until that hierarchy's seed changes. Caller flushes @key.
 */
int srk_primary(struct tpm *t, ESYS_TR hierarchy, ESYS_TR *key, struct vmc_error *err);
/* Forget the pin: the owner says that this TPM is the one from now on. */
int srk_unpin(const struct vmc_config *cfg, struct vmc_error *err);

#endif
