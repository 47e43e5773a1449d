/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NAME.vmcrypt: what a host must know to open a VM, as JSON beside the VM's
 * files; or a datastore, then in STATE_DIR/datastores. Carries wrapped keys only. Authenticated under the VM key: "mac" is
 * vmk_dek_mac() with the wrapped DEK of the home volume over the SHA-256 of the
 * canonical JSON (sorted keys, no blanks) of all the rest.
 */
#ifndef VMC_VM_BUNDLE_H
#define VMC_VM_BUNDLE_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../kernel/client.h"
#include "../kernel/luks.h"
#include "../lib/error.h"
#include "../lib/util.h"

#define BUNDLE_VERSION		1	/* one wrap for each volume */
#define BUNDLE_VERSION_2	2	/* some have a "second" one */
#define BUNDLE_SUFFIX		".vmcrypt"
#define BUNDLE_SIZE_MAX		(1024 * 1024)
#define BUNDLE_NAME_MAX		63
#define BUNDLE_VOLUMES_MAX	64	/* home and 63 disks */
#define BUNDLE_DIGEST_LEN	32
#define BUNDLE_PATH_MAX		1024
#define VOLUME_HOME		"home"
#define VOLUME_DATASTORE	"datastore"	/* the one volume of a datastore, whose bundle has no home */

struct bundle_volume {
	char name[VMK_VOLUME_MAX + 1];	/* the first is "home", or "datastore" */
	char path[BUNDLE_PATH_MAX];	/* relative to the bundle's folder when inside it, else absolute */
	char luks_uuid[VMC_UUID_STR];
	char kek_id[VMK_KEK_ID_MAX + 1];	/* provider/key-id */
	uint8_t kcv[VMK_KCV_LEN];
	uint8_t wrapped[VMK_WRAPPED_LEN];
	uint64_t generation;		/* grows with every rewrap; 1 at first */
	uint32_t flags;			/* DM_* */
	/*
	 * The same DEK under a KEK of another provider, which opens it as well. In
	 * memory the two may have changed places, see wrap.h; files have the first first.
	 */
	struct key_wrap second;
	bool swapped;
};

struct bundle {
	vmc_uuid id;
	char name[BUNDLE_NAME_MAX + 1];
	char migration[16];		/* "required": the only policy of an encrypted VM */
	uint64_t serial;		/* grows with every write */
	size_t n;			/* at least 1 */
	struct bundle_volume *v;
	bool has_mac;
	uint8_t mac[VMK_MAC_LEN];
};

/* Bytes to struct: pure, strict, whole or not at all. Does not check the mac. */
int bundle_parse(const char *data, size_t len, struct bundle *b, struct vmc_error *err);
/* Text of @b with b->mac (malloc, closing newline), or NULL without memory. */
char *bundle_format(const struct bundle *b);
/* SHA-256 of the canonical JSON without the mac. */
int bundle_digest(const struct bundle *b, uint8_t digest[BUNDLE_DIGEST_LEN], struct vmc_error *err);
void bundle_clear(struct bundle *b);
int bundle_copy(const struct bundle *b, struct bundle *out, struct vmc_error *err);

/* Does the name, or path, end as that of a bundle does? */
bool bundle_is_named(const char *name);
/* Of a datastore, not of a VM. The name of the volume is part of what its key is bound to. */
bool bundle_is_datastore(const struct bundle *b);
struct bundle_volume *bundle_find(const struct bundle *b, const char *volume);
int bundle_add(struct bundle *b, const struct bundle_volume *v, struct vmc_error *err);
int bundle_remove(struct bundle *b, const char *volume, struct vmc_error *err);

/* One volume as it stands in "volumes"; the journal keeps them so too. */
json_t *bundle_volume_json(const struct bundle_volume *v);
int bundle_volume_parse(const json_t *o, struct bundle_volume *v, struct vmc_error *err);

/* Volume names: vmc_name_ok() of at most VMK_VOLUME_MAX. */
bool bundle_volume_name_ok(const char *name);
/* Folder of the bundle at @path + the volume's path. */
int bundle_volume_path(const char *bundle_path, const char *volume_path, char out[PATH_MAX],
		       struct vmc_error *err);
/* The other way: @path as the bundle is to say it. */
int bundle_relative(const char *bundle_path, const char *path, char out[BUNDLE_PATH_MAX],
		    struct vmc_error *err);

/* With the KEK of home in the cache: check the mac (VMC_EAUTH), or make it. */
int bundle_verify(const struct bundle *b, struct vmk *k, const char *path, struct vmc_error *err);
int bundle_sign(struct bundle *b, struct vmk *k, struct vmc_error *err);

/* Read and parse; replace whole (the caller signed it). */
int bundle_read(const char *path, struct bundle *b, struct vmc_error *err);
int bundle_write(const char *path, const struct bundle *b, struct vmc_error *err);

#endif
