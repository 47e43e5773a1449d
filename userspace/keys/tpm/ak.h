/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * This host's attestation key: ECDSA over P-256, restricted. The TPM makes it once,
 * and it is kept as a blob in STATE_DIR/tpm/ak.
 *
 * It is below a storage key of the endorsement hierarchy. Not below the EK: what ties
 * it to the EK is its name in the credential, not its parent, so that it loads at
 * every start with no policy session, and has a SHA-256 name whichever EK there is.
 * And not below the SRK: in what a key of the owner hierarchy signs the TPM disguises
 * resetCount, restartCount and firmwareVersion (TPM 2.0 Library, part 3, 18.1), by
 * which a verifier tells one start of the host from another.
 */
#ifndef VMC_TPM_AK_H
#define VMC_TPM_AK_H

#include "ek.h"

#define TPM_AK_SECRET_MAX	64

struct tpm_ak {
	ESYS_TR handle;			/* ESYS_TR_NONE when it is not open */
	bool made;			/* it is new: what was enrolled before is void */
	uint8_t pub[256];		/* TPMT_PUBLIC, marshalled */
	size_t n_pub;
};

/*
 * Load it; make it when there is none, or none of this TPM. Pins the SRK, which sessions
 * are salted with. Open it before the EK: many TPMs hold three keys at once, and one more
 * is needed for a moment. Codes of srk_open().
 */
int tpm_ak_open(struct tpm *t, const struct vmc_config *cfg, struct tpm_ak *ak, struct vmc_error *err);
void tpm_ak_close(struct tpm *t, struct tpm_ak *ak);
/* Forget it: the next tpm_ak_open() makes another. */
int tpm_ak_remove(const struct vmc_config *cfg, struct vmc_error *err);

/*
 * Give back the secret of a credential (TPM2B_ID_OBJECT, TPM2B_ENCRYPTED_SECRET,
 * each whole) that was made for this EK and this AK. @secret: TPM_AK_SECRET_MAX
 * bytes, secure heap. VMC_EAUTH: it was made for others.
 */
int tpm_ak_activate(struct tpm *t, const struct tpm_ak *ak, const struct tpm_ek *ek, const uint8_t *id_object,
		    size_t n_id_object, const uint8_t *enc_secret, size_t n_enc_secret, uint8_t *secret, size_t *n,
		    struct vmc_error *err);

#endif
