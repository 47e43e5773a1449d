// SPDX-License-Identifier: GPL-2.0-or-later
/* The driver for domains of libvirt, by virsh(1). libvirt itself sees to both ends: an end that failed leaves all as it was. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/child.h"
#include "../lib/util.h"
#include "hypervisor.h"
#include "virsh.h"

#define VIRSH		"virsh"
#define DEFAULT_URI	"qemu:///system"
#define ASK_MS		30000
#define LOOK_MS		500	/* from one look at the job to the next */
#define SETTLE_MS	60000	/* from an end that was asked for to the end */
#define ARGS_MAX	32

struct libvirt {
	struct hypervisor h;	/* first */
	char domain[256], uri[256];
	struct child ask;	/* short ones, one at a time */
	struct child migrate;
};

static struct libvirt *libvirt_of(struct hypervisor *h)
{
	return (struct libvirt *)h;
}

/* ---- what there is ------------------------------------------------------------ */

/* virsh @command --domain ...; its answer is in l->ask.out. */
static int ask(struct libvirt *l, const char *command, const char *option, struct vmc_error *err)
{
	const char *argv[] = { VIRSH, "-q", "-c", l->uri, command, "--domain", l->domain, option, NULL };

	return child_run(&l->ask, argv, ASK_MS, err);
}

/* virsh has one status for all that goes wrong, and English words, for it is run so. */
static int no_domain(struct libvirt *l, int r, struct vmc_error *err)
{
	if (r != VMC_EIO || !strstr(l->ask.said, "failed to get domain"))
		return vmc_prefix(err, "VM '%s': ", l->domain);
	vmc_fail(err, VMC_ENOENT, "libvirt at '%s' knows no domain '%s'", l->uri, l->domain);
	vmc_hint(err, "virsh -c %s list --all shows those there are", l->uri);
	return VMC_ENOENT;
}

static int ask_domain(struct libvirt *l, struct virsh_domain *d, struct vmc_error *err)
{
	int r = ask(l, "dominfo", NULL, err);

	return r ? no_domain(l, r, err) : virsh_parse_domain(l->ask.out, d, err);
}

static int ask_version(struct libvirt *l, char version[32], struct vmc_error *err)
{
	const char *argv[] = { VIRSH, "-q", "-c", l->uri, "version", NULL };
	int r = child_run(&l->ask, argv, ASK_MS, err);

	if (!r)
		virsh_parse_version(l->ask.out, version);
	return r;
}

void libvirt_user(uid_t *uid, gid_t *gid)
{
	static const char *const names[] = { "libvirt-qemu", "qemu" };
	const struct passwd *pw = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(names) && !pw; i++)
		pw = getpwnam(names[i]);
	*uid = pw ? pw->pw_uid : 0;
	*gid = pw ? pw->pw_gid : 0;
}

static int probe(struct libvirt *l, struct hv_info *info, struct vmc_error *err)
{
	struct virsh_domain d = { 0 };
	int r;

	r = ask_domain(l, &d, err);
	if (r)
		return r;
	memcpy(info->name, d.name, sizeof(info->name));
	memcpy(info->id, d.id, sizeof(info->id));
	info->active = d.active;
	info->running = d.running;
	info->memory = d.memory;
	info->supports_parallel = info->supports_postcopy = true;
	libvirt_user(&info->uid, &info->gid);
	r = ask(l, "domblklist", "--details", err);
	if (!r)
		r = virsh_parse_disks(l->ask.out, info, err);
	if (!r)
		r = ask_version(l, info->version, err);
	if (r)
		return r;
	info->parallel_postcopy = strtol(info->version, NULL, 10) >= 11;
	info->definition = json_pack("{s:s, s:s, s:s}", "driver", "libvirt", "name", d.name, "id", d.id);
	return info->definition ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory to describe a VM");
}

static int libvirt_probe(struct hypervisor *h, struct hv_info *info, struct vmc_error *err)
{
	int r;

	memset(info, 0, sizeof(*info));
	r = probe(libvirt_of(h), info, err);
	if (r)
		hv_info_clear(info);
	return r;
}

/* ---- destination -------------------------------------------------------------- */

