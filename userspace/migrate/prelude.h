/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The beginning of each connection to a host's data port: which migration and which of its connections it is. In
 * clear: what follows is the kernel's, encrypted, or, in a migration that is not, the hypervisor's own. The other
 * side answers with one byte, PRELUDE_TAKEN or PRELUDE_REFUSED.
 *
 *	"VMCW"  version (1)  kind (1)  channel number (2, big-endian)  migration (16)
 *
 * Pure: no I/O.
 */
#ifndef VMC_MIGRATE_PRELUDE_H
#define VMC_MIGRATE_PRELUDE_H

#include <stdint.h>

#include "../hypervisor/hypervisor.h"
#include "../lib/error.h"
#include "../lib/util.h"

#define PRELUDE_LEN	24
#define PRELUDE_TAKEN	0x06
#define PRELUDE_REFUSED	0x15

struct prelude {
	enum hv_socket kind;
	uint16_t number;	/* of the channel, 0..VMK_CHANNEL_MAX */
	vmc_uuid migration;
};

void prelude_write(const struct prelude *p, uint8_t out[PRELUDE_LEN]);
/* VMC_EPROTO: not one of ours. */
int prelude_read(const uint8_t in[PRELUDE_LEN], struct prelude *p, struct vmc_error *err);

#endif
