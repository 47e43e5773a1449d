// SPDX-License-Identifier: GPL-2.0-or-later
/* Services-info files: refused whole, or taken and written so that they read back the same. */
#include <stdlib.h>
#include <string.h>

#include "conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct trusted_conf c;
	struct vmc_error err = VMC_ERROR_INIT;
	char *text;

	if (trusted_conf_from_info(&c, "kms", data, size, &err)) {
		if (!err.code || !err.text[0])
			abort();
		return 0;
	}
	text = trusted_conf_text(&c);
	if (!text || !c.n || !strstr(text, c.a[0].attest.sha256))
		abort();
	free(text);
	return 0;
}
