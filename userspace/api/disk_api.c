// SPDX-License-Identifier: GPL-2.0-or-later
/* org.vmcrypt1.Disk. */
#include "disk_api.h"

#include "model.h"

#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable disk_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Name", "s", NULL, offsetof(struct disk_object, name), SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Path", "s", NULL, offsetof(struct disk_object, image), CHANGES),
	SD_BUS_PROPERTY("Key", "s", NULL, offsetof(struct disk_object, kek), CHANGES),
	SD_BUS_PROPERTY("Open", "b", NULL, offsetof(struct disk_object, open), CHANGES),
	SD_BUS_PROPERTY("Device", "s", NULL, offsetof(struct disk_object, device), CHANGES),
	SD_BUS_PROPERTY("DmFlags", "s", NULL, offsetof(struct disk_object, dm_flags), CHANGES),
	SD_BUS_PROPERTY("Generation", "t", NULL, offsetof(struct disk_object, generation), CHANGES),
	SD_BUS_VTABLE_END
};

static int find_disk(sd_bus *bus, const char *path, const char *interface, void *data, void **found,
		     sd_bus_error *e)
{
	struct api *a = data;

	(void)bus, (void)interface, (void)e;
	*found = model_find_disk_path(a->model, path);
	return !!*found;
}

/* vm_api.c enumerates the disks with their VMs. */
int disk_api_add(struct api *a, struct vmc_error *err)
{
	int r = sd_bus_add_fallback_vtable(a->bus, NULL, API_PATH "/vm", "org.vmcrypt1.Disk", disk_vtable,
					   find_disk, a);

	return r < 0 ? vmc_fail_errno(err, -r, "cannot add the disk objects") : 0;
}
