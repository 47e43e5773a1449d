// SPDX-License-Identifier: GPL-2.0-or-later
/* The manager's tests over the real module, device-mapper, LUKS2 headers and mounts. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "kernel/dm.h"
#include "vm/device.h"
#include "vm/mock_platform.h"

static int held = -1;

bool platform_is_real(void)
{
	return true;
}

static void must(int r, const struct vmc_error *err)
{
	if (!r)
		return;
	fprintf(stderr, "lab: %s\n", err->text);
	abort();
}

/* One for each process: a socket does not outlive a fork well. */
struct vmk *platform_kernel(void)
{
	static struct vmk *k;
	static pid_t owner;
	struct vmc_error err = VMC_ERROR_INIT;

	if (k && owner == getpid())
		return k;
	must(vmk_open(&k, &err), &err);
	owner = getpid();
	return k;
}

static void unmount_all(void)
{
	char line[4096], where[1024];
	FILE *f = fopen("/proc/self/mounts", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "/dev/mapper/vmcrypt-%*s %1023s", where) == 1)
			umount2(where, 0);
	if (f)
		fclose(f);
}

static bool is_suspended(const char *name)
{
	char command[256], state[16] = "";
	FILE *f;

	snprintf(command, sizeof(command), "dmsetup info -c --noheadings -o suspended '%s'", name);
	f = popen(command, "re");
	if (f && !fgets(state, sizeof(state), f))
		state[0] = '\0';
	if (f)
		pclose(f);
	return !strncmp(state, "Suspended", 9);
}

/* What waits in a suspended mapping is lost when a host goes down; here it must not wait for ever. */
static void drop_waiting(void)
{
	struct vmc_error err = VMC_ERROR_INIT;
	char command[256], **names;
	size_t i, n;

	must(dm_list("vmcrypt-", &names, &n, &err), &err);
	for (i = 0; i < n; i++) {
		snprintf(command, sizeof(command), "dmsetup wipe_table --noflush '%s'", names[i]);
		if (is_suspended(names[i]) && system(command))
			abort();
		free(names[i]);
	}
	free(names);
}

static void close_all(void)
{
	struct vmc_error err = VMC_ERROR_INIT;
	char **names;
	size_t i, n;

	must(dm_list("vmcrypt-", &names, &n, &err), &err);
	for (i = 0; i < n; i++) {
		must(dm_crypt_close(names[i], &err), &err);
		free(names[i]);
	}
	free(names);
}

static void forget_keys(void)
{
	struct vmk *k = platform_kernel();
	struct vmc_error err = VMC_ERROR_INIT;
	struct vmk_kek *keks;
	struct vmk_vm *vms;
	size_t i, n;

	must(vmk_vm_list(k, &vms, &n, &err), &err);
	for (i = 0; i < n; i++)
		must(vmk_vm_del(k, &vms[i].id, true, &err), &err);
	free(vms);
	must(vmk_kek_list(k, &keks, &n, &err), &err);
	for (i = 0; i < n; i++)
		must(vmk_kek_del(k, keks[i].id, true, &err), &err);
	free(keks);
}

void platform_reboot(void)
{
	if (held >= 0)
		close(held);
	held = -1;
	drop_waiting();
	unmount_all();
	close_all();
	forget_keys();
}

void platform_hold(const char *mapping, bool hold)
{
	char device[PATH_MAX];

	device_of_mapping(mapping, device);
	if (hold)
		held = open(device, O_RDONLY | O_CLOEXEC);
	else
		close(held);
	if (!hold)
		held = -1;
}

size_t platform_mappings(void)
{
	struct vmc_error err = VMC_ERROR_INIT;
	char **names;
	size_t i, n;

	must(dm_list("vmcrypt-", &names, &n, &err), &err);
	for (i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return n;
}
