/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's KEK cache, played by a list: what kernel/client.h says of vmk_kek_new() and vmk_kek_get(). */
#ifndef VMC_KMIP_MOCK_VMK_H
#define VMC_KMIP_MOCK_VMK_H

#include "../../kernel/client.h"

struct vmk {
	unsigned int n, asked, secure;	/* keys, calls of get, new ones from the secure heap */
	struct vmk_kek keks[2048];
	uint8_t keys[2048][VMK_KEK_LEN];
	int fail;			/* vmk_kek_new() fails with this code */
	const char *racer;		/* somebody else adds this id first */
};

#endif
