/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's KEK cache, played by a list: leases, and keys that are in use. */
#ifndef VMC_TRUSTED_MOCK_VMK_H
#define VMC_TRUSTED_MOCK_VMK_H

#include "../../kernel/client.h"

struct vmk {
	unsigned int n;
	struct vmk_kek keks[8];
	const char *in_use;		/* this id */
};

#endif
