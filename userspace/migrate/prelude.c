// SPDX-License-Identifier: GPL-2.0-or-later
/* The beginning of each connection to a data port. See prelude.h. */
#include "prelude.h"

#include <string.h>

#include "../kernel/client.h"

#define VERSION 1

static const uint8_t magic[4] = "VMCW";

void prelude_write(const struct prelude *p, uint8_t out[PRELUDE_LEN])
{
	memcpy(out, magic, sizeof(magic));
	out[4] = VERSION;
	out[5] = (uint8_t)p->kind;
	out[6] = (uint8_t)(p->number >> 8);
	out[7] = (uint8_t)p->number;
	memcpy(out + 8, p->migration.b, sizeof(p->migration.b));
}

int prelude_read(const uint8_t in[PRELUDE_LEN], struct prelude *p, struct vmc_error *err)
{
	unsigned int number = (unsigned int)in[6] << 8 | in[7];

	if (memcmp(in, magic, sizeof(magic)))
		return vmc_fail(err, VMC_EPROTO, "what connected to the data port is no migration");
	if (in[4] != VERSION || in[5] >= HV_SOCKETS || number > VMK_CHANNEL_MAX)
		return vmc_fail(err, VMC_EPROTO, "a connection to the data port of a kind that is not known (version %u, kind %u, number %u)",
				in[4], in[5], number);
	p->kind = (enum hv_socket)in[5];
	p->number = (uint16_t)number;
	memcpy(p->migration.b, in + 8, sizeof(p->migration.b));
	return 0;
}
