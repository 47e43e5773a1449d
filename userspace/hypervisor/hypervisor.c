// SPDX-License-Identifier: GPL-2.0-or-later
/* What all drivers of hypervisors have in common. */
#include "hypervisor.h"

#include <string.h>

#include "../lib/util.h"

const char *hv_socket_name(enum hv_socket kind)
{
	static const char *const names[HV_SOCKETS] = {
		[HV_MEMORY] = HV_SOCKET_MEMORY, [HV_DISKS] = HV_SOCKET_DISKS, [HV_CONTROL] = HV_SOCKET_CONTROL,
	};

	return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : "";
}

void hv_info_clear(struct hv_info *info)
{
	json_decref(info->definition);
	memset(info, 0, sizeof(*info));
}

void hypervisor_close(struct hypervisor *h)
{
	if (h)
		h->ops->close(h);
}
