// SPDX-License-Identifier: GPL-2.0-or-later
/* Whatever virsh prints gives closed strings, disks that fit, and a UUID or an error. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/util.h"
#include "virsh.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), version[32];
	struct hv_info *info = calloc(1, sizeof(*info));
	struct virsh_domain d;
	struct virsh_job j;
	vmc_uuid u;

	if (text && info) {
		memcpy(text, data, size);
		text[size] = '\0';
		if (!virsh_parse_domain(text, &d, NULL) && vmc_uuid_parse(d.id, &u))
			abort();
		if (!virsh_parse_disks(text, info, NULL) && info->n > HV_DISKS_MAX)
			abort();
		virsh_parse_job(text, &j);
		virsh_parse_version(text, version);
		if (!memchr(version, '\0', sizeof(version)))
			abort();
	}
	free(info);
	free(text);
	return 0;
}
