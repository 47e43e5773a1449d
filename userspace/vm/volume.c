// SPDX-License-Identifier: GPL-2.0-or-later
#include "volume.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "../keys/cache.h"
#include "../kernel/dm.h"
#include "../lib/fs.h"
#include "../lib/log.h"
#include "../lib/secmem.h"
#include "device.h"
#include "wrap.h"

void volume_mapping(const vmc_uuid *vm, const char *volume, bool fresh, char out[VOLUME_MAPPING_MAX])
{
	char id[VMC_UUID_STR];

	vmc_uuid_format(vm, id);
	snprintf(out, VOLUME_MAPPING_MAX, VOLUME_MAPPING_PREFIX "%s-%s%s", id, volume, fresh ? "@new" : "");
}

void volume_token(const vmc_uuid *vm, const struct bundle_volume *v, struct luks_token *t)
{
	struct key_wrap first;

	memset(t, 0, sizeof(*t));
	wrap_in_order(v, &first, &t->second);
	t->vm = *vm;
	memcpy(t->volume, v->name, sizeof(t->volume));
	memcpy(t->kek_id, first.kek_id, sizeof(t->kek_id));
	memcpy(t->wrapped, first.wrapped, sizeof(t->wrapped));
	memcpy(t->kcv, first.kcv, sizeof(t->kcv));
	t->generation = v->generation;
}

static int make_container(const struct volume_make *m, struct vmc_error *err)
{
	uint64_t size = (m->size + LUKS_SECTOR_SIZE - 1) / LUKS_SECTOR_SIZE * LUKS_SECTOR_SIZE;
	uint64_t have;
	bool block;
	int r;

	if (!m->size && !m->block) {
		vmc_fail(err, VMC_EINVAL, "'%s' is to be a file, which needs a size", m->path);
		vmc_hint(err, "say --size, such as --size 20G");
		return VMC_EINVAL;
	}
	if (m->size > VOLUME_SIZE_MAX || (m->size && m->size < VOLUME_SIZE_MIN))
		return vmc_fail(err, VMC_EINVAL, "a volume of %llu bytes: the size must be from 4 KiB to 64 PiB",
				(unsigned long long)m->size);
	if (!m->block)
		return device_make_file(m->path, VOLUME_HEADER_BYTES + size, m->reserve, err);
	r = device_inspect(m->path, &block, &have, err);
	if (r)
		return r;
	if (have < VOLUME_HEADER_BYTES + (size ? size : VOLUME_SIZE_MIN)) {
		vmc_fail(err, VMC_ENOSPC, "block device '%s' has %llu bytes, %llu are needed", m->path,
			 (unsigned long long)have,
			 (unsigned long long)(VOLUME_HEADER_BYTES + (size ? size : VOLUME_SIZE_MIN)));
		vmc_hint(err, "the header takes %llu MiB; without --size all that is left is used",
			 (unsigned long long)VOLUME_HEADER_BYTES >> 20);
		return VMC_ENOSPC;
	}
	return device_must_be_empty(m->path, err);
}

static void unmake_container(const struct volume_make *m)
{
	if (m->block)
		device_wipe_header(m->path, NULL);
	else
		fs_unlink(m->path, NULL);
}

/* The only place where this program sees a DEK. */
static int format(struct vmk *k, const struct volume_make *m, struct bundle_volume *v, struct vmc_error *err)
{
	uint8_t *dek = secmem_alloc(VMK_DEK_LEN);
	struct luks_token t;
	char uuid[40];
	int r;

	if (!dek)
		return vmc_fail(err, VMC_ENOMEM, "the secure heap is full");
	if (RAND_priv_bytes(dek, VMK_DEK_LEN) != 1) {
		r = vmc_fail(err, VMC_EINTERNAL, "OpenSSL has no random bytes");
		goto out;
	}
	r = vmk_dek_wrap(k, m->vm, m->name, m->kek_id, dek, v->wrapped, v->kcv, err);
	if (r)
		goto out;
	volume_token(m->vm, v, &t);
	fs_crashpoint("volume: before format");
	r = luks_format(m->path, dek, &t, uuid, err);
	fs_crashpoint("volume: formatted");
	if (!r)
		snprintf(v->luks_uuid, sizeof(v->luks_uuid), "%.36s", uuid);
out:
	secmem_free(dek, VMK_DEK_LEN);
	return r;
}

int volume_make(struct vmk *k, const struct volume_make *m, struct bundle_volume *v, struct vmc_error *err)
{
	struct luks_header h;
	int r;

	snprintf(v->name, sizeof(v->name), "%s", m->name);
	snprintf(v->kek_id, sizeof(v->kek_id), "%s", m->kek_id);
	v->generation = m->generation;
	r = make_container(m, err);
	if (r)
		return r;
	r = format(k, m, v, err);
	if (!r)
		r = luks_read(m->path, &h, err);
	if (!r && h.data_sectors * 512 < m->size)
		r = vmc_fail(err, VMC_EINTERNAL, "the new container '%s' has room for %llu bytes only",
			     m->path, (unsigned long long)h.data_sectors * 512);
	if (r)
		unmake_container(m);
	return r;
}

