// SPDX-License-Identifier: GPL-2.0-or-later
/* systemd's file of signed PCR policies. */
#include <stdlib.h>

#include "pcrsig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pcrsig *sigs;
	size_t n;

	if (pcrsig_parse((const char *)data, size, "sha256", &sigs, &n, NULL))
		return 0;
	for (size_t i = 0; i < n; i++)
		if (!sigs[i].pcrs || sigs[i].pcrs >> 24 || !sigs[i].n_sig || sigs[i].n_sig > PCRSIG_SIG_MAX)
			abort();
	free(sigs);
	return 0;
}
