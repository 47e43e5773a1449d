// SPDX-License-Identifier: GPL-2.0-or-later
/* A VM leaves this host: preflight, keys, connections, hypervisor, end. See migrate.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/events.h"
#include "../lib/i18n.h"
#include "../lib/log.h"
#include "../lib/message.h"
#include "../lib/version.h"
#include "../vm/moving.h"
#include "gate.h"
#include "migrate_priv.h"

/* Before the fate of the VM is sealed, a failure leaves it running here. */
enum fate { FATE_HERE, FATE_THERE, FATE_UNKNOWN, FATE_SPLIT };

struct leaving {
	struct migrations *m;
	const struct migrate_request *r;
	struct progress *p;
	struct peer_link *link;
	struct hello there, here;
	struct hypervisor *h;
	struct hv_info info;
	bool probed;
	struct vm_leaving *vm;		/* NULL: not one of ours */
	json_t *what;
	char id[VMC_UUID_STR], name[64];
	enum migration_encryption policy;
	bool encrypt;
	struct vmc_error why;		/* it is in clear */
	json_t *keys;			/* of preflight */
	char host[256];
	uint16_t port;
	vmc_uuid migration;
	char migration_text[VMC_UUID_STR];
	uint32_t kernel;		/* until the flow has it */
	struct flow *flow;
	struct watch watch;
	bool watched, prepared, outgoing;
	char dir[HV_SOCKET_PATH_MAX];
	struct gate *gate;
	struct hv_result moved;
	struct flow_figures figures;
	atomic_bool cancel;		/* of the hypervisor's work */
	enum fate fate;
	json_t *warnings;
};

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static void warn(struct leaving *l, const struct vmc_error *e)
{
	log_warn("migration of VM '%s': %s", l->name, e->text);
	json_array_append_new(l->warnings, json_string(e->text));
}

static int canceled(struct leaving *l, struct vmc_error *err)
{
	return progress_canceled(l->p) ? vmc_fail(err, VMC_ECANCELED, "the migration of VM '%s' was canceled", l->name) : 0;
}

/* ---- preflight, on this side ------------------------------------------------ */

/* One of ours has its own name and id, the hypervisor's others have theirs. */
static int find_vm(struct leaving *l, struct vmc_error *err)
{
	int rc = vmm_leave_begin(l->m->s.m, l->r->vm, &l->vm, &l->what, err);

	if (rc == VMC_ENOENT) {
		l->vm = NULL;
		return 0;
	}
	if (rc)
		return rc;
	snprintf(l->id, sizeof(l->id), "%s", text(l->what, "id"));
	snprintf(l->name, sizeof(l->name), "%s", text(l->what, "name"));
	return 0;
}

static int look_at_hypervisor(struct leaving *l, struct vmc_error *err)
{
	const struct migrate_request *r = l->r;
	vmc_uuid none;
	int rc = l->m->s.hypervisor(l->name[0] ? l->name : r->vm, r->qmp, &l->h, err);

	if (!rc)
		rc = l->h->ops->probe(l->h, &l->info, err);
	if (rc)
		return rc;
	l->probed = true;
	if (!l->name[0])
		snprintf(l->name, sizeof(l->name), "%.63s", l->info.name[0] ? l->info.name : r->vm);
	if (!l->id[0] && !l->info.id[0])	/* a QEMU without -uuid */
		if (!vmc_uuid_new(&none))
			vmc_uuid_format(&none, l->id);
	if (!l->id[0])
		snprintf(l->id, sizeof(l->id), "%s", l->info.id);
	if (r->parallel && !l->info.supports_parallel)
		return vmc_fail(err, VMC_ENOTSUP, "VM '%s' cannot be migrated over parallel connections by its hypervisor, %s %s",
				l->name, l->h->ops->name, l->info.version);
	if (r->postcopy && !l->info.supports_postcopy)
		return vmc_fail(err, VMC_ENOTSUP, "VM '%s' cannot be migrated with postcopy by its hypervisor, %s %s", l->name,
				l->h->ops->name, l->info.version);
	if (r->postcopy && r->parallel && !l->info.parallel_postcopy)
		return vmc_fail(err, VMC_ENOTSUP, "the hypervisor of VM '%s', %s %s, does not take --parallel and --postcopy at once",
				l->name, l->h->ops->name, l->info.version);
	return 0;
}

