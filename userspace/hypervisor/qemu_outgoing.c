// SPDX-License-Identifier: GPL-2.0-or-later
/* The driver for a plain QEMU: the source. */
#include <stdio.h>
#include <string.h>

#include "../lib/util.h"
#include "qemu_priv.h"

#define NO_LIMIT (1ULL << 50)	/* bytes a second; QEMU's own default is that of a slow network */
#define PASSES_BEFORE_POSTCOPY 2	/* of all memory: it counts the one that begins */

/* One migration on its way. */
struct run {
	struct qemu *m;
	const struct hv_outgoing *out;
	struct hv_result *result;
	struct qemu_mirrors mirrors;
	uint64_t began;
	bool postcopy;			/* the guest runs on the other side: there is no way back */
	/* Anything moved last at, and what it was like then. */
	uint64_t moved;
	uint64_t mark;
	/* The last of query-migrate. */
	char status[32];
	char error[512];
	uint64_t total, remaining, sent, rate, expected, passes;
};

static uint64_t number(const json_t *o, const char *key)
{
	json_int_t v = json_integer_value(json_object_get(o, key));

	return v > 0 ? (uint64_t)v : 0;
}

static int look(struct run *run, struct vmc_error *err)
{
	const char *status, *error;
	const json_t *ram;
	json_t *ret;
	int r;

	r = qemu_ask(run->m, "query-migrate", NULL, &ret, err);
	if (r)
		return r;
	status = json_string_value(json_object_get(ret, "status"));
	error = json_string_value(json_object_get(ret, "error-desc"));
	snprintf(run->status, sizeof(run->status), "%s", status ? status : "none");
	snprintf(run->error, sizeof(run->error), "%s", error ? error : "");
	utf8_make_valid(run->error);
	ram = json_object_get(ret, "ram");
	run->total = number(ram, "total");
	run->remaining = number(ram, "remaining");
	run->sent = number(ram, "transferred");
	run->rate = (uint64_t)(json_number_value(json_object_get(ram, "mbps")) * 1e6 / 8);
	run->passes = number(ram, "dirty-sync-count");
	run->expected = number(ret, "expected-downtime");
	run->result->bytes = run->sent;
	run->result->total_ms = number(ret, "total-time");
	run->result->downtime_ms = number(ret, "downtime");
	json_decref(ret);
	return 0;
}

static bool is(const struct run *run, const char *status)
{
	return !strcmp(run->status, status);
}

static void tell(const struct run *run, const char *phase, uint64_t done, uint64_t total)
{
	struct hv_progress p = {
		.phase = phase, .done = done, .total = total, .rate = run->rate, .downtime_ms = run->expected,
	};

	if (run->out->report)
		run->out->report(&p, run->out->data);
}

static int broke_off(struct run *run, struct vmc_error *err)
{
	vmc_fail(err, VMC_EIO, "postcopy of VM '%s' broke off: its memory is on two hosts, and it waits", run->m->vm);
	vmc_hint(err, "mend the network, then recover it by QMP: migrate-recover there, migrate with resume here");
	return VMC_EIO;
}

/* What ends it from here: somebody wants so, it takes too long, nothing moves. @mark: grows while something moves. */
static int may_go_on(struct run *run, uint64_t mark, struct vmc_error *err)
{
	const struct hv_outgoing *out = run->out;
	uint64_t now = vmc_now_ms();

	if (mark != run->mark) {
		run->mark = mark;
		run->moved = now;
	}
	if (run->postcopy)
		return now - run->moved < QEMU_STALL_MS ? 0 : broke_off(run, err);
	if (out->cancel && atomic_load(out->cancel))
		return vmc_fail(err, VMC_ECANCELED, "the migration of VM '%s' was canceled", run->m->vm);
	if (out->deadline_ms && now - run->began >= out->deadline_ms) {
		vmc_fail(err, VMC_ETIMEDOUT, "the migration of VM '%s' was given up: it took longer than %llu s", run->m->vm,
			 (unsigned long long)out->deadline_ms / 1000);
		vmc_hint(err, "its guest may write faster than the network carries: try more parallel connections, or postcopy");
		return VMC_ETIMEDOUT;
	}
	if (now - run->moved < QEMU_STALL_MS)
		return 0;
	vmc_fail(err, VMC_ETIMEDOUT, "the migration of VM '%s' was given up: nothing moved for %d s", run->m->vm,
		 QEMU_STALL_MS / 1000);
	vmc_hint(err, "look at the network between the hosts");
	return VMC_ETIMEDOUT;
}

static int pause_a_little(struct run *run, struct vmc_error *err)
{
	bool came;

	return qmp_wait(run->m->q, QEMU_POLL_MS, &came, err);
}

static int copy_disks(struct run *run, struct vmc_error *err)
{
	int r;

	if (!run->out->copy_storage)
		return 0;
	r = qemu_mirrors_start(run->m, run->out->dir, &run->mirrors, err);
	while (!r) {
		r = qemu_mirrors_look(run->m, &run->mirrors, err);
		if (r)
			break;
		tell(run, "disks", run->mirrors.done, run->mirrors.total);
		if (run->mirrors.ready)
			break;
		r = may_go_on(run, run->mirrors.done, err);
		if (!r)
			r = pause_a_little(run, err);
	}
	return r;
}

