// SPDX-License-Identifier: GPL-2.0-or-later
/* Locking a mapping that is in use: its key wiped, its I/O waiting, and back. */
#include <stdio.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/message.h"
#include "client.h"
#include "dm_priv.h"

static int need(const char *name, struct dm_info *info, struct vmc_error *err)
{
	int rc = dm_check_name(name, err);

	if (!rc)
		rc = dm_info_of(name, info, err);
	if (!rc && !info->exists)
		rc = vmc_fail(err, VMC_ENOENT, "there is no mapping '%s'", name);
	return rc;
}

/* Nothing that udev would hear of. */
static int suspend(const char *name, struct vmc_error *err)
{
	struct dm_task *t;
	int rc;

	dm_lock();
	t = dm_task_for(DM_DEVICE_SUSPEND, name, err);
	rc = t ? dm_run(t, N_("suspend mapping"), name, err) : VMC_ENOMEM;
	dm_unlock();
	return rc;
}

static int message(const char *doing, const char *name, const char *text, struct vmc_error *err)
{
	struct dm_task *t;
	int rc;

	dm_lock();
	t = dm_task_for(DM_DEVICE_TARGET_MSG, name, err);
	if (!t)
		rc = VMC_ENOMEM;
	else if (!dm_task_set_sector(t, 0) || !dm_task_set_message(t, text)) {
		dm_task_destroy(t);
		rc = vmc_fail(err, VMC_ENOMEM, "no memory to %s '%s'", message_say(doing), name);
	} else {
		rc = dm_run(t, doing, name, err);
	}
	dm_unlock();
	return rc;
}

int dm_suspend_wipe(const char *name, struct vmc_error *err)
{
	struct dm_info info;
	int rc = need(name, &info, err);

	if (!rc && !info.suspended)
		rc = suspend(name, err);
	if (!rc)
		rc = message(N_("wipe the key of mapping"), name, "key wipe", err);
	return rc;
}

static int set_key(const char *name, const char *key_desc, int32_t keyring,
		   struct vmc_error *err)
{
	char text[VMK_DESC_MAX + 64];
	int rc;

	if (strlen(key_desc) >= VMK_DESC_MAX)
		return vmc_fail(err, VMC_EINVAL, "mapping '%s': the key's description is not usable", name);
	snprintf(text, sizeof(text), "key set :%d:logon:%s", VMK_DEK_LEN, key_desc);
	rc = dm_keyring_link(keyring, name, err);
	if (rc)
		return rc;
	rc = message(N_("set the key of mapping"), name, text, err);
	dm_keyring_unlink(keyring);
	return rc == VMC_ENOKEY ? dm_no_dek(name, key_desc, err) : rc;
}

int dm_set_resume(const char *name, const char *key_desc, int32_t keyring, struct vmc_error *err)
{
	struct dm_info info;
	int rc = need(name, &info, err);

	if (rc || !info.suspended)
		return rc;
	rc = set_key(name, key_desc, keyring, err);
	return rc ? rc : dm_run_type(DM_DEVICE_RESUME, N_("resume mapping"), name, err);
}
