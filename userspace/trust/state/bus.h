/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The D-Bus face of an authority: org.vmcrypt1.Trust on the system bus, the object
 * /org/vmcrypt1/Trust, in a thread of its own. The method (see org.vmcrypt1.Trust.xml):
 *
 *	Call(s verb, s params, a{sv} options) -> s result
 *
 * Parameters and result are JSON, verbs as in admin.h; options are "locale" (s), and open
 * files (h): "password", "key", "data".
 *
 * Root may call all; others need the polkit action org.vmcrypt1.trust.audit for
 * verbs of auditors, org.vmcrypt1.trust.admin for the rest. Errors are
 * org.vmcrypt1.Error.NAME, their text followed by a line "hint: ..." when there is one.
 */
#ifndef VMC_TRUST_BUS_H
#define VMC_TRUST_BUS_H

#include "admin.h"

#define TRUST_BUS_NAME		"org.vmcrypt1.Trust"
#define TRUST_BUS_PATH		"/org/vmcrypt1/Trust"
#define TRUST_BUS_ADMIN		"org.vmcrypt1.trust.admin"
#define TRUST_BUS_AUDIT		"org.vmcrypt1.trust.audit"

struct trust_bus;

/* The system bus, or what VMCRYPT_BUS says ("session", or an address). */
int trust_bus_start(struct trust_bus **b, struct trust_admin *a, struct vmc_error *err);
/* Waits for the call that is being answered. NULL is fine. */
void trust_bus_stop(struct trust_bus *b);

#endif
