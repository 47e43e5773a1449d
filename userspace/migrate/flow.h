/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The connections of one migration, on either side: each joins a socket of the hypervisor's with one to the other host,
 * by a channel of the kernel, or in clear. From any thread.
 */
#ifndef VMC_MIGRATE_FLOW_H
#define VMC_MIGRATE_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "../kernel/client.h"
#include "../lib/error.h"

struct flow;

#define FLOW_CLEAR_MAX	160	/* connections in clear of one migration: two threads each; parallel ones, disks, and some */

/* @kernel: number of the agreed migration there; 0: in clear. flow_free() forgets it in the kernel. */
int flow_new(struct flow **f, struct vmk *k, uint32_t kernel, struct vmc_error *err);
/* Cuts what is still there. NULL is fine. */
void flow_free(struct flow *f);
bool flow_encrypted(const struct flow *f);
uint32_t flow_kernel(const struct flow *f);	/* 0: in clear */

/* Connection number @number. Both descriptors are taken over, also when it fails. */
int flow_join(struct flow *f, uint32_t number, int wire, int plain, struct vmc_error *err);
/* Word of the kernel. True: it was about this one. */
bool flow_event(struct flow *f, const struct vmk_event *e);
/* Did a connection break, and why? VMC_EAUTH when what came was not authentic, else VMC_EIO. 0: no. */
int flow_broken(struct flow *f, struct vmc_error *err);
/* Called when one breaks, from any thread; set before the first join. */
void flow_on_break(struct flow *f, void (*fn)(void *data), void *data);

struct flow_figures {
	unsigned int connections;	/* so far */
	uint64_t sent, received;	/* of those that ended; in clear: all, in @sent */
};
void flow_figures(struct flow *f, struct flow_figures *out);

#endif
