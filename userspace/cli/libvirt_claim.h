/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which libvirt domain a VM was opened for: a file RUNTIME_DIR/libvirt/VM that
 * lives from the hook's "prepare" to its "release", and is gone after a reboot,
 * like all mappings.
 */
#ifndef VMC_CLI_LIBVIRT_CLAIM_H
#define VMC_CLI_LIBVIRT_CLAIM_H

#include <stdint.h>

#include "../lib/error.h"
#include "../lib/util.h"

enum claim_mode {
	CLAIM_NONE,		/* nobody's */
	CLAIM_INCOMING,		/* a migration of the domain to this host was announced */
	CLAIM_POWER,		/* the hook powered the VM on, and is to power it off */
	CLAIM_DISKS,		/* the hook opened disks alone, and is to close them */
	CLAIM_FOUND,		/* the VM was on before, and stays so */
};

struct claim {
	int fd;			/* locked; -1: not taken */
	char path[4096];
	enum claim_mode mode;
	char domain[VMC_UUID_STR];	/* "" when nobody's */
	char name[256];		/* of the domain, for messages */
	uint64_t since;		/* vmc_now_ms() of the last claim_write() */
};

#define CLAIM_INIT { .fd = -1 }

/*
 * Lock the claim on @vm (a UUID) and read it. VMC_EBUSY when another hook has
 * it, which is one of another domain: libvirt does one thing at a time with each.
 */
int claim_take(const char *vm, struct claim *cl, struct vmc_error *err);
/* Make it the claim of @domain called @name. */
int claim_write(struct claim *cl, enum claim_mode mode, const char *domain, const char *name,
		struct vmc_error *err);
void claim_remove(struct claim *cl);	/* and let go */
void claim_drop(struct claim *cl);	/* let go; the claim stays */

/*
 * Call @fn for each claim of @domain, with the claim taken; @fn may remove it. Goes
 * on after an error, and returns the first.
 */
int claim_each(const char *domain, int (*fn)(struct claim *cl, const char *vm, void *data),
	       void *data, struct vmc_error *err);

#endif
