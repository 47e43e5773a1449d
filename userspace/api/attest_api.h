/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Attestation of this host: methods of org.vmcrypt1.Provider and org.vmcrypt1.Host. */
#ifndef VMC_API_ATTEST_API_H
#define VMC_API_ATTEST_API_H

#include "call.h"

int provider_run_attestation(struct call *c, struct backend *b, struct vmc_error *err);
int provider_run_attest(struct call *c, struct backend *b, struct vmc_error *err);
int host_run_export_image(struct call *c, struct backend *b, struct vmc_error *err);

#endif