static int start(struct run *run, struct vmc_error *err)
{
	const struct hv_outgoing *out = run->out;
	json_t *args = json_pack("{s:I}", "max-bandwidth", (json_int_t)(out->bandwidth ? out->bandwidth : NO_LIMIT));
	char uri[HV_SOCKET_PATH_MAX + 8];
	int r;

	if (out->downtime_ms)
		json_object_set_new(args, "downtime-limit", json_integer((json_int_t)out->downtime_ms));
	r = qemu_ask(run->m, "migrate-set-parameters", args, NULL, err);
	if (!r)
		r = qemu_set_capabilities(run->m, out->parallel, out->postcopy, true, out->copy_storage, err);
	if (r)
		return r;
	snprintf(uri, sizeof(uri), "unix:%s/%s", out->dir, HV_SOCKET_MEMORY);
	return qemu_ask(run->m, "migrate", json_pack("{s:s}", "uri", uri), NULL, err);
}

/* The guest stands still: its last writes to disks, then the rest. */
static int switch_over(struct run *run, struct vmc_error *err)
{
	int r;

	tell(run, "switchover", run->total - run->remaining, run->total);
	run->result->disk_bytes = run->mirrors.total;
	r = qemu_mirrors_end(run->m, &run->mirrors, true, err);
	if (r)
		return r;
	return qemu_ask(run->m, "migrate-continue", json_pack("{s:s}", "state", "pre-switchover"), NULL, err);
}

static int failed(struct run *run, struct vmc_error *err)
{
	if (run->error[0])
		vmc_fail(err, VMC_EIO, "the migration of VM '%s' failed: %s", run->m->vm, run->error);
	else
		vmc_fail(err, VMC_EIO, "the migration of VM '%s' failed: QEMU says no more than '%s'", run->m->vm, run->status);
	vmc_hint(err, "the other host's log, and that of its QEMU, tell more");
	return VMC_EIO;
}

/* One look at it, and what it needs. 1: there is more to come. */
static int step(struct run *run, struct vmc_error *err)
{
	int r;

	r = look(run, err);
	if (r)
		return r;
	if (is(run, "completed"))
		return 0;
	if (is(run, "failed") || is(run, "cancelled") || is(run, "none"))
		return failed(run, err);
	if (is(run, "postcopy-paused")) {
		run->postcopy = true;
		return broke_off(run, err);
	}
	if (is(run, "pre-switchover")) {
		r = switch_over(run, err);
		return r ? r : 1;
	}
	if (is(run, "postcopy-active"))
		run->postcopy = true;
	tell(run, run->postcopy ? "postcopy" : "memory", run->total - run->remaining, run->total);
	r = may_go_on(run, run->sent + run->passes, err);
	if (!r)
		r = qemu_mirrors_look(run->m, &run->mirrors, err);
	if (!r && run->out->postcopy && is(run, "active") && run->passes >= PASSES_BEFORE_POSTCOPY)
		r = qemu_ask(run->m, "migrate-start-postcopy", NULL, NULL, err);
	return r ? r : 1;
}

static int follow(struct run *run, struct vmc_error *err)
{
	int r;

	for (;;) {
		r = step(run, err);
		if (r <= 0)
			return r;
		r = pause_a_little(run, err);
		if (r)
			return r;
	}
}

static int check(struct run *run, struct vmc_error *err)
{
	const struct hv_outgoing *out = run->out;
	struct hv_info info;
	int r;

	if (out->parallel > HV_PARALLEL_MAX)
		return vmc_fail(err, VMC_EINVAL, "%u parallel connections are more than %d", out->parallel,
				HV_PARALLEL_MAX);
	r = qemu_probe(&run->m->h, &info, err);
	if (r)
		return r;
	run->m->ran = info.running;
	if (info.waiting)
		r = vmc_fail(err, VMC_ESTATE, "VM '%s' waits for a migration, and has nothing to send", run->m->vm);
	else if (out->parallel && out->postcopy && !info.parallel_postcopy)
		r = vmc_fail(err, VMC_ENOTSUP, "QEMU %s has no postcopy over parallel connections", info.version);
	hv_info_clear(&info);
	return r;
}

/* Leave QEMU as it was found. What @err says of the migration stays. */
static void undo(struct run *run, const json_t *capabilities, struct vmc_error *err)
{
	struct vmc_error more = VMC_ERROR_INIT;

	qemu_mirrors_end(run->m, &run->mirrors, false, NULL);
	if (run->postcopy)
		return;
	if (qemu_take_back(run->m, &more))
		vmc_prefix(err, "VM '%s' may be left standing (%s): ", run->m->vm, more.text);
	else if (capabilities)
		qemu_ask(run->m, "migrate-set-capabilities", json_pack("{s:O}", "capabilities", capabilities), NULL, NULL);
}

int qemu_outgoing(struct hypervisor *h, const struct hv_outgoing *out, struct hv_result *result,
		  struct vmc_error *err)
{
	uint64_t now = vmc_now_ms();
	struct run run = { .m = qemu_of(h), .out = out, .result = result, .began = now, .moved = now };
	json_t *before = NULL;
	int r;

	memset(result, 0, sizeof(*result));
	r = check(&run, err);
	if (r)
		return r;
	run.m->role = QEMU_SOURCE;
	r = qemu_ask(run.m, "query-migrate-capabilities", NULL, &before, err);
	if (!r)
		r = copy_disks(&run, err);
	if (!r)
		r = start(&run, err);
	if (!r)
		r = follow(&run, err);
	if (r)
		undo(&run, before, err);
	result->split = r && run.postcopy;
	json_decref(before);
	return r;
}
