/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A TCTI around the one that the configuration names, with a deadline:
 * the ESAPI waits without end for an answer.
 */
#ifndef VMC_TPM_LINK_H
#define VMC_TPM_LINK_H

#include <tss2/tss2_tcti.h>

/* @name as in tpm2-tss: "device:/dev/tpmrm0", "swtpm:path=...". Freed by link_close(). */
TSS2_RC link_open(const char *name, unsigned int deadline_ms, TSS2_TCTI_CONTEXT **link);
void link_close(TSS2_TCTI_CONTEXT **link);
/* Did an answer not come in time? The link is of no more use then. */
int link_timed_out(const TSS2_TCTI_CONTEXT *link);

#endif
