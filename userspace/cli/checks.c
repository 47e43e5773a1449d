// SPDX-License-Identifier: GPL-2.0-or-later
#include "checks.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/i18n.h"
#include "../lib/util.h"

void finding_add(json_t *list, const char *check, enum finding result, const char *fix,
		 const char *fmt, ...)
{
	static const char *const names[] = { "ok", "warn", "fail" };
	char *text;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&text, _(fmt), ap);
	va_end(ap);
	if (r < 0)
		return;
	json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "check", check, "result",
					      names[result], "text", text, "fix",
					      *fix ? _(fix) : ""));
	free(text);
}

size_t findings_count(const json_t *list, const char *result)
{
	const json_t *f;
	size_t i, n = 0;

	json_array_foreach(list, i, f)
		n += !strcmp(json_string_value(json_object_get(f, "result")), result);
	return n;
}

static bool there(const char *root, const char *path)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s%s", root, path);
	return !access(full, F_OK);
}

/* First line of a small file, without its newline; false when it cannot be read. */
static bool first_line(const char *root, const char *path, char *out, int n)
{
	char full[PATH_MAX];
	bool ok;
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	f = fopen(full, "re");
	if (!f)
		return false;
	ok = fgets(out, n, f);
	fclose(f);
	if (ok)
		out[strcspn(out, "\n")] = '\0';
	return ok;
}

/* Does a line of /lib/modules/RELEASE/@index name the module (in either spelling of '-')? */
static bool in_index(const char *root, const char *release, const char *index, const char *module)
{
	char path[PATH_MAX], line[4096], name[64];
	bool found = false;
	size_t i;
	FILE *f;

	snprintf(path, sizeof(path), "%s/lib/modules/%s/%s", root, release, index);
	snprintf(name, sizeof(name), "/%s.ko", module);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		/* modules.dep goes on with what the module needs */
		line[strcspn(line, ":\n")] = '\0';
		for (i = 0; line[i]; i++)
			if (line[i] == '-')
				line[i] = '_';
		found = strstr(line, name);
	}
	if (f)
		fclose(f);
	return found;
}

static void check_module(json_t *list, const char *root, const char *release)
{
	char version[64];

	if (there(root, "/sys/module/vmcrypt")) {
		if (!first_line(root, "/sys/module/vmcrypt/version", version, sizeof(version)))
			snprintf(version, sizeof(version), "%s", _("not known"));
		finding_add(list, "module", FIND_OK, "", "vmcrypt is loaded, version %s", version);
	} else if (in_index(root, release, "modules.dep", "vmcrypt")) {
		finding_add(list, "module", FIND_FAIL, "modprobe vmcrypt",
			    "vmcrypt is installed for kernel %s, but not loaded", release);
	} else {
		finding_add(list, "module", FIND_FAIL,
			    N_("apt install linux-headers-$(uname -r); then 'dkms autoinstall', or 'make install-module' in the source folder; then modprobe vmcrypt"),
			    "vmcrypt is not built for kernel %s", release);
	}
}

static void check_dm_crypt(json_t *list, const char *root, const char *release)
{
	if (there(root, "/sys/module/dm_crypt") ||
	    in_index(root, release, "modules.builtin", "dm_crypt"))
		finding_add(list, "dm-crypt", FIND_OK, "", "dm-crypt is there");
	else if (in_index(root, release, "modules.dep", "dm_crypt"))
		finding_add(list, "dm-crypt", FIND_OK, "",
			    "dm-crypt is installed and gets loaded with the first disk");
	else
		finding_add(list, "dm-crypt", FIND_FAIL,
			    N_("apt install linux-image-amd64, then boot that kernel"),
			    "kernel %s has no dm-crypt", release);
}

struct driver {
	char name[128];
	long priority;
};

