/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the bus objects show: a copy of the manager's VMs and of the providers,
 * so that a property is answered at once, and so that changes become signals.
 */
#ifndef VMC_API_MODEL_H
#define VMC_API_MODEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api.h"

/* The C types are those that sd-bus reads for b, t, s and as. */
struct disk_object {
	struct object self;	/* key: the VM's UUID */
	char *path;		/* of the object */
	char *name, *image, *kek, *device, *dm_flags;
	int open;
	uint64_t generation;
};

struct vm_object {
	struct object self;
	char *path;
	char *name, *bundle, *power, *key_state, *provider, *crypto_state, *shows_as, *cause;
	uint32_t alarms;
	int autostart;
	struct disk_object **disks;	/* sorted by path */
	size_t n_disks;
};

struct provider_object {
	struct object self;
	char *path;
	char *name, *kind, *state;
	int is_default;
	char **servers;
};

int model_new(struct model **m, struct api *a, struct vmc_error *err);
void model_free(struct model *m);	/* NULL is fine; emits nothing */

/*
 * From a worker: look at the manager (one VM, or all when @vm is NULL) or at
 * the providers, and post what is seen to the loop, which compares and emits.
 * What is posted first was seen first, and arrives before the caller's own done().
 */
void model_look_vm(struct model *m, struct backend *b, const char *vm);
void model_look_providers(struct model *m, struct backend *b);

/* Something about @vm (NULL: all) is news: have a worker look soon. Loop thread. */
void model_stale(struct model *m, const char *vm);

void model_vm_path(const char *uuid, char path[64]);
struct vm_object *model_find_vm(struct model *m, const char *uuid);
struct vm_object *model_find_vm_path(struct model *m, const char *path);
struct disk_object *model_find_disk_path(struct model *m, const char *path);
struct provider_object *model_find_provider(struct model *m, const char *name);
struct provider_object *model_find_provider_path(struct model *m, const char *path);
const char *model_default_provider(struct model *m);	/* "" when there is none */
size_t model_count_vms(const struct model *m);
size_t model_count_providers(const struct model *m);

/* Paths of all VMs and disks, or of all providers; for node enumerators. */
int model_vm_paths(struct model *m, char ***paths);
int model_provider_paths(struct model *m, char ***paths);

#endif
