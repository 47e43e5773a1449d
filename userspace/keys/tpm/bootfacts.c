// SPDX-License-Identifier: GPL-2.0-or-later
/* What this host knows of its own start, see bootfacts.h. */
#include "bootfacts.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/fs.h"
#include "../../lib/util.h"

#define LOADER_KEXEC	0xd	/* type_of_loader >> 4, Documentation/arch/x86/boot.rst of the kernel */
#define RECORD_MAX	4096
#define EVENT_LOG	"/sys/kernel/security/tpm0/binary_bios_measurements"

/* The first line of @name below /proc. */
static int read_proc(const char *name, char *out, size_t max, struct vmc_error *err)
{
	const char *dir = getenv("VMCRYPT_PROC_DIR");
	char path[PATH_MAX];
	char *text;
	size_t len;
	int rc;

	snprintf(path, sizeof(path), "%s/%s", dir && *dir ? dir : "/proc", name);
	rc = fs_read(path, RECORD_MAX, &text, &len, err);
	if (rc)
		return rc;
	snprintf(out, max, "%.*s", (int)strcspn(text, "\n"), text);
	free(text);
	return 0;
}

/* A machine without that file has another kind of boot protocol: its record alone tells. */
static bool loaded_by_kexec(void)
{
	char text[32];
	char *end;
	unsigned long type;

	if (read_proc("sys/kernel/bootloader_type", text, sizeof(text), NULL))
		return false;
	type = strtoul(text, &end, 10);
	return end != text && type >> 4 == LOADER_KEXEC;
}

/* ---- the record ----------------------------------------------------------- */

static void record_path(const struct vmc_config *cfg, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/tpm/boot", cfg->state_dir);
}

/* One that is not there or damaged is as good as that of a first start. */
static json_t *read_record(const struct vmc_config *cfg)
{
	char path[PATH_MAX];
	json_t *o;
	char *text;
	size_t len;

	record_path(cfg, path);
	if (fs_read(path, RECORD_MAX, &text, &len, NULL))
		return NULL;
	o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	return o;
}

static int write_record(const struct vmc_config *cfg, const struct bootfacts *f, struct vmc_error *err)
{
	char path[PATH_MAX], dir[PATH_MAX], text[160];
	int rc, n;

	record_path(cfg, path);
	snprintf(dir, sizeof(dir), "%s/tpm", cfg->state_dir);
	n = snprintf(text, sizeof(text), "{\"boot_id\": \"%s\", \"reset_count\": %u, \"quick_boot\": %s}\n", f->boot_id,
		     f->reset_count, f->quick_boot ? "true" : "false");
	rc = fs_mkdirs(dir, 0700, err);
	return rc ? rc : fs_replace(path, text, (size_t)n, 0600, err);
}

/* 1: it is this start, and what was found then holds; 0: another. @kexec: the TPM counted no start since. */
static int compare(const json_t *record, struct bootfacts *f, bool *kexec)
{
	const char *id = json_string_value(json_object_get(record, "boot_id"));
	const json_t *count = json_object_get(record, "reset_count");
	bool same_count = json_is_integer(count) && json_integer_value(count) == (json_int_t)f->reset_count;

	*kexec = false;
	if (!id || !json_is_integer(count))
		return 0;
	if (!strcmp(id, f->boot_id) && same_count) {
		f->quick_boot |= json_is_true(json_object_get(record, "quick_boot"));
		return 1;
	}
	*kexec = same_count && strcmp(id, f->boot_id);
	return 0;
}

int bootfacts_read(const struct vmc_config *cfg, const struct tpm_clock *clock, struct bootfacts *f,
		   struct vmc_error *err)
{
	json_t *record;
	vmc_uuid id;
	bool kexec;
	int same, rc;

	*f = (struct bootfacts){ .reset_count = clock->resets };
	rc = read_proc("sys/kernel/random/boot_id", f->boot_id, sizeof(f->boot_id), err);
	if (!rc && vmc_uuid_parse(f->boot_id, &id))
		rc = vmc_fail(err, VMC_EPROTO, "the kernel's boot_id '%s' is not a UUID", f->boot_id);
	if (rc)
		return rc;
	f->quick_boot = loaded_by_kexec();
	record = read_record(cfg);
	same = compare(record, f, &kexec);
	json_decref(record);
	f->quick_boot |= kexec;
	return same ? 0 : write_record(cfg, f, err);
}

int bootfacts_event_log(uint8_t **log, size_t *len, struct vmc_error *err)
{
	const char *path = getenv("VMCRYPT_EVENT_LOG");
	char *data;
	int rc;

	*log = NULL;
	if (!path || !*path)
		path = EVENT_LOG;
	rc = fs_read(path, BOOTFACTS_LOG_MAX, &data, len, err);
	if (rc == VMC_ENOENT) {
		vmc_fail(err, VMC_ENOENT, "the firmware of this host left no event log at '%s'", path);
		vmc_hint(err, "boot with the TPM turned on in the firmware setup, and see that securityfs is mounted");
	}
	if (!rc)
		*log = (uint8_t *)data;
	return rc;
}
