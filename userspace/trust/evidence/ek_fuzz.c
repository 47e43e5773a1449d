// SPDX-License-Identifier: GPL-2.0-or-later
/* Endorsement keys, behind a length of two bytes, and certificates; and credentials for what is taken. */
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "../../lib/secmem.h"
#include "makecred.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* OpenSSL's generators are made before the secure heap is: what is in there counts as lost with LeakSanitizer. */
static void prepare(void)
{
	uint8_t some;

	if (CRYPTO_secure_malloc_initialized())
		return;
	if (RAND_bytes(&some, 1) != 1 || RAND_priv_bytes(&some, 1) != 1 || secmem_init(1 << 20, NULL))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const TPM2B_NAME name = { .size = 34 };
	static const uint8_t secret[MAKECRED_SECRET];
	static struct ek_cas *none;
	char ca[EK_CA_NAME_MAX];
	struct credential c;
	struct ek_der cert;
	struct ek ek;
	size_t n;

	prepare();
	if ((!none && ek_cas_new(&none, NULL)) || size < 2)
		return 0;
	n = (size_t)data[0] << 8 | data[1];
	if (n > size - 2)
		n = size - 2;
	if (ek_parse(data + 2, n, &ek, NULL))
		return 0;
	if (make_credential(&ek, &name, secret, &c, NULL))
		abort();
	cert = (struct ek_der){ data + 2 + n, size - 2 - n };
	if (!ek_check_certificate(&ek, &cert, &cert, 1, none, 1700000000, ca, NULL))
		abort();	/* no CA is trusted */
	return 0;
}