static int disagree(struct vmc_error *err, const struct bundle_volume *v, const char *path,
		    const char *what, const char *header, const char *bundle)
{
	vmc_fail(err, VMC_EAUTH, "volume '%s' at '%s' is not the one that the bundle means: its %s is %s, "
		 "the bundle says %s", v->name, path, what, header, bundle);
	vmc_hint(err, "Put the right file or device there, or restore a backup of its header");
	return VMC_EAUTH;
}

bool volume_same_keys(const struct luks_token *a, const struct luks_token *b)
{
	return !strcmp(a->kek_id, b->kek_id) && !memcmp(a->wrapped, b->wrapped, VMK_WRAPPED_LEN) &&
	       !memcmp(a->kcv, b->kcv, VMK_KCV_LEN) && !strcmp(a->second.kek_id, b->second.kek_id) &&
	       !memcmp(a->second.wrapped, b->second.wrapped, VMK_WRAPPED_LEN) &&
	       !memcmp(a->second.kcv, b->second.kcv, VMK_KCV_LEN);
}

void volume_keys_of_token(const struct luks_token *t, struct bundle_volume *v)
{
	struct key_wrap first;

	memcpy(first.kek_id, t->kek_id, sizeof(first.kek_id));
	memcpy(first.wrapped, t->wrapped, sizeof(first.wrapped));
	memcpy(first.kcv, t->kcv, sizeof(first.kcv));
	wrap_set(v, &first, &t->second);
	v->generation = t->generation;
}

static int check_token(const struct bundle *b, const struct bundle_volume *v, const char *path,
		       const struct luks_token *t, struct vmc_error *err)
{
	char in_token[VMC_UUID_STR], in_bundle[VMC_UUID_STR];
	struct luks_token want;

	if (!vmc_uuid_equal(&t->vm, &b->id)) {
		vmc_uuid_format(&t->vm, in_token);
		vmc_uuid_format(&b->id, in_bundle);
		return disagree(err, v, path, "VM", in_token, in_bundle);
	}
	if (strcmp(t->volume, v->name))
		return disagree(err, v, path, "volume name", t->volume, v->name);
	if (t->generation != v->generation) {
		log_warn("volume '%s' at '%s': the header's token is of generation %llu, the bundle's key of %llu",
			 v->name, path, (unsigned long long)t->generation,
			 (unsigned long long)v->generation);
		return 0;
	}
	volume_token(&b->id, v, &want);
	if (strcmp(t->kek_id, want.kek_id))
		return disagree(err, v, path, "key", t->kek_id, want.kek_id);
	if (strcmp(t->second.kek_id, want.second.kek_id))
		return disagree(err, v, path, "second key", t->second.kek_id, want.second.kek_id);
	if (!volume_same_keys(t, &want)) {
		vmc_fail(err, VMC_EAUTH, "the header of volume '%s' at '%s' was altered: its token has another "
			 "wrapped key than the bundle", v->name, path);
		vmc_hint(err, "'vmcrypt vm reload' writes the bundle's key into the header again");
		return VMC_EAUTH;
	}
	return 0;
}

int volume_check(const struct bundle *b, const struct bundle_volume *v, const char *path,
		 struct luks_header *h, struct vmc_error *err)
{
	int r;

	r = luks_read(path, h, err);
	if (r)
		return vmc_prefix(err, "volume '%s': ", v->name), r;
	if (strcasecmp(h->uuid, v->luks_uuid))
		return disagree(err, v, path, "LUKS UUID", h->uuid, v->luks_uuid);
	if (!h->has_token) {
		vmc_fail(err, VMC_EAUTH, "volume '%s' at '%s' has no vmcrypt token in its LUKS2 header",
			 v->name, path);
		vmc_hint(err, "'vmcrypt vm reload' writes the bundle's key into the header again");
		return VMC_EAUTH;
	}
	return check_token(b, v, path, &h->token, err);
}

int volume_check_kcv(const struct bundle_volume *v, const uint8_t kcv[VMK_KCV_LEN], struct vmc_error *err)
{
	char provider[PROVIDER_NAME_MAX + 1], key[PROVIDER_KEY_ID_MAX + 1];
	int r;

	if (!memcmp(v->kcv, kcv, VMK_KCV_LEN))
		return 0;
	r = kek_id_split(v->kek_id, provider, key, err);
	if (r)
		return r;
	vmc_fail(err, VMC_EAUTH, "the key that provider '%s' holds under id '%s' is not the key that this "
		 "disk was encrypted with (volume '%s')", provider, key, v->name);
	vmc_hint(err, "Check that '%s' is the cluster that made the key, or have its administrator restore the key; "
		 "then 'vmcrypt key remove %s' and try again", provider, v->kek_id);
	return VMC_EAUTH;
}

