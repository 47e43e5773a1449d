// SPDX-License-Identifier: GPL-2.0-or-later
/* The driver for a plain QEMU: what there is, and the end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/util.h"
#include "qemu_priv.h"

#define NO_UUID		"00000000-0000-0000-0000-000000000000"
#define CONNECT_MS	10000
#define POSTCOPY_WITH_PARALLEL	11	/* the first major version that can do both at once */

int qemu_odd(struct qemu *m, const char *command, struct vmc_error *err)
{
	return vmc_fail(err, VMC_EPROTO, "the QEMU at '%s' gives an answer to %s that makes no sense", m->path, command);
}

int qemu_ask(struct qemu *m, const char *command, json_t *args, json_t **ret, struct vmc_error *err)
{
	return qmp_call(m->q, command, args, ret, err);
}

int qemu_status(struct qemu *m, char status[32], struct vmc_error *err)
{
	const char *s;
	json_t *ret;
	int r;

	r = qemu_ask(m, "query-status", NULL, &ret, err);
	if (r)
		return r;
	s = json_string_value(json_object_get(ret, "status"));
	if (s)
		snprintf(status, 32, "%s", s);
	else
		r = qemu_odd(m, "query-status", err);
	json_decref(ret);
	return r;
}

/* A string member of an answer; "" when it is not there. */
static int ask_text(struct qemu *m, const char *command, const char *key, char *out, size_t size,
		    struct vmc_error *err)
{
	const char *s;
	json_t *ret;
	int r;

	r = qemu_ask(m, command, NULL, &ret, err);
	if (r)
		return r;
	s = json_string_value(json_object_get(ret, key));
	snprintf(out, size, "%s", s ? s : "");
	utf8_make_valid(out);
	json_decref(ret);
	return 0;
}

/* One of query-block, if it is a disk with something in it. */
static int take_disk(const json_t *b, struct hv_info *info)
{
	const char *name = json_string_value(json_object_get(b, "device"));
	const char *qdev = json_string_value(json_object_get(b, "qdev"));
	const json_t *in = json_object_get(b, "inserted");
	const char *file = json_string_value(json_object_get(in, "file"));
	struct hv_disk *d = &info->disks[info->n];

	if (!in)
		return 0;
	if (info->n == HV_DISKS_MAX)
		return VMC_ENOTSUP;
	snprintf(d->name, sizeof(d->name), "%s", name && *name ? name : qdev ? qdev : "");
	snprintf(d->path, sizeof(d->path), "%s", file ? file : "");
	utf8_make_valid(d->name);
	utf8_make_valid(d->path);
	d->read_only = json_is_true(json_object_get(in, "ro"));
	d->size = (uint64_t)json_integer_value(json_object_get(json_object_get(in, "image"), "virtual-size"));
	info->n++;
	return 0;
}

int qemu_disks(struct qemu *m, struct hv_info *info, struct vmc_error *err)
{
	json_t *ret, *b;
	size_t i;
	int r;

	r = qemu_ask(m, "query-block", NULL, &ret, err);
	if (r)
		return r;
	info->n = 0;
	json_array_foreach(ret, i, b) {
		r = take_disk(b, info);
		if (r) {
			vmc_fail(err, r, "VM '%s' has more than %d disks", m->vm, HV_DISKS_MAX);
			break;
		}
	}
	json_decref(ret);
	return r;
}

static int ask_memory(struct qemu *m, uint64_t *bytes, struct vmc_error *err)
{
	json_t *ret;
	int r;

	r = qemu_ask(m, "query-memory-size-summary", NULL, &ret, err);
	if (r)
		return r;
	*bytes = (uint64_t)json_integer_value(json_object_get(ret, "base-memory")) +
		 (uint64_t)json_integer_value(json_object_get(ret, "plugged-memory"));
	json_decref(ret);
	return 0;
}

static bool has_capability(const json_t *list, const char *name)
{
	const json_t *c;
	size_t i;

	json_array_foreach(list, i, c) {
		const char *s = json_string_value(json_object_get(c, "capability"));

		if (s && !strcmp(s, name))
			return true;
	}
	return false;
}

static int ask_abilities(struct qemu *m, struct hv_info *info, struct vmc_error *err)
{
	json_t *ret;
	int r;

	r = qemu_ask(m, "query-migrate-capabilities", NULL, &ret, err);
	if (r)
		return r;
	info->supports_parallel = has_capability(ret, "multifd");
	info->supports_postcopy = has_capability(ret, "postcopy-ram");
	info->parallel_postcopy = qmp_major(m->q) >= POSTCOPY_WITH_PARALLEL;
	json_decref(ret);
	return 0;
}

