/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What virsh(1) prints, to struct: pure. Strict in what counts; what is not there is 0 or "". */
#ifndef VMC_HYPERVISOR_VIRSH_H
#define VMC_HYPERVISOR_VIRSH_H

#include "hypervisor.h"

struct virsh_domain {
	char name[64], id[37];
	bool running;			/* its guest runs */
	bool active;			/* there is a process, running or not */
	bool persistent;
	uint64_t memory;		/* bytes */
};

struct virsh_job {
	uint64_t done, total, remaining;	/* bytes, of memory and disks */
	uint64_t memory, disks;			/* bytes that are done of each */
	uint64_t disks_remaining;		/* bytes */
	uint64_t rate;				/* bytes a second */
	uint64_t downtime_ms;
};

/* "virsh dominfo". VMC_EPROTO: no name, UUID or state. */
int virsh_parse_domain(const char *text, struct virsh_domain *d, struct vmc_error *err);
/* "virsh domblklist --details": disks only, no CD-ROMs and floppies. */
int virsh_parse_disks(const char *text, struct hv_info *info, struct vmc_error *err);
/* "virsh domjobinfo". */
void virsh_parse_job(const char *text, struct virsh_job *j);
/* "virsh version": that of the running hypervisor, "7.2.22". */
void virsh_parse_version(const char *text, char version[32]);

#endif