static const char *libvirt_socket(void)
{
	static const char *const paths[] = { "/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock" };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (!access(paths[i], F_OK))
			return paths[i];
	return NULL;
}

static int libvirt_incoming(struct hypervisor *h, const struct hv_incoming *in, struct hv_ready *ready,
			    struct vmc_error *err)
{
	struct libvirt *l = libvirt_of(h);
	const char *control = libvirt_socket();
	struct virsh_domain d = { 0 };
	int r;

	memset(ready, 0, sizeof(*ready));
	if (!control) {
		vmc_fail(err, VMC_ENOENT, "libvirt does not listen on this host");
		vmc_hint(err, "systemctl start libvirtd.socket");
		return VMC_ENOENT;
	}
	r = ask_domain(l, &d, err);
	if (!r && d.active)
		return vmc_fail(err, VMC_ESTATE, "a domain '%s' runs on this host already", l->domain);
	if (r && r != VMC_ENOENT)
		return r;
	if (strlen(in->dir) + sizeof(HV_SOCKET_MEMORY) + 1 > HV_SOCKET_PATH_MAX)
		return vmc_fail(err, VMC_EINVAL, "the path '%s' is too long for sockets", in->dir);
	snprintf(ready->path[HV_CONTROL], HV_SOCKET_PATH_MAX, "%s", control);
	snprintf(ready->path[HV_MEMORY], HV_SOCKET_PATH_MAX, "%s/%s", in->dir, HV_SOCKET_MEMORY);
	if (in->copy_storage)
		snprintf(ready->path[HV_DISKS], HV_SOCKET_PATH_MAX, "%s/%s", in->dir, HV_SOCKET_DISKS);
	return 0;
}

/* ---- source ------------------------------------------------------------------- */

struct run {
	struct libvirt *l;
	const struct hv_outgoing *out;
	struct hv_result *result;
	uint64_t began;
	const char *argv[ARGS_MAX];
	unsigned int n;
	char uri[320], memory[160], disks[160], parallel[16], bandwidth[32];
};

static void arg(struct run *run, const char *a)
{
	if (run->n < ARGS_MAX - 1)
		run->argv[run->n++] = a;
}

static void compose(struct run *run, const struct virsh_domain *d)
{
	const struct hv_outgoing *out = run->out;

	snprintf(run->uri, sizeof(run->uri), "qemu+unix:///system?socket=%s/%s", out->dir, HV_SOCKET_CONTROL);
	snprintf(run->memory, sizeof(run->memory), "unix://%s/%s", out->dir, HV_SOCKET_MEMORY);
	snprintf(run->disks, sizeof(run->disks), "unix://%s/%s", out->dir, HV_SOCKET_DISKS);
	snprintf(run->parallel, sizeof(run->parallel), "%u", out->parallel);
	snprintf(run->bandwidth, sizeof(run->bandwidth), "%llu", (unsigned long long)(out->bandwidth >> 20) + 1);
	for (const char *const *a = (const char *const[]){ VIRSH, "-q", "-c", run->l->uri, "migrate", "--live",
							   "--abort-on-error", "--domain", run->l->domain, "--desturi",
							   run->uri, "--migrateuri", run->memory, NULL }; *a; a++)
		arg(run, *a);
	if (d->persistent) {
		arg(run, "--persistent");
		arg(run, "--undefinesource");
	}
	if (out->parallel) {
		arg(run, "--parallel");
		arg(run, "--parallel-connections");
		arg(run, run->parallel);
	}
	if (out->postcopy) {
		arg(run, "--postcopy");
		arg(run, "--postcopy-after-precopy");
	}
	if (out->copy_storage) {
		arg(run, "--copy-storage-all");
		arg(run, "--disks-uri");
		arg(run, run->disks);
	}
	if (out->bandwidth) {
		arg(run, "--bandwidth");
		arg(run, run->bandwidth);
	}
}

