/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The audit log, as calls fill it and as the manager object shows it. */
#ifndef VMC_API_AUDIT_API_H
#define VMC_API_AUDIT_API_H

#include "call.h"

/* In the loop: who @m comes from. A call that only reads is not recorded, and not asked about. */
void audit_api_note_caller(struct call *c, sd_bus_message *m);
/* In a worker, around run(): the thread acts for the caller; what it did, and the call itself, is on disk after. */
void audit_api_begin(const struct call *c);
void audit_api_end(const struct call *c);
/* Somebody was not let. */
void audit_api_denied(sd_bus_message *m, uid_t uid, const char *action, const char *why);
/* Something happened. In any thread. */
void audit_api_event(const struct vmm_event *e);

extern const struct option_spec list_audit_options[], verify_audit_options[];
int run_list_audit(struct call *c, struct backend *b, struct vmc_error *err);
int run_verify_audit(struct call *c, struct backend *b, struct vmc_error *err);
int run_audit_head(struct call *c, struct backend *b, struct vmc_error *err);
int run_export_audit(struct call *c, struct backend *b, struct vmc_error *err);

#endif
