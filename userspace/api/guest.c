// SPDX-License-Identifier: GPL-2.0-or-later
/* What libvirt, if there is one, knows of a VM that is not registered. */
#include "guest.h"

#include <stdio.h>
#include <unistd.h>

#include "../hypervisor/hypervisor.h"

static bool has_libvirt(void)
{
	return !access("/run/libvirt/libvirt-sock", F_OK) || !access("/run/libvirt/virtqemud-sock", F_OK);
}

int guest_look(const char *vm, struct vmm_guest *g, struct vmc_error *err)
{
	struct hypervisor *h;
	struct hv_info info;
	int r;

	*g = (struct vmm_guest) { 0 };
	if (!has_libvirt())
		return 0;
	r = libvirt_open(&h, vm, NULL, err);
	if (r)
		return r;
	r = h->ops->probe(h, &info, err);
	hypervisor_close(h);
	if (r)
		return r == VMC_ENOENT ? 0 : vmc_prefix(err, "whether it is on cannot be learnt: ");
	g->known = true;
	g->on = info.active;
	snprintf(g->id, sizeof(g->id), "%s", info.id);
	snprintf(g->name, sizeof(g->name), "%s", info.name);
	hv_info_clear(&info);
	return 0;
}
