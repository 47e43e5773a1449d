// SPDX-License-Identifier: GPL-2.0-or-later
/* Attestation keys, quotes and signatures, one behind the other, the first two behind a length of two bytes. */
#include <stdlib.h>
#include <string.h>

#include "quote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *take(const uint8_t **at, size_t *left, size_t *n)
{
	const uint8_t *p;

	*n = 0;
	if (*left < 2)
		return *at;
	*n = (size_t)(*at)[0] << 8 | (*at)[1];
	*at += 2;
	*left -= 2;
	if (*n > *left)
		*n = *left;
	p = *at;
	*at += *n;
	*left -= *n;
	return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t extra[QUOTE_EXTRA] = { 0 };
	struct pcrs p = { .bank = TPM2_ALG_SHA256, .mask = 1 };
	struct quote_evidence q = { .extra = extra, .pcrs = &p };
	struct quote_facts facts;
	const uint8_t *pub;
	struct ak ak;
	size_t n;

	pub = take(&data, &size, &n);
	if (ak_parse(pub, n, &ak, NULL))
		return 0;
	q.ak = &ak;
	q.attest = take(&data, &size, &q.n_attest);
	q.signature = data;
	q.n_signature = size;
	if (quote_check(&q, &facts, NULL) && (facts.clock || facts.reset_count))
		abort();
	return 0;
}