int volume_load_error(const struct bundle_volume *v, const struct vmk_load *l, struct vmc_error *err)
{
	if (!l->code || l->code == VMC_EEXIST)
		return 0;
	if (l->code == VMC_EAUTH) {
		vmc_fail(err, VMC_EAUTH, "the wrapped key of volume '%s' was altered: key '%s' is the right one "
			 "and does not open it", v->name, v->kek_id);
		vmc_hint(err, "Restore a backup of the bundle, or rebuild it from the disks with "
			 "'vmcrypt vm register --from-headers'");
		return VMC_EAUTH;
	}
	if (err) {
		*err = l->err;
		err->code = l->code;
	}
	vmc_prefix(err, "volume '%s': ", v->name);
	return l->code;
}

int volume_load(struct vmk *k, const vmc_uuid *vm, const struct bundle_volume *v, struct vmk_load *l,
		struct vmc_error *err)
{
	int r;

	r = vmk_dek_del(k, vm, v->name, err);
	if (r && r != VMC_ENOENT && r != VMC_ENOKEY)
		return r;
	memset(l, 0, sizeof(*l));
	l->vm = *vm;
	l->volume = v->name;
	l->kek_id = v->kek_id;
	l->wrapped = v->wrapped;
	r = vmk_dek_load(k, l, err);
	if (!r)
		return 0;
	l->code = r;
	if (err)
		l->err = *err;
	return volume_load_error(v, l, err);
}

/* A mapping of that name is there: is it of the file we mean? */
static int check_backing(const char *name, const char *path, struct vmc_error *err)
{
	char below[PATH_MAX], want[PATH_MAX];
	int r;

	r = dm_backing(name, below, sizeof(below), err);
	if (r)
		return r;
	if (!realpath(path, want))
		return vmc_fail_errno(err, errno, "cannot resolve '%s'", path);
	if (!strcmp(below, want))
		return 0;
	return vmc_fail(err, VMC_EBUSY, "the mapping '%s' is in use, for '%s' instead of '%s'", name, below, path);
}

/* The key is there already, without its KEK: another host's kernel sealed it for this one. */
static int loaded(struct vmk *k, const vmc_uuid *vm, const struct bundle_volume *v, struct vmk_load *l,
		  struct vmc_error *err)
{
	struct vmk_volume there;
	int r = vmk_dek_get(k, vm, v->name, &there, &l->keyring, err);

	if (!r)
		memcpy(l->key_desc, there.key_desc, sizeof(l->key_desc));
	return r;
}

int volume_open(struct vmk *k, const struct bundle *b, const struct bundle_volume *v, const char *path,
		unsigned int flags, struct vmc_error *err)
{
	char name[VOLUME_MAPPING_MAX];
	struct luks_header h;
	struct vmk_load l;
	struct dm_crypt c = {
		.name = name, .path = path, .luks_uuid = v->luks_uuid, .flags = v->flags,
		.readonly = flags & VOLUME_READONLY, .shared = flags & VOLUME_SHARED, .key_desc = l.key_desc,
	};
	int r;

	volume_mapping(&b->id, v->name, flags & VOLUME_FRESH, name);
	r = volume_check(b, v, path, &h, err);
	if (r)
		return r;
	if (dm_exists(name))
		return check_backing(name, path, err);
	r = flags & VOLUME_LOADED ? loaded(k, &b->id, v, &l, err) : volume_load(k, &b->id, v, &l, err);
	if (r)
		return r;
	c.keyring = l.keyring;
	c.offset_sectors = h.offset_sectors;
	c.size_sectors = h.data_sectors / (LUKS_SECTOR_SIZE / 512) * (LUKS_SECTOR_SIZE / 512);
	fs_crashpoint("volume: before map");
	r = dm_crypt_open(&c, err);
	fs_crashpoint("volume: mapped");
	if (r) {
		vmc_prefix(err, "cannot open volume '%s': ", v->name);
		vmk_dek_del(k, &b->id, v->name, NULL);
	}
	return r;
}

int volume_close(struct vmk *k, const vmc_uuid *vm, const char *volume, bool fresh, bool unload,
		 struct vmc_error *err)
{
	char name[VOLUME_MAPPING_MAX];
	int r = 0;

	volume_mapping(vm, volume, fresh, name);
	if (dm_exists(name)) {
		fs_crashpoint("volume: before unmap");
		r = dm_crypt_close(name, err);
		fs_crashpoint("volume: unmapped");
	}
	if (!r && unload)
		vmk_dek_del(k, vm, volume, NULL);
	return r;
}

bool volume_is_open(const vmc_uuid *vm, const char *volume)
{
	char name[VOLUME_MAPPING_MAX];

	volume_mapping(vm, volume, false, name);
	return dm_exists(name);
}
