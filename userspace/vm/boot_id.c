// SPDX-License-Identifier: GPL-2.0-or-later
#include "boot_id.h"

#include <stdlib.h>
#include <string.h>

#include "../lib/fs.h"

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"

int boot_id(char id[VMC_UUID_STR], struct vmc_error *err)
{
	vmc_uuid u;
	char *text;
	int r;

	r = fs_read(BOOT_ID_FILE, 64, &text, NULL, err);
	if (r)
		return r;
	text[strcspn(text, "\n")] = '\0';
	r = vmc_uuid_parse(text, &u);
	free(text);
	if (r)
		return vmc_fail(err, VMC_EPROTO, "'%s' is not the id that it should be", BOOT_ID_FILE);
	vmc_uuid_format(&u, id);
	return 0;
}