static int describe(struct hv_info *info, struct vmc_error *err)
{
	json_t *disks = json_array();

	for (unsigned int i = 0; i < info->n; i++)
		if (!info->disks[i].read_only)
			json_array_append_new(disks, json_pack("{s:s, s:I}", "name", info->disks[i].name, "size",
							       (json_int_t)info->disks[i].size));
	info->definition = json_pack("{s:s, s:I, s:b, s:o}", "driver", "qemu", "memory", (json_int_t)info->memory,
				     "running", info->running, "disks", disks);
	return info->definition ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory to describe a VM");
}

static int probe(struct qemu *m, struct hv_info *info, struct vmc_error *err)
{
	char status[32];
	int r;

	snprintf(info->version, sizeof(info->version), "%s", qmp_version(m->q));
	qmp_owner(m->q, &info->uid, &info->gid);
	r = qemu_status(m, status, err);
	if (r)
		return r;
	info->active = true;
	info->running = !strcmp(status, "running");
	info->waiting = !strcmp(status, "inmigrate");
	r = ask_text(m, "query-name", "name", info->name, sizeof(info->name), err);
	if (!r)
		r = ask_text(m, "query-uuid", "UUID", info->id, sizeof(info->id), err);
	if (!strcmp(info->id, NO_UUID))
		info->id[0] = '\0';
	if (!r)
		r = ask_memory(m, &info->memory, err);
	if (!r)
		r = ask_abilities(m, info, err);
	if (!r)
		r = qemu_disks(m, info, err);
	return r ? r : describe(info, err);
}

int qemu_probe(struct hypervisor *h, struct hv_info *info, struct vmc_error *err)
{
	struct qemu *m = qemu_of(h);
	int r;

	memset(info, 0, sizeof(*info));
	r = probe(m, info, err);
	if (r) {
		hv_info_clear(info);
		return r;
	}
	if (info->name[0])
		snprintf(m->vm, sizeof(m->vm), "%s", info->name);
	return 0;
}

int qemu_set_capabilities(struct qemu *m, unsigned int parallel, bool postcopy, bool source, bool disks,
			  struct vmc_error *err)
{
	const struct {
		const char *name;
		bool on;
	} want[] = {
		{ "multifd", parallel > 0 },
		{ "postcopy-ram", postcopy },
		{ "return-path", source },	/* so that the source hears whether all was taken in */
		{ "events", true },
		{ "pause-before-switchover", source && disks },
		{ "auto-converge", source && !postcopy },
	};
	json_t *list = json_array();
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		json_array_append_new(list, json_pack("{s:s, s:b}", "capability", want[i].name, "state", want[i].on));
	r = qemu_ask(m, "migrate-set-capabilities", json_pack("{s:o}", "capabilities", list), NULL, err);
	if (r || !parallel)
		return r;
	return qemu_ask(m, "migrate-set-parameters", json_pack("{s:i}", "multifd-channels", (int)parallel), NULL, err);
}

/* ---- the end ------------------------------------------------------------------ */

/* It may end before it answers. */
static int quit(struct qemu *m, struct vmc_error *err)
{
	uint64_t until = vmc_now_ms() + QEMU_SETTLE_MS;
	struct vmc_error gone = VMC_ERROR_INIT;
	bool came;
	int r;

	r = qemu_ask(m, "quit", NULL, NULL, &gone);
	while (!r && vmc_now_ms() < until)
		r = qmp_wait(m->q, QEMU_POLL_MS, &came, &gone);
	if (r == VMC_EIO)
		return 0;
	return vmc_fail(err, VMC_ETIMEDOUT, "the QEMU of VM '%s' at '%s' does not end", m->vm, m->path);
}

/* query-migrate's status; "" when there was no migration. */
static int migration_status(struct qemu *m, char status[32], struct vmc_error *err)
{
	return ask_text(m, "query-migrate", "status", status, 32, err);
}

static bool is_over(const char *status)
{
	return !*status || !strcmp(status, "none") || !strcmp(status, "completed") || !strcmp(status, "failed") ||
	       !strcmp(status, "cancelled");
}

/* It holds what it had for the migration a little longer than it says: whoever sets a capability then makes it fall over. */
static int is_tidy(struct qemu *m, bool *tidy, struct vmc_error *err)
{
	json_t *ret, *y;
	size_t i;
	int r;

	*tidy = true;
	r = qemu_ask(m, "query-yank", NULL, &ret, err);
	if (r)
		return r;
	json_array_foreach(ret, i, y) {
		const char *type = json_string_value(json_object_get(y, "type"));

		*tidy = *tidy && !(type && !strcmp(type, "migration"));
	}
	json_decref(ret);
	return 0;
}

