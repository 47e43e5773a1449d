// SPDX-License-Identifier: GPL-2.0-or-later
/* Any text as an encrypted key: nothing that was not encrypted to this key opens. */
#include <stdlib.h>
#include <string.h>

#include "../../keys/cert.h"
#include "../../lib/secmem.h"
#include "jwe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static EVP_PKEY *key;
	static uint8_t *out;
	char *text = calloc(1, size + 1);
	size_t n;

	if (!key && (secmem_init(1u << 20, NULL) || cert_key_new(&key, NULL) || !(out = secmem_alloc(64))))
		abort();
	if (!text)
		return 0;
	memcpy(text, data, size);
	if (!jwe_open(key, "1", text, out, 64, &n, NULL))
		abort();
	free(text);
	return 0;
}
