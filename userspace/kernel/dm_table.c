// SPDX-License-Identifier: GPL-2.0-or-later
/* The crypt target's table line, and the mapping's UUID. Pure. */
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "../lib/util.h"
#include "client.h"
#include "dm_priv.h"

#define SECTORS_PER_BLOCK	(DM_CRYPT_SECTOR / DM_SECTOR)

/* No blanks or control characters: each would end the argument and start the next. */
static bool one_word(const char *s, size_t max)
{
	size_t n = 0;

	for (; s && s[n]; n++)
		if (n >= max || s[n] <= ' ' || s[n] > '~')
			return false;
	return n > 0;
}

int dm_crypt_params(const struct dm_crypt *c, dev_t dev, char out[DM_TABLE_MAX],
		    struct vmc_error *err)
{
	char flags[256];
	unsigned int n = 1;	/* sector_size */

	if (!one_word(c->key_desc, VMK_DESC_MAX - 1))
		return vmc_fail(err, VMC_EINVAL, "mapping '%s': the key's description is not usable", c->name);
	dm_flags_format(c->flags, flags, sizeof(flags));
	for (char *comma = flags; (comma = strchr(comma, ',')); )
		*comma = ' ';
	for (uint32_t f = c->flags; f; f &= f - 1)
		n++;
	if (snprintf(out, DM_TABLE_MAX, "aes-xts-plain64 :%d:logon:%s 0 %u:%u %llu %u sector_size:%d%s%s",
		     VMK_DEK_LEN, c->key_desc, major(dev), minor(dev),
		     (unsigned long long)c->offset_sectors, n, DM_CRYPT_SECTOR,
		     *flags ? " " : "", flags) >= DM_TABLE_MAX)
		return vmc_fail(err, VMC_EINVAL, "mapping '%s': its table is too long", c->name);
	return 0;
}

int dm_crypt_size(const struct dm_crypt *c, uint64_t device_sectors, uint64_t *sectors,
		  struct vmc_error *err)
{
	uint64_t left;

	if (c->offset_sectors % SECTORS_PER_BLOCK || c->size_sectors % SECTORS_PER_BLOCK)
		return vmc_fail(err, VMC_EINVAL, "mapping '%s': offset and size must be multiples of %d bytes",
				c->name, DM_CRYPT_SECTOR);
	if (device_sectors < SECTORS_PER_BLOCK ||
	    device_sectors - SECTORS_PER_BLOCK < c->offset_sectors)
		return vmc_fail(err, VMC_EINVAL, "'%s' has %llu bytes, no data fits behind its header of %llu",
				c->path, (unsigned long long)device_sectors * DM_SECTOR,
				(unsigned long long)c->offset_sectors * DM_SECTOR);
	left = device_sectors - c->offset_sectors;
	left -= left % SECTORS_PER_BLOCK;
	if (c->size_sectors > left) {
		vmc_fail(err, VMC_EINVAL, "'%s' was cut short: it has %llu bytes of data, not %llu",
			 c->path, (unsigned long long)left * DM_SECTOR,
			 (unsigned long long)c->size_sectors * DM_SECTOR);
		vmc_hint(err, "restore it from a backup");
		return VMC_EINVAL;
	}
	*sectors = c->size_sectors ? c->size_sectors : left;
	return 0;
}

int dm_crypt_uuid(const char *luks_uuid, const char *name, char out[DM_UUID_MAX],
		  struct vmc_error *err)
{
	char hex[33];
	vmc_uuid u;

	if (vmc_uuid_parse(luks_uuid, &u))
		return vmc_fail(err, VMC_EINVAL, "mapping '%s': '%.60s' is no UUID", name,
				luks_uuid ? luks_uuid : "");
	vmc_hex_encode(u.b, sizeof(u.b), hex);
	if (snprintf(out, DM_UUID_MAX, "CRYPT-LUKS2-%s-%s", hex, name) >= DM_UUID_MAX)
		out[DM_UUID_MAX - 1] = '\0';
	return 0;
}
