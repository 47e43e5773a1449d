// SPDX-License-Identifier: GPL-2.0-or-later
/* The driver for a plain QEMU: the destination. */
#include <stdio.h>
#include <string.h>

#include "../lib/util.h"
#include "qemu_priv.h"

static int make_path(char path[HV_SOCKET_PATH_MAX], const char *dir, enum hv_socket kind, struct vmc_error *err)
{
	int n = snprintf(path, HV_SOCKET_PATH_MAX, "%s/%s", dir, hv_socket_name(kind));

	return n < (int)HV_SOCKET_PATH_MAX ? 0 : vmc_fail(err, VMC_EINVAL, "the path '%s' is too long for sockets", dir);
}

static const struct hv_disk *find_disk(const struct hv_info *info, const char *name)
{
	for (unsigned int i = 0; i < info->n; i++)
		if (!strcmp(info->disks[i].name, name))
			return &info->disks[i];
	return NULL;
}

static int check_disk(struct qemu *m, const struct hv_info *info, const json_t *want, bool copy, struct vmc_error *err)
{
	const char *name = json_string_value(json_object_get(want, "name"));
	uint64_t size = (uint64_t)json_integer_value(json_object_get(want, "size"));
	const struct hv_disk *d = name ? find_disk(info, name) : NULL;

	if (!name)
		return vmc_fail(err, VMC_EINVAL, "a disk of the VM that is to come has no name");
	if (!d || d->read_only) {
		vmc_fail(err, VMC_EINVAL, "the QEMU of VM '%s' that waits here has no disk '%s' to write to", m->vm, name);
		vmc_hint(err, "start it with the same -drive and -device options as the source");
		return VMC_EINVAL;
	}
	if (!copy || d->size == size)
		return 0;
	vmc_fail(err, VMC_EINVAL, "disk '%s' has %llu bytes here and %llu on the source", name,
		 (unsigned long long)d->size, (unsigned long long)size);
	vmc_hint(err, "make the image that is to receive it as large as the source's: qemu-img create -f raw '%s' %llu",
		 d->path, (unsigned long long)size);
	return VMC_EINVAL;
}

static int check_definition(struct qemu *m, const struct hv_info *info, const struct hv_incoming *in,
			    struct vmc_error *err)
{
	const char *driver = json_string_value(json_object_get(in->definition, "driver"));
	const json_t *memory = json_object_get(in->definition, "memory"), *d;
	const json_t *disks = json_object_get(in->definition, "disks");
	size_t i;
	int r;

	if (!driver || strcmp(driver, "qemu") || !json_is_integer(memory) || !json_is_array(disks))
		return vmc_fail(err, VMC_EINVAL, "what is to come is no VM of a plain QEMU");
	if ((uint64_t)json_integer_value(memory) != info->memory) {
		vmc_fail(err, VMC_EINVAL, "the QEMU of VM '%s' that waits here has %llu bytes of memory, the source %llu",
			 m->vm, (unsigned long long)info->memory, (unsigned long long)json_integer_value(memory));
		vmc_hint(err, "start it with the same -m option as the source");
		return VMC_EINVAL;
	}
	json_array_foreach(disks, i, d) {
		r = check_disk(m, info, d, in->copy_storage, err);
		if (r)
			return r;
	}
	return 0;
}

static int check(struct qemu *m, const struct hv_info *info, const struct hv_incoming *in, struct vmc_error *err)
{
	if (!info->waiting) {
		vmc_fail(err, VMC_ESTATE, "the QEMU of VM '%s' at '%s' does not wait for a migration", m->vm, m->path);
		vmc_hint(err, "start it with: -incoming defer -S");
		return VMC_ESTATE;
	}
	if (in->parallel > HV_PARALLEL_MAX)
		return vmc_fail(err, VMC_EINVAL, "%u parallel connections are more than %d", in->parallel,
				HV_PARALLEL_MAX);
	if (in->parallel && in->postcopy && !info->parallel_postcopy)
		return vmc_fail(err, VMC_ENOTSUP, "QEMU %s has no postcopy over parallel connections", info->version);
	return in->definition ? check_definition(m, info, in, err) : 0;
}

