/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A software TPM of its own for each test: an swtpm process behind a socket in a folder. */
#ifndef VMC_TESTING_SWTPM_H
#define VMC_TESTING_SWTPM_H

#include <stdint.h>
#include <sys/types.h>
#include <tss2/tss2_esys.h>

struct swtpm {
	char dir[128];		/* the TPM's memory */
	char socket[160];
	char tcti[200];		/* "swtpm:path=..." */
	pid_t pid;		/* 0: does not run */
};

/*
 * Make the TPM in @dir/@name, with endorsement keys (RSA 2048, ECC P-384) that a CA
 * of its own has certified, as a TPM's maker does; swtpm_start() then finds it. The
 * CA is in @dir/ca, the same one for all TPMs of @dir: issuercert.pem, and above it
 * swtpm-localca-rootca-cert.pem. Fails the test when that does not work.
 */
void swtpm_manufacture(const char *dir, const char *name);
/* Use or make the TPM in @dir/@name, and switch it on; it ends with the test. Fails the test when that does not work. */
void swtpm_start(struct swtpm *s, const char *dir, const char *name);
/* @orderly: TPM2_Shutdown first, as a host that goes down in order; else a power cut. */
void swtpm_stop(struct swtpm *s, int orderly);
void swtpm_reboot(struct swtpm *s);	/* an orderly stop and a start */

/* For what a test does to the TPM behind the back of what it tests. */
ESYS_CONTEXT *swtpm_open(const struct swtpm *s);
void swtpm_close(ESYS_CONTEXT **e);
void swtpm_extend(const struct swtpm *s, unsigned int pcr);	/* all banks */
void swtpm_clear(const struct swtpm *s);			/* TPM2_Clear */
int swtpm_has_nv(const struct swtpm *s, uint32_t index);

#endif