static int check_request(const struct migrate_request *r, struct vmc_error *err)
{
	if (r->parallel > HV_PARALLEL_MAX)
		return vmc_fail(err, VMC_EINVAL, "%u parallel connections, where 0 to %d are allowed", r->parallel, HV_PARALLEL_MAX);
	if (!r->qmp != !r->to_qmp) {
		vmc_fail(err, VMC_EINVAL, "the QMP sockets of both QEMUs are needed, or none");
		vmc_hint(err, "--qmp PATH is that on this host, --to-qmp PATH that on the other; without both, libvirt is asked");
		return VMC_EINVAL;
	}
	return 0;
}

static int read_policy(struct leaving *l, struct vmc_error *err)
{
	bool encrypted = false;
	int rc = vmm_get_policy(l->m->s.m, l->id, l->name, &l->policy, &encrypted, err);

	if (l->vm)
		l->policy = MIGRATION_REQUIRED;
	return rc;
}

static int decide(struct leaving *l, struct vmc_error *err)
{
	const struct migration_facts f = {
		.policy = l->policy, .vm_encrypted = l->vm, .vm = l->name, .peer = l->r->to,
		.local_cannot = l->here.module[0] ? NULL : l->here.cannot,
		.peer_cannot = l->there.module[0] ? NULL : l->there.cannot,
	};

	switch (migration_decide(&f, &l->why)) {
	case MIGRATION_ENCRYPT:
		l->encrypt = true;
		return 0;
	case MIGRATION_CLEAR:
		return 0;
	case MIGRATION_REFUSE:
		break;
	}
	if (err)
		*err = l->why;
	return l->why.code ? l->why.code : VMC_EREFUSED;
}

/* ---- what the other host is asked ------------------------------------------- */

static int ask(struct leaving *l, const char *method, json_t *params, json_t **result, struct vmc_error *err)
{
	int rc = params ? peer_call(l->link, method, params, result, vmc_now_ms() + MIGRATE_WORK_MS, err) :
			  vmc_fail(err, VMC_ENOMEM, "no memory for a migration");

	json_decref(params);
	return rc;
}

static json_t *wish(const struct leaving *l)
{
	const struct migrate_request *r = l->r;

	return json_pack("{s:s, s:s, s:s*, s:i, s:b, s:b, s:b, s:O*}", "vm", l->id, "name", l->name, "qmp", r->to_qmp,
			 "parallel", (int)r->parallel, "encrypt", l->encrypt, "postcopy", r->postcopy, "copy_storage",
			 r->copy_storage, "what", l->what);
}

static int preflight(struct leaving *l, struct vmc_error *err)
{
	json_t *answer = NULL;
	json_int_t port;
	int rc = ask(l, "preflight", wish(l), &answer, err);

	if (rc)
		return rc;
	port = json_integer_value(json_object_get(answer, "port"));
	l->keys = json_incref(json_object_get(answer, "keys"));
	snprintf(l->host, sizeof(l->host), "%s", text(answer, "address") && *text(answer, "address") ? text(answer, "address") :
		 peer_address(l->link));
	if (port < 1 || port > UINT16_MAX || !json_is_array(l->keys))
		rc = vmc_fail(err, VMC_EPROTO, "host '%s' does not say where it takes data", l->r->to);
	l->port = (uint16_t)port;
	json_decref(answer);
	return rc;
}

static int agree(struct leaving *l, const uint8_t theirs[VMK_PUBLIC_LEN], struct vmc_error *err)
{
	uint8_t bytes[PEER_EXPORT_LEN];
	char own[CERT_FINGERPRINT];
	const struct binding b = {
		.source = own, .destination = peer_fingerprint(l->link), .id = l->migration_text, .vm = l->id,
		.policy = migration_encryption_name(l->policy), .versions = { VMC_VERSION, l->there.version },
	};
	int rc;

	peers_fingerprint(l->m->s.peers, own);
	rc = binding_make(l->link, &b, bytes, err);
	return rc ? rc : vmk_migration_agree(l->m->s.k, l->kernel, theirs, bytes, sizeof(bytes), err);
}

