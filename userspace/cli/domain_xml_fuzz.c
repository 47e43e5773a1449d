// SPDX-License-Identifier: GPL-2.0-or-later
/* A domain that is accepted names volumes by well-formed ids and names only. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "domain_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_id(const char *s)
{
	vmc_uuid u;

	if (vmc_uuid_parse(s, &u))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char vm[VMC_UUID_STR];
	struct vmc_error err;
	struct domain d;
	size_t i;

	if (!domain_parse((const char *)data, size, &d, &err)) {
		check_id(d.id);
		if (*d.meta)
			check_id(d.meta);
		for (i = 0; i < d.n_volumes; i++) {
			check_id(d.volumes[i].vm);
			if (!vmc_name_ok(d.volumes[i].name, DOMAIN_VOLUME_MAX - 1))
				abort();
		}
		for (i = 0; i < d.n_paths; i++)
			if (d.paths[i][0] != '/')
				abort();
		if (!domain_vm(&d, vm, &err) && *vm)
			check_id(vm);
	}
	domain_clear(&d);
	return 0;
}
