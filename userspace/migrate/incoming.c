// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VM comes to this host. Everything of one is done by the thread of its link, in the order of migrate.h; only
 * connections to the data port come from other threads.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/events.h"
#include "../lib/i18n.h"
#include "../lib/log.h"
#include "../lib/message.h"
#include "../lib/version.h"
#include "../vm/moving.h"
#include "gate.h"
#include "migrate_priv.h"
#include "prelude.h"

#define CONNECT_MS	10000
#define HYPERVISOR_MS	30000	/* for one that is started when the disks are there */
#define RETRY_MS	200

enum stage { STAGE_PREPARED, STAGE_KEYS, STAGE_STARTED, STAGE_FINISHED };

struct incoming {
	struct incoming *next;
	struct migrations *m;
	struct peer_link *link;
	enum stage stage;
	vmc_uuid id, vm;
	char id_text[VMC_UUID_STR], vm_text[VMC_UUID_STR], name[64];
	char *vm_ref, *qmp;		/* for the hypervisor */
	bool encrypted_vm;
	uint32_t kernel;		/* until the flow has it */
	struct flow *flow;
	struct watch watch;
	struct hypervisor *h;
	struct hv_ready ready;
	char dir[HV_SOCKET_PATH_MAX];
	struct vm_coming *coming;
	json_t *what;			/* of moving.h, for an encrypted VM */
	unsigned int users;		/* threads that join connections; under the migrations' lock */
};

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static bool is(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

static int nonsense(const char *what, struct vmc_error *err)
{
	return vmc_fail(err, VMC_EPROTO, "the other host's request makes no sense: %s", message_say(what));
}

/* ---- preflight --------------------------------------------------------------- */

/* Of another vmcryptd, which is trusted; still each value is looked at before it is used. */
struct wish {
	const char *vm, *name, *qmp;
	vmc_uuid uuid;
	json_int_t parallel;
	bool encrypt, postcopy, copy_storage;
	const json_t *what;
};

static int parse_wish(const json_t *p, struct wish *w, struct vmc_error *err)
{
	const json_t *parallel = json_object_get(p, "parallel"), *what = json_object_get(p, "what");

	*w = (struct wish){
		.vm = text(p, "vm"), .name = text(p, "name"), .qmp = text(p, "qmp"),
		.parallel = json_integer_value(parallel), .encrypt = is(p, "encrypt"), .postcopy = is(p, "postcopy"),
		.copy_storage = is(p, "copy_storage"), .what = json_is_object(what) ? what : NULL,
	};
	if (!w->vm || vmc_uuid_parse(w->vm, &w->uuid))
		return nonsense(N_("it names no VM"), err);
	if (!w->name || !*w->name || strlen(w->name) > 63)
		return nonsense(N_("it names no VM"), err);
	if (!json_is_integer(parallel) || w->parallel < 0 || w->parallel > HV_PARALLEL_MAX)
		return nonsense(N_("so many connections"), err);
	if (w->qmp && w->qmp[0] != '/')
		return nonsense(N_("its QMP socket is no path"), err);
	if (w->what && !w->encrypt)
		return nonsense(N_("an encrypted VM in clear"), err);
	return 0;
}

static int can_encrypt(struct migrations *m, struct vmc_error *err)
{
	struct hello h;

	hello_here(m->s.k, m->s.no_module, peers_host(m->s.peers), &h);
	if (h.module[0])
		return 0;
	vmc_fail(err, VMC_ENOMODULE, "this host cannot encrypt migrations: %s", h.cannot);
	vmc_hint(err, "modprobe vmcrypt");
	return VMC_ENOMODULE;
}

/* Whichever other QEMU is at the path that a peer names is left alone. */
static int must_wait(const char *qmp, const struct hv_info *info, struct vmc_error *err)
{
	if (!qmp || info->waiting)
		return 0;
	vmc_fail(err, VMC_ESTATE, "the QEMU at '%s' does not wait for a migration", qmp);
	vmc_hint(err, "start it like the one that runs, and with -incoming defer");
	return VMC_ESTATE;
}

/* A QEMU that is there already must be waiting; that of an encrypted VM can only be started when its disks are open. */
static int look_at_hypervisor(struct migrations *m, const struct wish *w, struct vmc_error *err)
{
	struct hypervisor *h = NULL;
	struct hv_info info;
	int rc;

	if (!w->qmp || w->what)
		return 0;
	rc = m->s.hypervisor(w->name, w->qmp, &h, err);
	if (rc)
		return rc;
	rc = h->ops->probe(h, &info, err);
	if (!rc) {
		rc = must_wait(w->qmp, &info, err);
		hv_info_clear(&info);
	}
	hypervisor_close(h);
	return rc;
}

static int on_preflight(struct migrations *m, const json_t *params, json_t **result, struct vmc_error *err)
{
	json_t *keys = NULL;
	struct wish w;
	int rc = parse_wish(params, &w, err);

	if (!rc && w.encrypt)
		rc = can_encrypt(m, err);
	if (!rc && w.what)
		rc = vmm_come_check(m->s.m, w.what, &keys, err);
	if (!rc)
		rc = look_at_hypervisor(m, &w, err);
	if (rc) {
		json_decref(keys);
		return rc;
	}
	*result = json_pack("{s:o, s:s, s:i}", "keys", keys ? keys : json_array(), "address", m->s.cfg->migration_address,
			    "port", (int)m->data_port);
	return 0;
}

/* ---- prepare ------------------------------------------------------------------ */

static void incoming_free(struct incoming *in)
{
	flow_free(in->flow);
	if (in->kernel)
		vmk_migration_del(in->m->s.k, in->kernel, true, NULL);
	hypervisor_close(in->h);
	if (in->dir[0])
		gate_dir_remove(in->dir);
	json_decref(in->what);
	free(in->vm_ref);
	free(in->qmp);
	free(in);
}

static int agree(struct incoming *in, const json_t *params, uint8_t public_key[VMK_PUBLIC_LEN], struct vmc_error *err)
{
	const char *key = text(params, "public_key"), *policy = text(params, "policy"), *version = text(params, "version");
	uint8_t theirs[VMK_PUBLIC_LEN], bytes[PEER_EXPORT_LEN];
	char own[CERT_FINGERPRINT];
	struct binding b = {
		.source = peer_fingerprint(in->link), .destination = own, .id = in->id_text, .vm = in->vm_text, .policy = policy,
		.versions = { version, VMC_VERSION },
	};
	enum migration_encryption p;
	size_t n = 0;
	int rc;

	if (!key || vmc_base64_decode(key, theirs, sizeof(theirs), &n) || n != sizeof(theirs) || !version || !policy ||
	    migration_encryption_parse(policy, &p, NULL) || p == MIGRATION_DISABLED)
		return nonsense(N_("no public key, version or policy"), err);
	peers_fingerprint(in->m->s.peers, own);
	rc = vmk_migration_new(in->m->s.k, &in->vm, VMK_DESTINATION, (enum vmk_policy)p, &in->kernel, public_key, err);
	if (!rc)
		rc = binding_make(in->link, &b, bytes, err);
	return rc ? rc : vmk_migration_agree(in->m->s.k, in->kernel, theirs, bytes, sizeof(bytes), err);
}

static int fill(struct incoming *in, const json_t *params, const struct wish *w, struct vmc_error *err)
{
	const char *id = text(params, "id");

	if (!id || vmc_uuid_parse(id, &in->id))
		return nonsense(N_("it has no id"), err);
	vmc_uuid_format(&in->id, in->id_text);
	in->vm = w->uuid;
	vmc_uuid_format(&in->vm, in->vm_text);
	snprintf(in->name, sizeof(in->name), "%s", w->name);
	in->encrypted_vm = w->what;
	in->what = json_incref((json_t *)w->what);
	in->vm_ref = strdup(w->name);
	in->qmp = w->qmp ? strdup(w->qmp) : NULL;
	return !in->vm_ref || (w->qmp && !in->qmp) ? vmc_fail(err, VMC_ENOMEM, "no memory for a migration") : 0;
}

/* At most one of a VM at a time. */
static int list(struct incoming *in, struct vmc_error *err)
{
	struct migrations *m = in->m;
	bool twice = false;

	pthread_mutex_lock(&m->lock);
	for (struct incoming *x = m->coming; x; x = x->next)
		twice |= vmc_uuid_equal(&x->id, &in->id) || vmc_uuid_equal(&x->vm, &in->vm);
	if (!twice) {
		in->next = m->coming;
		m->coming = in;
	}
	pthread_mutex_unlock(&m->lock);
	return twice ? vmc_fail(err, VMC_EBUSY, "VM '%s' is coming to this host already", in->name) : 0;
}

static void unlist(struct incoming *in)
{
	struct migrations *m = in->m;
	struct incoming **at;

	pthread_mutex_lock(&m->lock);
	for (at = &m->coming; *at && *at != in; at = &(*at)->next)
		;
	if (*at)
		*at = in->next;
	while (in->users)
		pthread_cond_wait(&m->changed, &m->lock);
	pthread_mutex_unlock(&m->lock);
}

static int on_prepare(struct migrations *m, struct peer_link *link, const json_t *params, json_t **result,
		      struct vmc_error *err)
{
	char key[2 * VMK_PUBLIC_LEN] = "";
	uint8_t public_key[VMK_PUBLIC_LEN];
	struct incoming *in;
	struct wish w;
	int rc = parse_wish(params, &w, err);

	if (!rc && *peer_slot(link))
		rc = nonsense(N_("another migration over the same link"), err);
	if (rc)
		return rc;
	in = calloc(1, sizeof(*in));
	if (!in)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a migration");
	in->m = m;
	in->link = link;
	rc = fill(in, params, &w, err);
	if (!rc && w.encrypt)
		rc = can_encrypt(m, err);
	if (!rc && w.encrypt)
		rc = agree(in, params, public_key, err);
	if (!rc)
		rc = flow_new(&in->flow, m->s.k, in->kernel, err);
	if (!rc) {
		in->kernel = 0;
		rc = list(in, err);
	}
	if (rc) {
		incoming_free(in);
		return rc;
	}
	migrate_watch(m, &in->watch, in->flow);
	*peer_slot(link) = in;
	if (w.encrypt)
		vmc_base64_encode(public_key, sizeof(public_key), key);
	*result = json_pack("{s:s}", "public_key", key);
	return 0;
}

/* ---- keys, start --------------------------------------------------------------- */

static int on_keys(struct incoming *in, const json_t *params, struct vmc_error *err)
{
	const json_t *sealed = json_object_get(params, "sealed");
	int rc;

	if (in->stage != STAGE_PREPARED || !in->encrypted_vm || !json_is_array(sealed))
		return nonsense(N_("keys at this point"), err);
	rc = vmm_come_begin(in->m->s.m, in->what, sealed, flow_kernel(in->flow), &in->coming, err);
	if (!rc)
		in->stage = STAGE_KEYS;
	return rc;
}

/* One of an encrypted VM is started when its disks are there. */
static int open_hypervisor(struct incoming *in, struct vmc_error *err)
{
	uint64_t deadline = vmc_now_ms() + (in->encrypted_vm && in->qmp ? HYPERVISOR_MS : 0);
	int rc;

	for (;;) {
		rc = in->m->s.hypervisor(in->vm_ref, in->qmp, &in->h, err);
		if (rc != VMC_ENOENT || vmc_now_ms() >= deadline)
			return rc;
		usleep(RETRY_MS * 1000);	/* it listens when it is ready; nothing tells when that is */
	}
}

/* A domain need not be there: libvirt brings it. Its QEMU will be of that user. */
static int look(struct incoming *in, struct hv_info *info, struct vmc_error *err)
{
	int rc = in->h->ops->probe(in->h, info, err);

	if (!rc) {
		rc = must_wait(in->qmp, info, err);
		if (rc)
			hv_info_clear(info);
	}
	if (rc != VMC_ENOENT || in->qmp)
		return rc;
	memset(info, 0, sizeof(*info));
	libvirt_user(&info->uid, &info->gid);
	return 0;
}

static json_t *kinds(const struct hv_ready *r)
{
	json_t *list = json_array();

	for (int i = 0; i < HV_SOCKETS; i++)
		if (r->path[i][0])
			json_array_append_new(list, json_integer(i));
	return list;
}

static int on_start(struct incoming *in, const json_t *params, json_t **result, struct vmc_error *err)
{
	struct hv_incoming hv = { .dir = in->dir, .definition = json_object_get(params, "definition") };
	struct hv_ready ready;
	struct hv_info info;
	struct wish w;
	int rc = parse_wish(params, &w, err);

	if (!rc && (in->h || in->stage > STAGE_KEYS || (in->encrypted_vm && in->stage != STAGE_KEYS)))
		rc = nonsense(N_("a start at this point"), err);
	if (!rc)
		rc = open_hypervisor(in, err);
	if (!rc)
		rc = look(in, &info, err);
	if (rc) {
		hypervisor_close(in->h);
		in->h = NULL;
		return rc;
	}
	hv.parallel = (unsigned int)w.parallel;
	hv.postcopy = w.postcopy;
	hv.copy_storage = w.copy_storage;
	if (!json_is_object(hv.definition))
		hv.definition = NULL;
	rc = gate_dir_make(in->m->s.cfg->runtime_dir, &in->id, in->dir, sizeof(in->dir), err);
	if (!rc)
		rc = gate_dir_share(in->dir, info.uid, err);
	hv_info_clear(&info);
	if (!rc)
		rc = in->h->ops->incoming(in->h, &hv, &ready, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&in->m->lock);
	in->ready = ready;
	in->stage = STAGE_STARTED;	/* connections are taken from now on */
	pthread_mutex_unlock(&in->m->lock);
	*result = json_pack("{s:o}", "sockets", kinds(&ready));
	return 0;
}

/* ---- connections ----------------------------------------------------------------- */

static int answer(int wire, uint8_t byte, struct vmc_error *err)
{
	if (send(wire, &byte, 1, MSG_NOSIGNAL) == 1)
		return 0;
	return vmc_fail_errno(err, errno, "the other host does not listen any more");
}

static int join(struct incoming *in, enum hv_socket kind, uint32_t number, int wire, struct vmc_error *err)
{
	int plain = -1, rc;

	if (in->ready.path[kind][0])
		rc = gate_connect(in->ready.path[kind], vmc_now_ms() + CONNECT_MS, &plain, err);
	else
		rc = vmc_fail(err, VMC_EPROTO, "the hypervisor of VM '%s' waits for no '%s'", in->name, hv_socket_name(kind));
	if (!rc)
		rc = answer(wire, PRELUDE_TAKEN, err);
	if (!rc)
		return flow_join(in->flow, number, wire, plain, err);
	answer(wire, PRELUDE_REFUSED, NULL);
	close(wire);
	if (plain >= 0)
		close(plain);
	return rc;
}

int incoming_join(struct migrations *m, const vmc_uuid *migration, enum hv_socket kind, uint32_t number, int wire,
		  struct vmc_error *err)
{
	struct incoming *in;
	int rc;

	pthread_mutex_lock(&m->lock);
	for (in = m->coming; in && !vmc_uuid_equal(&in->id, migration); in = in->next)
		;
	if (in && in->stage == STAGE_STARTED)
		in->users++;
	else
		in = NULL;
	pthread_mutex_unlock(&m->lock);
	if (!in) {
		answer(wire, PRELUDE_REFUSED, NULL);
		close(wire);
		return vmc_fail(err, VMC_ENOENT, "it is of no migration that is expected");
	}
	rc = join(in, kind, number, wire, err);
	pthread_mutex_lock(&m->lock);
	in->users--;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

/* ---- the end ------------------------------------------------------------------------ */

static void tell_arrived(struct incoming *in)
{
	bool encrypted = flow_encrypted(in->flow);
	json_t *d = json_pack("{s:s, s:s, s:b}", "peer", peer_name(in->link), "name", in->name, "encrypted", encrypted);

	if (encrypted)
		vmm_emit(in->m->s.m, VMM_EV_VM_ARRIVED, VMC_MSG_VM_ARRIVED, in->vm_text, d,
			 "VM '%s' came from host '%s', encrypted", in->name, peer_name(in->link));
	else
		vmm_emit(in->m->s.m, VMM_EV_VM_ARRIVED, VMC_MSG_VM_ARRIVED, in->vm_text, d,
			 "VM '%s' came from host '%s', not encrypted", in->name, peer_name(in->link));
}

static int on_finish(struct incoming *in, struct vmc_error *err)
{
	int rc;

	if (in->stage != STAGE_STARTED)
		return nonsense(N_("an end at this point"), err);
	rc = flow_broken(in->flow, err);
	if (!rc)
		rc = in->h->ops->finish(in->h, true, err);
	if (rc)
		return rc;
	in->stage = STAGE_FINISHED;
	if (in->coming) {	/* it runs: nothing from here on undoes that */
		struct vmc_error late = VMC_ERROR_INIT;

		if (vmm_come_running(in->coming, &late))
			log_err("VM '%s' runs here, and this cannot be recorded: %s", in->name, late.text);
	}
	tell_arrived(in);
	return 0;
}

static int on_home(struct incoming *in, struct vmc_error *err)
{
	struct vm_coming *c = in->coming;

	if (in->stage != STAGE_FINISHED || !c)
		return nonsense(N_("a home volume at this point"), err);
	in->coming = NULL;
	return vmm_come_home(c, err);
}

/* It runs, or waits for the rest of its memory: the disks are its own, and nobody knows of the other host. */
static void keep_split(struct incoming *in)
{
	struct vmc_error e = VMC_ERROR_INIT;

	if (vmm_come_running(in->coming, &e))
		log_err("VM '%s' is here, and this cannot be recorded: %s", in->name, e.text);
	vmm_come_away(in->coming);
}

static void give_up(struct incoming *in)
{
	struct vmc_error e = VMC_ERROR_INIT;
	int rc = in->h ? in->h->ops->finish(in->h, false, &e) : 0;

	if (rc)
		log_warn("VM '%s', which did not come: %s", in->name, e.text);
	hypervisor_close(in->h);
	in->h = NULL;
	if (in->coming && rc == VMC_ESTATE)
		keep_split(in);
	else if (in->coming)
		vmm_come_cancel(in->coming);
}

static void forget(struct incoming *in)
{
	struct migrations *m = in->m;

	unlist(in);
	migrate_unwatch(m, &in->watch);
	if (in->coming && in->stage == STAGE_FINISHED) {
		log_warn("VM '%s' runs here, and host '%s' did not say that it has closed the home volume; 'vmcrypt vm show' tells its state",
			 in->name, peer_name(in->link));
		vmm_come_away(in->coming);
	}
	if (in->stage != STAGE_FINISHED)
		give_up(in);
	*peer_slot(in->link) = NULL;
	incoming_free(in);
	if (m->s.ended)
		m->s.ended(m->s.data);
}

/* Here it may be known better what broke: the other end of a connection is only told that it did. */
static int on_cancel(struct incoming *in, json_t **result, struct vmc_error *err)
{
	struct vmc_error broke = VMC_ERROR_INIT;
	char text[sizeof(broke.text)] = "";

	if (flow_broken(in->flow, &broke))
		message_english(broke.text, text, sizeof(text));
	*result = json_pack("{s:s}", "broke", text);
	forget(in);
	return *result ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for the answer");
}

void incoming_closed(struct migrations *m, struct peer_link *link)
{
	struct incoming *in = *peer_slot(link);

	(void)m;
	if (!in)
		return;
	if (in->stage != STAGE_FINISHED)
		log_warn("the migration of VM '%s' from host '%s' ended before it was done", in->name, peer_name(link));
	forget(in);
}

int incoming_call(struct migrations *m, struct peer_link *link, const char *method, const json_t *params,
		  json_t **result, struct vmc_error *err)
{
	struct incoming *in = *peer_slot(link);

	if (!strcmp(method, "preflight"))
		return on_preflight(m, params, result, err);
	if (!strcmp(method, "prepare"))
		return on_prepare(m, link, params, result, err);
	if (!in)
		return nonsense(N_("nothing was prepared"), err);
	if (!strcmp(method, "keys"))
		return on_keys(in, params, err);
	if (!strcmp(method, "start"))
		return on_start(in, params, result, err);
	if (!strcmp(method, "finish"))
		return on_finish(in, err);
	if (!strcmp(method, "home"))
		return on_home(in, err);
	if (!strcmp(method, "cancel"))
		return on_cancel(in, result, err);
	vmc_fail(err, VMC_ENOTSUP, "vmcryptd knows no method '%s' for other hosts", method);
	vmc_hint(err, "install the same version of vmcrypt on both hosts");
	return VMC_ENOTSUP;
}
