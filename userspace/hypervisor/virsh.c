// SPDX-License-Identifier: GPL-2.0-or-later
/* What virsh(1) prints, to struct: pure. */
#include "virsh.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/util.h"

/* What stands after "KEY:" at the begin of a line, without blanks. False: no such line. */
static bool find_value(const char *text, const char *key, char *out, size_t size)
{
	size_t n = strlen(key), len;

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, n) || line[n] != ':')
			continue;
		line += n + 1;
		line += strspn(line, " \t");
		len = strcspn(line, "\n");
		while (len && (line[len - 1] == ' ' || line[len - 1] == '\t'))
			len--;
		snprintf(out, size, "%.*s", (int)(len < 255 ? len : 255), line);
		return true;
	}
	return false;
}

/* "1.500 GiB", "12 KiB/s", "300 ms"; 0 what is none. */
static uint64_t find_amount(const char *text, const char *key)
{
	static const char units[] = "BKMGTP";
	char value[64] = "", *end;
	const char *unit;
	double v;

	if (!find_value(text, key, value, sizeof(value)))
		return 0;
	v = strtod(value, &end);
	end += strspn(end, " ");
	unit = *end ? strchr(units, *end) : NULL;
	for (const char *u = units; unit && u < unit; u++)
		v *= 1024;
	return v > 0 && v < 1e18 ? (uint64_t)v : 0;
}

int virsh_parse_domain(const char *text, struct virsh_domain *d, struct vmc_error *err)
{
	char state[64] = "", persistent[8] = "";
	vmc_uuid u;

	memset(d, 0, sizeof(*d));
	if (!find_value(text, "Name", d->name, sizeof(d->name)) || !find_value(text, "UUID", d->id, sizeof(d->id)) ||
	    vmc_uuid_parse(d->id, &u) || !find_value(text, "State", state, sizeof(state)))
		return vmc_fail(err, VMC_EPROTO, "virsh tells of a domain without name, UUID or state");
	vmc_uuid_format(&u, d->id);
	find_value(text, "Persistent", persistent, sizeof(persistent));
	d->running = !strcmp(state, "running") || !strcmp(state, "idle");
	d->active = strcmp(state, "shut off") && strcmp(state, "crashed");
	d->persistent = !strcmp(persistent, "yes");
	d->memory = find_amount(text, "Max memory");
	return 0;
}

static int take_disk(const char *line, struct hv_info *info, struct vmc_error *err)
{
	char type[16], device[16], target[64], source[1024] = "";
	struct hv_disk *d;

	if (sscanf(line, " %15s %15s %63s %1023[^\n]", type, device, target, source) < 4 || strcmp(device, "disk"))
		return 0;
	if (info->n == HV_DISKS_MAX)
		return vmc_fail(err, VMC_ENOTSUP, "VM '%s' has more than %d disks", info->name, HV_DISKS_MAX);
	d = &info->disks[info->n++];
	snprintf(d->name, sizeof(d->name), "%s", target);
	snprintf(d->path, sizeof(d->path), "%s", strcmp(source, "-") ? source : "");
	return 0;
}

int virsh_parse_disks(const char *text, struct hv_info *info, struct vmc_error *err)
{
	int r = 0;

	info->n = 0;
	for (const char *line = text; line && !r; line = strchr(line, '\n')) {
		line += *line == '\n';
		r = take_disk(line, info, err);
	}
	return r;
}

void virsh_parse_job(const char *text, struct virsh_job *j)
{
	char value[64] = "";

	memset(j, 0, sizeof(*j));
	j->done = find_amount(text, "Data processed");
	j->remaining = find_amount(text, "Data remaining");
	j->total = find_amount(text, "Data total");
	j->disks = find_amount(text, "File processed");
	j->disks_remaining = find_amount(text, "File remaining");
	j->memory = j->done - (j->disks < j->done ? j->disks : j->done);
	j->rate = find_amount(text, "Memory bandwidth");
	if (find_value(text, "Total downtime", value, sizeof(value)) ||
	    find_value(text, "Expected downtime", value, sizeof(value)))
		j->downtime_ms = strtoull(value, NULL, 10);
}

void virsh_parse_version(const char *text, char version[32])
{
	char value[64] = "", *at;

	version[0] = '\0';
	if (!find_value(text, "Running hypervisor", value, sizeof(value)))
		return;
	at = strrchr(value, ' ');
	snprintf(version, 32, "%.31s", at ? at + 1 : value);
}
