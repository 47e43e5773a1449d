/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tpm2-pcr-signature.json, as systemd-measure(1) writes it:
 * {"sha256": [{"pcrs": [11], "pkfp": HEX, "pol": HEX, "sig": BASE64}, ...], ...}
 * Parsing is pure: bytes in, structs out.
 */
#ifndef VMC_TPM_PCRSIG_H
#define VMC_TPM_PCRSIG_H

#include <stddef.h>
#include <stdint.h>

#include "../../lib/error.h"

#define PCRSIG_FILE_MAX	(256u << 10)
#define PCRSIG_MAX	256	/* entries of one bank */
#define PCRSIG_SIG_MAX	512	/* RSA of 4096 bits */

struct pcrsig {
	uint32_t pcrs;			/* bit n: PCR n */
	uint8_t pkfp[32];		/* SHA-256 of the signer's key */
	uint8_t pol[32];		/* the policy that is approved of, always SHA-256 */
	uint8_t sig[PCRSIG_SIG_MAX];
	size_t n_sig;
};

/* The entries of @bank ("sha256"); a bank that is not there has none. Caller frees *@out. */
int pcrsig_parse(const char *text, size_t len, const char *bank, struct pcrsig **out, size_t *n,
		 struct vmc_error *err);

#endif