/* Node of the disk called @name, which block exports want. */
static int find_node(struct qemu *m, const char *name, char node[64], struct vmc_error *err)
{
	json_t *ret, *b;
	size_t i;
	int r;

	r = qemu_ask(m, "query-block", NULL, &ret, err);
	if (r)
		return r;
	r = VMC_ENOENT;
	json_array_foreach(ret, i, b) {
		const char *device = json_string_value(json_object_get(b, "device"));
		const char *qdev = json_string_value(json_object_get(b, "qdev"));
		const char *s = json_string_value(json_object_get(json_object_get(b, "inserted"), "node-name"));
		const char *called = device && *device ? device : qdev;

		if (!s || !called || strcmp(called, name))
			continue;
		snprintf(node, 64, "%s", s);
		r = 0;
	}
	json_decref(ret);
	return r ? vmc_fail(err, r, "VM '%s' has no disk '%s'", m->vm, name) : 0;
}

static int export_disk(struct qemu *m, const char *name, unsigned int i, struct vmc_error *err)
{
	char node[64], id[32];
	int r;

	r = find_node(m, name, node, err);
	if (r)
		return r;
	snprintf(id, sizeof(id), "vmcrypt-%u", i);
	return qemu_ask(m, "block-export-add",
			json_pack("{s:s, s:s, s:s, s:s, s:b}", "type", "nbd", "id", id, "node-name", node, "name", name,
				  "writable", true), NULL, err);
}

static int serve_disks(struct qemu *m, const struct hv_info *info, const char *path, struct vmc_error *err)
{
	int r;

	r = qemu_ask(m, "nbd-server-start",
		     json_pack("{s:{s:s, s:{s:s}}}", "addr", "type", "unix", "data", "path", path), NULL, err);
	m->nbd = !r;
	for (unsigned int i = 0; i < info->n && !r; i++)
		if (!info->disks[i].read_only)
			r = export_disk(m, info->disks[i].name, i, err);
	return r;
}

static int listen_for(struct qemu *m, const struct hv_info *info, const struct hv_incoming *in,
		      struct hv_ready *ready, struct vmc_error *err)
{
	char uri[HV_SOCKET_PATH_MAX + 8];
	int r;

	r = make_path(ready->path[HV_MEMORY], in->dir, HV_MEMORY, err);
	if (!r && in->copy_storage)
		r = make_path(ready->path[HV_DISKS], in->dir, HV_DISKS, err);
	if (!r)
		r = qemu_set_capabilities(m, in->parallel, in->postcopy, false, in->copy_storage, err);
	if (!r && in->copy_storage)
		r = serve_disks(m, info, ready->path[HV_DISKS], err);
	if (r)
		return r;
	snprintf(uri, sizeof(uri), "unix:%s", ready->path[HV_MEMORY]);
	return qemu_ask(m, "migrate-incoming", json_pack("{s:s}", "uri", uri), NULL, err);
}

int qemu_incoming(struct hypervisor *h, const struct hv_incoming *in, struct hv_ready *ready, struct vmc_error *err)
{
	struct qemu *m = qemu_of(h);
	const json_t *ran = json_object_get(in->definition, "running");
	struct hv_info info;
	int r;

	memset(ready, 0, sizeof(*ready));
	r = qemu_probe(h, &info, err);
	if (r)
		return r;
	r = check(m, &info, in, err);
	if (!r) {
		m->role = QEMU_DESTINATION;
		m->ran = !json_is_false(ran);
		r = listen_for(m, &info, in, ready, err);
	}
	if (r)
		memset(ready, 0, sizeof(*ready));
	hv_info_clear(&info);
	return r;
}
