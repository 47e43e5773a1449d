// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel module, there when the environment names a file that is, for the tests of the daemon. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../kernel/client.h"

struct vmk {
	int unused;
};

int vmk_open(struct vmk **k, struct vmc_error *err)
{
	const char *path = getenv("VMC_MOCK_MODULE");

	if (!path || access(path, F_OK)) {
		vmc_fail(err, VMC_ENOMODULE, "the kernel module vmcrypt is not loaded");
		vmc_hint(err, "modprobe vmcrypt");
		return VMC_ENOMODULE;
	}
	*k = calloc(1, sizeof(**k));
	return 0;
}

void vmk_close(struct vmk *k)
{
	free(k);
}

int vmk_info(struct vmk *k, struct vmk_info *info, struct vmc_error *err)
{
	(void)k, (void)err;
	memset(info, 0, sizeof(*info));
	strcpy(info->module_version, "mock");
	strcpy(info->wrap_cipher, "gcm(aes)");
	return 0;
}

int vmk_events_open(struct vmk *k, struct vmc_error *err)
{
	(void)k, (void)err;
	return 0;
}

int vmk_events_fd(struct vmk *k)
{
	(void)k;
	return -1;
}

int vmk_events_read(struct vmk *k, void (*fn)(const struct vmk_event *e, void *data), void *data,
		    struct vmc_error *err)
{
	(void)k, (void)fn, (void)data, (void)err;
	return 0;
}
