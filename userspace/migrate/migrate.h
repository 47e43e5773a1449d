/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Migrations from and to this host: what other hosts ask of it, and what it asks of them. From any thread.
 *
 * The source dials, and asks one after another over one link; what it asks is in incoming.c:
 *
 *	hello		who is there: versions, whether it can encrypt, clock
 *	preflight	would it work: nothing is changed
 *	prepare		both kernels agree on keys, bound to this link
 *	keys		an encrypted VM: its keys, its disks opened
 *	start		the hypervisor is ready to take it in
 *	finish		all of it has come: the guest runs there
 *	home		the source has closed it: the home volume, too
 *	cancel		nothing comes of it
 *
 * A link that ends before "finish" is a "cancel". The VM's memory goes over connections to the data port, see prelude.h.
 */
#ifndef VMC_MIGRATE_MIGRATE_H
#define VMC_MIGRATE_MIGRATE_H

#include <jansson.h>
#include <stdbool.h>

#include "../hypervisor/hypervisor.h"
#include "../kernel/client.h"
#include "../lib/config.h"
#include "../lib/error.h"
#include "../lib/progress.h"
#include "../peer/peer.h"
#include "../vm/manager.h"

struct migrations;

/* What they work with; all of it must stay until migrations_close(). */
struct migrations_setup {
	const struct vmc_config *cfg;
	struct peers *peers;
	struct vmm *m;
	struct vmk *k;				/* NULL: no module, then */
	const struct vmc_error *no_module;	/* says why */
	/* How to get at a VM: @qmp a QEMU's socket, or NULL: libvirt's domain @vm. NULL: as drivers do. */
	int (*hypervisor)(const char *vm, const char *qmp, struct hypervisor **h, struct vmc_error *err);
	/* One that came has ended: migrations_busy() may say otherwise now. From any thread; may be NULL. */
	void (*ended)(void *data);
	void *data;
};

/* Listens, if [migration] listen says so; that it cannot is no failure, see migrations_listening(). */
int migrations_open(struct migrations **m, const struct migrations_setup *s, struct vmc_error *err);
/* Cancels what comes in. NULL is fine. */
void migrations_close(struct migrations *m);
/* {listen: null|"ADDRESS:PORT", error?, hint?} */
json_t *migrations_listening(struct migrations *m);
/* Does a VM come in at this moment? */
bool migrations_busy(struct migrations *m);
/* Word of the kernel, of which those about channels matter here. */
void migrations_kernel_event(struct migrations *m, const struct vmk_event *e);

/* {ok, name, address, fingerprint, tls, cipher, group, latency_ms, host, version, module, cannot, clock_s}; any error is that of the link. */
int migrations_test(struct migrations *m, const char *peer, json_t **out, struct vmc_error *err);

struct migrate_request {
	const char *vm;			/* UUID or name: one of vmcrypt's, or only the hypervisor's */
	const char *to;			/* name of the peer */
	const char *qmp, *to_qmp;	/* QMP sockets on this host and there; both NULL: libvirt */
	unsigned int parallel;		/* connections beside the main one, 0..HV_PARALLEL_MAX */
	bool postcopy, copy_storage;
	bool dry_run;			/* only preflight */
};
/*
 * Move a VM that is on to another host. *@result: {vm, name, to, encrypted, why? (not encrypted), dry_run?, keys:
 * [{volume, from, why?}], bytes, disk_bytes, total_ms, downtime_ms, connections, group, warnings: []}. On any error the VM
 * runs here as before, unless the text says otherwise. An event tells of each outcome.
 */
int migrate_run(struct migrations *m, const struct migrate_request *r, struct progress *p, json_t **result,
		struct vmc_error *err);

#endif
