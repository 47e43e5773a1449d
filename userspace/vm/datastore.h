/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Encrypted datastores: a block device, or a file, that holds the images of many
 * VMs. A LUKS2 container with a token like that of a disk, one volume called
 * "datastore"; opened with the key in a keyring of its own in the module, and
 * mounted, nodev and nosuid. Its keys, their states, alarms and jobs are those of
 * VMs, see manager.h; entities of alarms are of the kind "datastore". A VM lies on
 * a datastore when its bundle or one of its volumes is below the mount point.
 *
 * Opening a VM opens the datastores that it lies on. @store: UUID or name; VMs and
 * datastores have their names apart.
 */
#ifndef VMC_VM_DATASTORE_H
#define VMC_VM_DATASTORE_H

#include "manager.h"

struct vmm_datastore {
	const char *name;
	const char *path;		/* absolute; block device, or a file, which must not be there */
	const char *mount;		/* absolute, its folder is there; NULL: RUNTIME_DIR/datastores/NAME */
	bool no_autoopen;		/* do not open it when the host starts */
	/* create only */
	const char *provider;		/* NULL: the default */
	const char *dm_flags;		/* NULL: from the config */
	const char *fs;			/* "ext4" or "xfs"; NULL: ext4 */
	uint64_t size;			/* bytes of data; 0 on a block device: all of it */
	bool force;			/* whatever is on the block device goes */
};
/*
 * It is closed then. VMC_EEXIST says what is on the device, VMC_EBUSY that it is in use, which @force does not change.
 */
int vmm_datastore_create(struct vmm *m, const struct vmm_datastore *d, struct progress *p, char id[VMC_UUID_STR],
			 struct vmc_error *err);
/* One that another host made, or this one before it lost its inventory, from its header. Needs the key. Closed then. */
int vmm_datastore_register(struct vmm *m, const struct vmm_datastore *d, char id[VMC_UUID_STR], struct vmc_error *err);
int vmm_datastore_unregister(struct vmm *m, const char *store, struct vmc_error *err);	/* closed only; data stays */
/* The same, and its header is wiped or its file removed: the data is lost. VMC_EBUSY names a VM that lies on it. */
int vmm_datastore_remove(struct vmm *m, const char *store, struct vmc_error *err);
/* The key to the kernel (fetched at need), opened, mounted. */
int vmm_datastore_open(struct vmm *m, const char *store, struct progress *p, struct vmc_error *err);
/* VMC_EBUSY names a VM that lies on it and is on, or says who else uses it. */
int vmm_datastore_close(struct vmm *m, const char *store, struct vmc_error *err);
/* NULL: as it is. Another mount point while it is closed only; "": the default one. */
int vmm_datastore_set(struct vmm *m, const char *store, const bool *autoopen, const char *mount, struct vmc_error *err);
/* As vmm_unlock(); n 0: all. */
int vmm_datastore_unlock(struct vmm *m, const char *const *stores, size_t n, struct progress *p, json_t **out,
			 struct vmc_error *err);

struct vmm_datastore_recrypt {		/* at most one of them */
	const char *provider;		/* whose key replaces the first one; NULL: the same */
	const char *add_provider, *remove_provider;
};
/* As vmm_recrypt_shallow(), vmm_add_provider() and vmm_remove_provider(); n 0: all. */
int vmm_datastore_recrypt(struct vmm *m, const char *const *stores, size_t n, const struct vmm_datastore_recrypt *how,
			  struct progress *p, json_t **out, struct vmc_error *err);

/*
 * {id, name, path, state: "open"|"closed", mount, mounted, fs: name|"", autoopen, provider, key, second_key?, kcv,
 *  generation, luks_uuid, dm_flags, device: null|path, loaded, cached, size?, free? (bytes, of the file system),
 *  vms: [{id, name, power}] that lie on it, job} and, as of vmm_show(), key_error?, key_hint?, crypto_state, shows_as,
 *  cause, cause_text, remedy, missing_keys, alarms.
 */
json_t *vmm_datastore_show(struct vmm *m, const char *store, struct vmc_error *err);
json_t *vmm_datastore_list(struct vmm *m, struct vmc_error *err);

/*
 * When the host starts, after the kept keys are in the cache and before any VM is powered on: open each datastore that
 * has autoopen and was not open yet in this start of the host. One that cannot be opened is locked, or said so in the log, and does not keep the others from it.
 */
int vmm_datastores_autoopen(struct vmm *m, struct vmc_error *err);

#endif
