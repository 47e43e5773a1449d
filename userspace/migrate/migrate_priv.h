/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of migrate/ share. Nobody else includes it. */
#ifndef VMC_MIGRATE_PRIV_H
#define VMC_MIGRATE_PRIV_H

#include <pthread.h>

#include "flow.h"
#include "hello.h"
#include "migrate.h"
#include "policy.h"

#define MIGRATE_ASK_MS	15000		/* for a link, and for answers that need no work */
#define MIGRATE_WORK_MS	120000		/* for answers that need keys fetched, volumes opened, a hypervisor started */
#define MIGRATE_EXPORTER "EXPORTER-vmcrypt-migration-v1"

struct incoming;

/* A flow that the kernel's events go to. */
struct watch {
	struct watch *next;
	struct flow *flow;
};

struct migrations {
	struct migrations_setup s;
	struct peer_server *server;	/* NULL: see no_listen */
	struct vmc_error no_listen;
	struct acceptor *data;		/* NULL: the same */
	uint16_t data_port;
	pthread_mutex_t lock;		/* guards the lists */
	pthread_cond_t changed;
	struct watch *watches;
	struct incoming *coming;	/* see incoming.c */
};

int migrate_hello(struct migrations *m, struct peer_link *link, uint64_t deadline, struct hello *there,
		  struct vmc_error *err);
void migrate_watch(struct migrations *m, struct watch *w, struct flow *f);
void migrate_unwatch(struct migrations *m, struct watch *w);

/* What both hosts put into the exporter, and what comes out: both fingerprints, the VM, policy and versions. */
struct binding {
	const char *source, *destination;	/* fingerprints */
	const char *id, *vm;			/* UUIDs */
	const char *policy;
	const char *versions[2];		/* of the source, of the destination */
};
int binding_make(struct peer_link *link, const struct binding *b, uint8_t out[PEER_EXPORT_LEN],
		 struct vmc_error *err);

/* ---- incoming.c: a VM comes to this host ------------------------------------- */

int incoming_call(struct migrations *m, struct peer_link *link, const char *method, const json_t *params,
		  json_t **result, struct vmc_error *err);
void incoming_closed(struct migrations *m, struct peer_link *link);

/* ---- data.c: the data port ---------------------------------------------------- */

int data_listen(struct migrations *m, struct vmc_error *err);
void data_stop(struct migrations *m);
/* Of incoming.c: @wire, number @number of @migration, comes in; taken over in any case. */
int incoming_join(struct migrations *m, const vmc_uuid *migration, enum hv_socket kind, uint32_t number, int wire,
		  struct vmc_error *err);

#endif
