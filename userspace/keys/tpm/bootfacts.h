/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What this host knows of its own start: the firmware's log, and whether it was a full boot. */
#ifndef VMC_TPM_BOOTFACTS_H
#define VMC_TPM_BOOTFACTS_H

#include "tpm.h"

#define BOOTFACTS_LOG_MAX	(1u << 20)

struct bootfacts {
	bool quick_boot;	/* the kernel was started by kexec: the PCRs tell of the last full boot */
	char boot_id[37];
	uint32_t reset_count;	/* of the TPM */
};

/*
 * @clock: from tpm_clock(). Quick Boot is what the kernel says of its loader, or
 * another boot id while the TPM counted no start; STATE_DIR/tpm/boot remembers
 * that (crash-safe). Paths below $VMCRYPT_PROC_DIR instead of /proc for tests.
 */
int bootfacts_read(const struct vmc_config *cfg, const struct tpm_clock *clock, struct bootfacts *f,
		   struct vmc_error *err);

/*
 * The firmware's event log of the TPM that the configuration names:
 * /sys/kernel/security/tpm0/binary_bios_measurements, or $VMCRYPT_EVENT_LOG.
 * VMC_ENOENT: the firmware left none. Caller frees *@log.
 */
int bootfacts_event_log(uint8_t **log, size_t *len, struct vmc_error *err);

#endif