/* The driver of highest priority for @algorithm in /proc/crypto. */
static bool best_driver(const char *root, const char *algorithm, struct driver *best)
{
	char path[PATH_MAX], line[256], value[128];
	struct driver d = { "", 0 };
	bool match = false, found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/crypto", root);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "name : %127s", value) == 1) {
			match = !strcmp(value, algorithm);
		} else if (sscanf(line, "driver : %127s", value) == 1) {
			snprintf(d.name, sizeof(d.name), "%s", value);
		} else if (match && sscanf(line, "priority : %127s", value) == 1) {
			d.priority = strtol(value, NULL, 10);
			if (!found || d.priority > best->priority)
				*best = d;
			found = true;
		}
	}
	if (f)
		fclose(f);
	return found;
}

/* Drivers in hardware have its name; "generic" and "aes-lib" compute in plain C. */
static bool is_software(const char *driver)
{
	return strstr(driver, "generic") || strstr(driver, "aes-lib") || strstr(driver, "aes-fixed");
}

static bool has_aes_instructions(const char *root)
{
	char path[PATH_MAX], line[8192];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/cpuinfo", root);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = (!strncmp(line, "flags", 5) || !strncmp(line, "Features", 8)) &&
			strstr(line, " aes");
	if (f)
		fclose(f);
	return found;
}

static void check_aes(json_t *list, const char *root)
{
	struct driver d;

	if (!best_driver(root, "xts(aes)", &d)) {
		if (has_aes_instructions(root))
			finding_add(list, "AES driver", FIND_OK, "",
				    "the processor has AES instructions; a driver gets loaded with the first disk");
		else
			finding_add(list, "AES driver", FIND_WARN, "cryptsetup benchmark -c aes-xts -s 512",
				    "the processor has no AES instructions: disks will be slow");
	} else if (!is_software(d.name)) {
		finding_add(list, "AES driver", FIND_OK, "", "XTS-AES by %s", d.name);
	} else if (has_aes_instructions(root)) {
		finding_add(list, "AES driver", FIND_WARN, "modprobe aesni_intel",
			    "XTS-AES by %s, although the processor has AES instructions", d.name);
	} else {
		finding_add(list, "AES driver", FIND_WARN, "cryptsetup benchmark -c aes-xts -s 512",
			    "XTS-AES by %s: the processor has no AES instructions, disks will be slow",
			    d.name);
	}
}

static void check_node(json_t *list, const char *root, const char *node, const char *fix)
{
	if (there(root, node))
		finding_add(list, node + strlen("/dev/"), FIND_OK, "", "%s is there", node);
	else
		finding_add(list, node + strlen("/dev/"), FIND_FAIL, fix, "%s is missing", node);
}

void checks_kernel(json_t *list, const char *root, const char *release)
{
	check_module(list, root, release);
	check_dm_crypt(list, root, release);
	check_aes(list, root);
	check_node(list, root, "/dev/mapper/control", "modprobe dm_mod");
	check_node(list, root, "/dev/loop-control", "modprobe loop");
}

void checks_memlock(json_t *list, const char *root, pid_t pid, size_t heap)
{
	char path[PATH_MAX], line[256], soft[32], want[32], have[32];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/%d/limits", root, (int)pid);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "Max locked memory %31s", soft) == 1;
	if (f)
		fclose(f);
	vmc_size_format(heap, want);
	if (!found) {
		finding_add(list, "locked memory", FIND_WARN, "sudo vmcrypt doctor",
			    "cannot see the limits of vmcryptd (process %d)", (int)pid);
		return;
	}
	if (!strcmp(soft, "unlimited") || strtoull(soft, NULL, 10) >= heap) {
		finding_add(list, "locked memory", FIND_OK, "", "vmcryptd may lock its %s of secure heap",
			    want);
		return;
	}
	vmc_size_format(strtoull(soft, NULL, 10), have);
	finding_add(list, "locked memory", FIND_FAIL,
		    N_("systemctl edit vmcryptd: [Service] LimitMEMLOCK=64M; then systemctl restart vmcryptd"),
		    "vmcryptd may lock %s, but its secure heap is %s", have, want);
}