int qemu_wait_over(struct qemu *m, char status[32], struct vmc_error *err)
{
	uint64_t until = vmc_now_ms() + QEMU_SETTLE_MS;
	bool came, tidy;
	int r;

	for (;;) {
		r = migration_status(m, status, err);
		if (!r && is_over(status)) {
			r = is_tidy(m, &tidy, err);
			if (!r && tidy)
				return 0;
		}
		if (r)
			return r;
		if (vmc_now_ms() >= until)
			return vmc_fail(err, VMC_ETIMEDOUT, "the migration of VM '%s' does not end: it is %s", m->vm, status);
		r = qmp_wait(m->q, QEMU_POLL_MS, &came, err);
		if (r)
			return r;
	}
}

/* The guest runs again if it ran. QEMU lets it go on by itself a moment after some failures, and refuses to be told then. */
static int go_on(struct qemu *m, struct vmc_error *err)
{
	uint64_t until = vmc_now_ms() + QEMU_SETTLE_MS;
	char status[32];
	bool came;
	int r;

	while (m->ran) {
		r = qemu_status(m, status, err);
		if (r || !strcmp(status, "running"))
			return r;
		if (strcmp(status, "finish-migrate"))
			return qemu_ask(m, "cont", NULL, NULL, err);
		if (vmc_now_ms() >= until)
			return vmc_fail(err, VMC_ETIMEDOUT, "VM '%s' stays in the state %s", m->vm, status);
		r = qmp_wait(m->q, QEMU_POLL_MS, &came, err);
		if (r)
			return r;
	}
	return 0;
}

int qemu_take_back(struct qemu *m, struct vmc_error *err)
{
	char status[32];
	int r;

	r = migration_status(m, status, err);
	if (r)
		return r;
	if (!is_over(status))
		r = qemu_ask(m, "migrate_cancel", NULL, NULL, err);
	if (!r)
		r = qemu_wait_over(m, status, err);
	return r ? r : go_on(m, err);
}

static int let_go(struct qemu *m, struct vmc_error *err)
{
	char status[32];
	int r;

	r = qemu_status(m, status, err);
	if (r)
		return r;
	if (strcmp(status, "postmigrate"))
		return vmc_fail(err, VMC_ESTATE, "VM '%s' has not left this host: it is %s", m->vm, status);
	return quit(m, err);
}

static int arrive(struct qemu *m, struct vmc_error *err)
{
	char status[32];
	int r;

	r = qemu_wait_over(m, status, err);
	if (r)
		return r;
	if (strcmp(status, "completed"))
		return vmc_fail(err, VMC_ESTATE, "VM '%s' has not come to this host: its migration is %s", m->vm,
				*status ? status : "none");
	if (m->nbd)
		r = qemu_ask(m, "nbd-server-stop", NULL, NULL, err);
	m->nbd = false;
	return r ? r : go_on(m, err);
}

/* By postcopy its guest may have begun to run here: whatever became of the rest of its memory, nobody else has it. */
static int give_up(struct qemu *m, struct vmc_error *err)
{
	char status[32];

	if (migration_status(m, status, NULL) || strncmp(status, "postcopy", strlen("postcopy")))
		return quit(m, err);
	vmc_fail(err, VMC_ESTATE, "VM '%s' runs on this host with part of its memory on the other, and stays (%s)", m->vm,
		 status);
	vmc_hint(err, "mend the network, then recover it by QMP: migrate-recover here, migrate with resume there");
	return VMC_ESTATE;
}

static int qemu_finish(struct hypervisor *h, bool ok, struct vmc_error *err)
{
	struct qemu *m = qemu_of(h);
	char status[32];
	int r;

	if (m->role == QEMU_IDLE) {
		r = qemu_status(m, status, err);
		if (r)
			return r;
		m->role = strcmp(status, "inmigrate") ? QEMU_SOURCE : QEMU_DESTINATION;
		m->ran = !strcmp(status, "running");
	}
	if (m->role == QEMU_SOURCE)
		return ok ? let_go(m, err) : qemu_take_back(m, err);
	return ok ? arrive(m, err) : give_up(m, err);
}

static void qemu_close(struct hypervisor *h)
{
	struct qemu *m = qemu_of(h);

	qmp_close(m->q);
	free(m);
}

static const struct hypervisor_ops qemu_ops = {
	.name = "qemu",
	.probe = qemu_probe,
	.incoming = qemu_incoming,
	.outgoing = qemu_outgoing,
	.finish = qemu_finish,
	.close = qemu_close,
};

int qemu_open(struct hypervisor **h, const char *qmp, struct vmc_error *err)
{
	struct qemu *m;
	int r;

	*h = NULL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return vmc_fail(err, VMC_ENOMEM, "no memory for QEMU's driver");
	m->h.ops = &qemu_ops;
	r = qmp_connect(&m->q, qmp, CONNECT_MS, err);
	if (r) {
		free(m);
		return r;
	}
	snprintf(m->path, sizeof(m->path), "%s", qmp);
	snprintf(m->vm, sizeof(m->vm), "%s", qmp);
	*h = &m->h;
	return 0;
}