/* How far it is. That it cannot be learnt is no failure: it may have ended just now. */
static void look(struct run *run)
{
	const struct hv_outgoing *out = run->out;
	struct virsh_job j;
	struct hv_progress p = { 0 };

	if (ask(run->l, "domjobinfo", NULL, NULL))
		return;
	virsh_parse_job(run->l->ask.out, &j);
	if (!j.total)
		return;
	/* Disks come first, and go on to be kept the same while memory is sent. */
	p.phase = j.disks_remaining && !j.memory ? "disks" : "memory";
	p.done = j.total - (j.remaining < j.total ? j.remaining : j.total);
	p.total = j.total;
	p.rate = j.rate;
	p.downtime_ms = j.downtime_ms;
	run->result->bytes = j.memory;
	run->result->disk_bytes = j.disks;
	run->result->downtime_ms = j.downtime_ms;
	if (out->report)
		out->report(&p, out->data);
}

/* Cancel it, and wait for what comes of that. */
static void stop(struct run *run)
{
	ask(run->l, "domjobabort", NULL, NULL);
	child_wait(&run->l->migrate, SETTLE_MS, NULL);
	child_end(&run->l->migrate);
}

static int follow(struct run *run, struct vmc_error *err)
{
	const struct hv_outgoing *out = run->out;
	struct libvirt *l = run->l;
	int r;

	for (;;) {
		r = child_wait(&l->migrate, LOOK_MS, err);
		if (r || l->migrate.ended)
			return r;
		if (out->cancel && atomic_load(out->cancel)) {
			stop(run);
			return vmc_fail(err, VMC_ECANCELED, "the migration of VM '%s' was canceled", l->domain);
		}
		if (out->deadline_ms && vmc_now_ms() - run->began >= out->deadline_ms) {
			stop(run);
			return vmc_fail(err, VMC_ETIMEDOUT, "the migration of VM '%s' was given up: it took longer than %llu s",
					l->domain, (unsigned long long)out->deadline_ms / 1000);
		}
		look(run);
	}
}

static int libvirt_outgoing(struct hypervisor *h, const struct hv_outgoing *out, struct hv_result *result,
			    struct vmc_error *err)
{
	struct run run = { .l = libvirt_of(h), .out = out, .result = result, .began = vmc_now_ms() };
	struct virsh_domain d = { 0 };
	int r;

	memset(result, 0, sizeof(*result));
	r = ask_domain(run.l, &d, err);
	if (r)
		return r;
	compose(&run, &d);
	r = child_start(&run.l->migrate, &(struct child_setup){ .argv = run.argv }, err);
	if (r)
		return r;
	r = follow(&run, err);
	child_end(&run.l->migrate);
	if (!r)
		r = child_verdict(&run.l->migrate, err);
	result->total_ms = vmc_now_ms() - run.began;
	/* It may have been through when it was canceled. */
	if (r && run.l->migrate.ended && !child_verdict(&run.l->migrate, NULL))
		return 0;
	return r ? vmc_prefix(err, "VM '%s' was not migrated: ", run.l->domain) : 0;
}

/* libvirt has done, or undone, all that is to be by then. */
static int libvirt_finish(struct hypervisor *h, bool ok, struct vmc_error *err)
{
	(void)h, (void)ok, (void)err;
	return 0;
}

static void libvirt_close(struct hypervisor *h)
{
	free(libvirt_of(h));
}

static const struct hypervisor_ops libvirt_ops = {
	.name = "libvirt",
	.probe = libvirt_probe,
	.incoming = libvirt_incoming,
	.outgoing = libvirt_outgoing,
	.finish = libvirt_finish,
	.close = libvirt_close,
};

int libvirt_open(struct hypervisor **h, const char *domain, const char *uri, struct vmc_error *err)
{
	struct libvirt *l;

	*h = NULL;
	uri = uri ? uri : DEFAULT_URI;
	if (!*domain || strlen(domain) >= sizeof(l->domain) || strlen(uri) >= sizeof(l->uri))
		return vmc_fail(err, VMC_EINVAL, "'%.80s' is no name of a domain", domain);
	l = calloc(1, sizeof(*l));
	if (!l)
		return vmc_fail(err, VMC_ENOMEM, "no memory for libvirt's driver");
	l->h.ops = &libvirt_ops;
	snprintf(l->domain, sizeof(l->domain), "%s", domain);
	snprintf(l->uri, sizeof(l->uri), "%s", uri);
	*h = &l->h;
	return 0;
}
