/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of the driver for a plain QEMU, among themselves. */
#ifndef VMC_HYPERVISOR_QEMU_PRIV_H
#define VMC_HYPERVISOR_QEMU_PRIV_H

#include "hypervisor.h"
#include "qmp.h"

#define QEMU_POLL_MS	100	/* from one look to the next; an event comes between */
#define QEMU_STALL_MS	60000	/* nothing moved for so long: it failed */
#define QEMU_SETTLE_MS	60000	/* from an end that was asked for to the end */

enum qemu_role { QEMU_IDLE, QEMU_SOURCE, QEMU_DESTINATION };

struct qemu {
	struct hypervisor h;	/* first */
	struct qmp *q;
	char path[HV_SOCKET_PATH_MAX];
	char vm[64];		/* for texts: its name, or the path */
	enum qemu_role role;
	bool ran;		/* its guest ran when the migration began, here or on the source */
	bool nbd;		/* destination: it serves its disks */
};

static inline struct qemu *qemu_of(struct hypervisor *h)
{
	return (struct qemu *)h;
}

/* query-status: "running", "paused", "inmigrate", "postmigrate" ... */
int qemu_status(struct qemu *m, char status[32], struct vmc_error *err);
/* Answers of QEMU, strictly: VMC_EPROTO naming @command when it is not of the kind wanted. */
int qemu_ask(struct qemu *m, const char *command, json_t *args, json_t **ret, struct vmc_error *err)
	__attribute__((nonnull(2)));
int qemu_odd(struct qemu *m, const char *command, struct vmc_error *err);

/* The capabilities that both sides must have alike, and, on the source, what else it needs. */
int qemu_set_capabilities(struct qemu *m, unsigned int parallel, bool postcopy, bool source, bool disks,
			  struct vmc_error *err);
int qemu_disks(struct qemu *m, struct hv_info *info, struct vmc_error *err);

/* Until no migration is under way; @status is how the last ended, "" or "none" without one. */
int qemu_wait_over(struct qemu *m, char status[32], struct vmc_error *err);
/* Cancel what is under way; the guest runs again if it ran. */
int qemu_take_back(struct qemu *m, struct vmc_error *err);

int qemu_probe(struct hypervisor *h, struct hv_info *info, struct vmc_error *err);
int qemu_incoming(struct hypervisor *h, const struct hv_incoming *in, struct hv_ready *ready, struct vmc_error *err);
int qemu_outgoing(struct hypervisor *h, const struct hv_outgoing *out, struct hv_result *result,
		  struct vmc_error *err);

/* qemu_mirror.c: disks of the source, copied to the destination's while the guest runs. */
struct qemu_mirrors {
	unsigned int n;			/* jobs that were started */
	unsigned int ended;		/* of them are over */
	bool ready;			/* all are in step with the guest */
	uint64_t done, total;
};
int qemu_mirrors_start(struct qemu *m, const char *dir, struct qemu_mirrors *s, struct vmc_error *err);
/* Brings @s up to date. An error of one is an error. */
int qemu_mirrors_look(struct qemu *m, struct qemu_mirrors *s, struct vmc_error *err);
/* Ends them: with what the guest wrote last when @whole (it must be stopped), as they are otherwise. */
int qemu_mirrors_end(struct qemu *m, struct qemu_mirrors *s, bool whole, struct vmc_error *err);

#endif