static json_t *prepare_params(const struct leaving *l, const uint8_t public_key[VMK_PUBLIC_LEN])
{
	json_t *o = wish(l);
	char key[2 * VMK_PUBLIC_LEN] = "";

	if (l->encrypt)
		vmc_base64_encode(public_key, VMK_PUBLIC_LEN, key);
	if (o && json_object_update_new(o, json_pack("{s:s, s:s, s:s, s:s}", "id", l->migration_text, "public_key", key, "policy",
						     migration_encryption_name(l->policy), "version", VMC_VERSION))) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static int take_answer(struct leaving *l, const json_t *answer, struct vmc_error *err)
{
	const char *key = text(answer, "public_key");
	uint8_t theirs[VMK_PUBLIC_LEN];
	size_t n = 0;

	if (!l->encrypt)
		return 0;
	if (!key || vmc_base64_decode(key, theirs, sizeof(theirs), &n) || n != sizeof(theirs))
		return vmc_fail(err, VMC_EPROTO, "host '%s' gave no public key", l->r->to);
	return agree(l, theirs, err);
}

/*
 * One connection is enough to fail. The others go, too: the hypervisor may be stuck in one of them, that still stands but
 * that nobody reads any more, and could not even cancel.
 */
static void on_break(void *data)
{
	struct leaving *l = data;

	atomic_store(&l->cancel, true);
	if (!l->r->postcopy && flow_encrypted(l->flow))
		vmk_migration_del(l->m->s.k, flow_kernel(l->flow), true, NULL);
}

static int prepare(struct leaving *l, struct vmc_error *err)
{
	uint8_t public_key[VMK_PUBLIC_LEN];
	json_t *answer = NULL;
	vmc_uuid vm;
	int rc = 0;

	if (vmc_uuid_new(&l->migration) || vmc_uuid_parse(l->id, &vm))
		return vmc_fail(err, VMC_EINTERNAL, "no id for a migration of VM '%s'", l->name);
	vmc_uuid_format(&l->migration, l->migration_text);
	if (l->encrypt)
		rc = vmk_migration_new(l->m->s.k, &vm, VMK_SOURCE, (enum vmk_policy)l->policy, &l->kernel, public_key, err);
	if (!rc)
		rc = ask(l, "prepare", prepare_params(l, public_key), &answer, err);
	if (rc)
		return rc;
	l->prepared = true;
	rc = take_answer(l, answer, err);
	json_decref(answer);
	if (!rc)
		rc = flow_new(&l->flow, l->m->s.k, l->kernel, err);
	if (rc)
		return rc;
	l->kernel = 0;
	flow_on_break(l->flow, on_break, l);
	migrate_watch(l->m, &l->watch, l->flow);
	l->watched = true;
	return 0;
}

/* Those that the other host cannot fetch itself. */
static int hand_keys(struct leaving *l, struct vmc_error *err)
{
	json_t *names = json_array(), *sealed = NULL, *key;
	size_t i;
	int rc;

	json_array_foreach(l->keys, i, key)
		if (text(key, "from") && !strcmp(text(key, "from"), "sealed"))
			json_array_append(names, json_object_get(key, "volume"));
	rc = vmm_leave_keys(l->vm, flow_kernel(l->flow), names, &sealed, err);
	json_decref(names);
	return rc ? rc : ask(l, "keys", json_pack("{s:o}", "sealed", sealed), NULL, err);
}

static int start_there(struct leaving *l, struct vmc_error *err)
{
	json_t *params = wish(l);

	if (params && l->info.definition)
		json_object_set(params, "definition", l->info.definition);
	return ask(l, "start", params, NULL, err);
}

/* ---- the work ----------------------------------------------------------------- */

static void on_progress(const struct hv_progress *hv, void *data)
{
	struct leaving *l = data;
	bool memory = !strcmp(hv->phase, "memory");

	progress_report(l->p, !memory ? hv->phase : l->encrypt ? N_("memory, encrypted") : N_("memory, NOT encrypted"),
			hv->done, hv->total);
	if (progress_canceled(l->p))
		atomic_store(&l->cancel, true);
}

static int open_gate(struct leaving *l, struct vmc_error *err)
{
	struct gate_setup s = {
		.dir = l->dir, .uid = l->info.uid, .host = l->host, .port = l->port,
		.migration = l->migration, .flow = l->flow,
	};
	int rc = gate_dir_make(l->m->s.cfg->runtime_dir, &l->migration, l->dir, sizeof(l->dir), err);

	return rc ? rc : gate_open(&l->gate, &s, err);
}

/* What went wrong below says more than what the hypervisor met. */
static int explain(struct leaving *l, int rc, struct vmc_error *err)
{
	struct vmc_error below = VMC_ERROR_INIT;
	char hypervisor[sizeof(err->text)];

	if (canceled(l, err))
		return VMC_ECANCELED;
	if (!flow_broken(l->flow, &below) && !gate_failed(l->gate, &below))
		return rc;
	if (!err)
		return below.code;
	memcpy(hypervisor, err->text, sizeof(hypervisor));
	vmc_fail(err, below.code, "%s (the hypervisor: %s)", below.text, hypervisor);
	if (below.hint[0])
		vmc_hint(err, "%s", below.hint);
	return below.code;
}

static int move(struct leaving *l, struct vmc_error *err)
{
	const struct hv_outgoing out = {
		.dir = l->dir, .parallel = l->r->parallel, .postcopy = l->r->postcopy, .copy_storage = l->r->copy_storage,
		.report = on_progress, .data = l, .cancel = &l->cancel,
	};
	int rc = open_gate(l, err);

	if (rc)
		return rc;
	l->outgoing = true;
	rc = l->h->ops->outgoing(l->h, &out, &l->moved, err);
	if (rc && l->moved.split) {	/* neither host can let it run without what the other has */
		l->fate = FATE_SPLIT;
		return rc;
	}
	return rc ? explain(l, rc, err) : 0;
}

/* An answer that says no leaves it here; no answer at all leaves nobody knowing. */
static int finish_there(struct leaving *l, struct vmc_error *err)
{
	uint64_t before = vmc_now_ms();
	int rc;

	progress_report(l->p, N_("switchover"), 0, 0);
	rc = ask(l, "finish", json_object(), NULL, err);
	if (!rc) {
		l->fate = FATE_THERE;
		l->moved.downtime_ms += vmc_now_ms() - before;
		return 0;
	}
	if (!peer_broken(l->link))
		return rc;
	l->fate = FATE_UNKNOWN;
	vmc_prefix(err, "VM '%s' stands still here, and whether it runs on host '%s' is not known: ", l->name, l->r->to);
	vmc_hint(err, "look there; if it does not run there, let it go on here (virsh resume, or QMP's cont), and if it does, destroy it here");
	return rc;
}

static void close_here(struct leaving *l)
{
	struct vmc_error e = VMC_ERROR_INIT;
	bool ours = l->vm;

	if (l->h->ops->finish(l->h, true, &e))
		warn(l, &e);
	if (!ours)
		return;
	if (vmm_leave_end(l->vm, true, &e)) {
		vmc_prefix(&e, "VM '%s' runs on host '%s', but cannot be closed here: ", l->name, l->r->to);
		warn(l, &e);
	} else if (ask(l, "home", json_object(), NULL, &e)) {
		warn(l, &e);
	}
	l->vm = NULL;
}

/* ---- from the beginning to the end ---------------------------------------------- */

static int check(struct leaving *l, struct vmc_error *err)
{
	int rc = check_request(l->r, err);

	progress_report(l->p, N_("preflight"), 0, 0);
	if (!rc)
		rc = find_vm(l, err);
	if (!rc)
		rc = look_at_hypervisor(l, err);
	if (!rc)
		rc = peer_dial(l->m->s.peers, l->r->to, vmc_now_ms() + MIGRATE_ASK_MS, &l->link, err);
	if (!rc)
		rc = migrate_hello(l->m, l->link, vmc_now_ms() + MIGRATE_ASK_MS, &l->there, err);
	if (rc)
		return rc;
	hello_here(l->m->s.k, l->m->s.no_module, peers_host(l->m->s.peers), &l->here);
	rc = hello_match(&l->here, &l->there, l->r->to, err);
	if (rc)
		return rc;
	rc = read_policy(l, err);
	if (!rc)
		rc = decide(l, err);
	return rc ? rc : preflight(l, err);
}

static int work(struct leaving *l, struct vmc_error *err)
{
	int rc = prepare(l, err);

	progress_report(l->p, N_("keys"), 0, 0);
	if (!rc)
		rc = canceled(l, err);
	if (!rc && l->vm)
		rc = hand_keys(l, err);
	if (!rc)
		rc = start_there(l, err);
	if (!rc)
		rc = move(l, err);
	if (!rc)
		rc = finish_there(l, err);
	if (!rc)
		close_here(l);
	return rc;
}

/* A connection that broke may have broken there, and only there it is known why. */
static void explain_more(struct leaving *l, const char *there, struct vmc_error *err)
{
	struct vmc_error here = *err;

	if (err->code == VMC_ECANCELED || !there || !*there || !l->flow || !flow_broken(l->flow, NULL))
		return;
	vmc_fail(err, here.code, "%s (host '%s': %s)", here.text, l->r->to, there);
	if (here.hint[0])
		vmc_hint(err, "%s", here.hint);
}

static void undo(struct leaving *l, struct vmc_error *err)
{
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *answer = NULL;

	if (l->fate != FATE_HERE)
		return;
	if (l->prepared && !peer_broken(l->link) && !ask(l, "cancel", json_object(), &answer, NULL))
		explain_more(l, text(answer, "broke"), err);
	json_decref(answer);
	if (l->outgoing && l->h->ops->finish(l->h, false, &e))
		log_err("VM '%s', which stays here: %s", l->name, e.text);
}

static void clean(struct leaving *l)
{
	gate_close(l->gate);
	if (l->watched)
		migrate_unwatch(l->m, &l->watch);
	if (l->flow)
		flow_figures(l->flow, &l->figures);
	flow_free(l->flow);
	if (l->kernel)
		vmk_migration_del(l->m->s.k, l->kernel, true, NULL);
	if (l->dir[0])
		gate_dir_remove(l->dir);
	if (l->vm)
		vmm_leave_end(l->vm, false, NULL);
	if (l->probed)
		hv_info_clear(&l->info);
	hypervisor_close(l->h);
}

static json_t *result(const struct leaving *l)
{
	json_t *link = peer_describe(l->link);
	json_t *o = json_pack("{s:s, s:s, s:s, s:b, s:s*, s:b, s:O, s:I, s:I, s:I, s:I, s:i, s:O*, s:O}", "vm", l->id, "name",
			      l->name, "to", l->r->to, "encrypted", l->encrypt, "why", l->encrypt ? NULL : l->why.text, "dry_run",
			      l->r->dry_run, "keys", l->keys, "bytes", (json_int_t)l->moved.bytes, "disk_bytes",
			      (json_int_t)l->moved.disk_bytes, "total_ms", (json_int_t)l->moved.total_ms, "downtime_ms",
			      (json_int_t)l->moved.downtime_ms, "connections", (int)l->figures.connections, "group",
			      json_object_get(link, "group"), "warnings", l->warnings);

	json_decref(link);
	return o;
}

static json_t *details(const struct leaving *l)
{
	return json_pack("{s:s, s:s, s:b, s:I, s:I, s:I}", "peer", l->r->to, "name", l->name, "encrypted", l->encrypt, "bytes",
			 (json_int_t)l->moved.bytes, "ms", (json_int_t)l->moved.total_ms, "downtime_ms",
			 (json_int_t)l->moved.downtime_ms);
}

static void tell(struct leaving *l, int rc, const struct vmc_error *err)
{
	struct vmm *m = l->m->s.m;
	const char *id = l->id[0] ? l->id : NULL, *name = l->name[0] ? l->name : l->r->vm;

	if (!rc && l->encrypt)
		vmm_emit(m, VMM_EV_VM_MIGRATED, VMC_MSG_VM_MIGRATED, id, details(l),
			 "VM '%s' was migrated to host '%s', encrypted", name, l->r->to);
	else if (!rc)
		vmm_emit(m, VMM_EV_VM_MIGRATED_CLEAR, VMC_MSG_VM_MIGRATED_CLEAR, id, details(l),
			 "VM '%s' was migrated to host '%s', not encrypted: %s", name, l->r->to, l->why.text);
	else if (!l->prepared)
		vmm_emit(m, VMM_EV_MIGRATION_REFUSED, VMC_MSG_MIGRATION_REFUSED, id, details(l),
			 "the migration of VM '%s' to host '%s' was refused before anything moved: %s", name, l->r->to,
			 err->text);
	else
		vmm_emit(m, VMM_EV_MIGRATION_FAILED, VMC_MSG_MIGRATION_FAILED, id, details(l),
			 "the migration of VM '%s' to host '%s' failed: %s", name, l->r->to, err->text);
}

int migrate_run(struct migrations *m, const struct migrate_request *r, struct progress *p, json_t **out,
		struct vmc_error *err)
{
	struct leaving *l = calloc(1, sizeof(*l));
	struct vmc_error mine = VMC_ERROR_INIT;
	int rc;

	if (!err)
		err = &mine;
	if (!l)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a migration");
	l->m = m;
	l->r = r;
	l->p = p;
	l->warnings = json_array();
	rc = check(l, err);
	if (!rc && !r->dry_run)
		rc = work(l, err);
	if (rc)
		undo(l, err);
	clean(l);
	if (!r->dry_run)
		tell(l, rc, err);
	if (!rc && out)
		*out = result(l);
	peer_close(l->link);
	json_decref(l->what);
	json_decref(l->keys);
	json_decref(l->warnings);
	free(l);
	return rc;
}
