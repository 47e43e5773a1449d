/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values of PCRs of one bank, and how they are written. Pure. */
#ifndef VMC_EVIDENCE_PCRS_H
#define VMC_EVIDENCE_PCRS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <tss2/tss2_tpm2_types.h>

#include "../../lib/error.h"

#define PCRS	24u

struct pcrs {
	TPMI_ALG_HASH bank;
	uint32_t mask;			/* bit n: value[n] is there */
	uint8_t value[PCRS][64];	/* pcrs_size() bytes of each */
};

/* "sha256" and its like; 0 when it is another. */
TPMI_ALG_HASH pcrs_bank(const char *name);
const char *pcrs_bank_name(TPMI_ALG_HASH bank);		/* "?" */
size_t pcrs_size(TPMI_ALG_HASH bank);			/* bytes; 0 */

/* {"0": "hex", "7": "hex"}: exactly those of @mask. VMC_EINVAL names the one that is wrong. */
int pcrs_from_json(const json_t *o, TPMI_ALG_HASH bank, uint32_t mask, struct pcrs *p, struct vmc_error *err);
json_t *pcrs_to_json(const struct pcrs *p);		/* NULL: no memory */
/* [0, 1, 7] as a mask: 1 to 24 numbers below 24, each once. */
int pcrs_mask_from_json(const json_t *a, uint32_t *mask, struct vmc_error *err);
json_t *pcrs_mask_to_json(uint32_t mask);
/* "0-4, 7" */
void pcrs_mask_text(uint32_t mask, char out[64]);

#endif
