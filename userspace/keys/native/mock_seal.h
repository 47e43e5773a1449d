/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A TPM for the tests of native providers: seals by a mask of its own. */
#ifndef VMC_NATIVE_MOCK_SEAL_H
#define VMC_NATIVE_MOCK_SEAL_H

#include <stdbool.h>
#include <stdint.h>

struct mock_tpm {
	bool absent;
	uint8_t mask;		/* another one is another TPM */
	uint8_t pinned;		/* the one that the host knows; 0: any */
	unsigned int unsealed;	/* how often */
};
extern struct mock_tpm mock_tpm;

void mock_seal_use(void);	/* a fresh TPM, in place of the real one */

#endif
