/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How often the TPM's memory may be written: it bears some 100,000 writes.
 * Eight at once, then one in half an hour: 17,500 a year at the very most. The
 * last ones are for changes that take something away.
 */
#ifndef VMC_TPM_BUCKET_H
#define VMC_TPM_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#define BUCKET_SIZE	8u
#define BUCKET_RESERVE	4u
#define BUCKET_MS	(30u * 60 * 1000)

struct bucket {
	unsigned int used;
	uint64_t since;		/* when the oldest of the used began to come back */
};

/* May one be taken at @now (vmc_now_ms())? @needed: the reserve, too. */
static inline bool bucket_take(struct bucket *b, uint64_t now, bool needed)
{
	uint64_t back = b->used ? (now - b->since) / BUCKET_MS : 0;

	if (back >= b->used)
		b->used = 0;
	else
		b->used -= (unsigned int)back;
	b->since = b->used ? b->since + back * BUCKET_MS : now;
	if (b->used >= (needed ? BUCKET_SIZE : BUCKET_SIZE - BUCKET_RESERVE))
		return false;
	b->used++;
	return true;
}

#endif
