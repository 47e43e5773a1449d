/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of verbs: parser, help, completion and tests read it. */
#ifndef VMC_CLI_VERBS_H
#define VMC_CLI_VERBS_H

#include <stdint.h>

#include "cli.h"

/* Among a verb's options: other programs call it, so that the list of all verbs has it not. */
#define VERB_HIDDEN	OPTSET(OPTSET_SPARE)

struct verb {
	/*
	 * Lower-case words are typed as they are, upper-case words are
	 * operands; "[VM...]" is any number of them, "[TOPIC]" none or one.
	 */
	const char *pattern;
	optset options;		/* OPT_BIT()s it takes, beside OPTS_GLOBAL */
	optset required;		/* those of them it cannot do without */
	const char *summary;
	const char *details;		/* paragraph for the help, or NULL */
	int (*run)(struct cli *c);	/* 0 or a vmc_code with c->err filled in */
};

extern const struct verb verbs[];
extern const size_t n_verbs;

/* A word of a pattern. */
struct pattern_word {
	const char *text;		/* not closed by NUL; brackets and dots left out */
	size_t len;
	bool operand, optional, repeated;
};
/* Split @pattern; returns the number of words, at most OPERANDS_MAX. */
size_t pattern_split(const char *pattern, struct pattern_word w[OPERANDS_MAX]);

/*
 * Find the verb that c->args.words mean, check operands and options, and fill
 * in c->verb and c->operands. VMC_EINVAL names the bad word and a near one.
 */
int verb_find(struct cli *c, struct vmc_error *err);

/* Does @v begin with the literal words of @words, as far as these go? For help and completion. */
bool verb_has_prefix(const struct verb *v, const char *const *words, size_t n);

/* provider.c */
int verb_provider_add_kmip(struct cli *c);
int verb_provider_list(struct cli *c);
int verb_provider_show(struct cli *c);
int verb_provider_test(struct cli *c);
int verb_provider_remove(struct cli *c);
int verb_provider_default(struct cli *c);
/* provider_native.c */
int verb_provider_add_native(struct cli *c);
int verb_provider_export(struct cli *c);
int verb_provider_import(struct cli *c);
/* host.c */
int verb_persistence_status(struct cli *c);
int verb_persistence_enable(struct cli *c);
int verb_persistence_disable(struct cli *c);
int verb_persistence_reseal(struct cli *c);
int verb_persistence_suspend(struct cli *c);
int verb_persistence_recovery_key(struct cli *c);
/* migrate.c */
int verb_migrate(struct cli *c);
/* identity.c */
int verb_identity_show(struct cli *c);
int verb_identity_csr(struct cli *c);
int verb_identity_upload(struct cli *c);
/* peer.c */
int verb_peer_add(struct cli *c);
int verb_peer_list(struct cli *c);
int verb_peer_show(struct cli *c);
int verb_peer_test(struct cli *c);
int verb_peer_remove(struct cli *c);
/* trust.c */
int verb_trust_csr(struct cli *c);
int verb_trust_self_signed(struct cli *c);
int verb_trust_upload(struct cli *c);
int verb_trust_import(struct cli *c);
int verb_trust_show(struct cli *c);
int verb_trust_pin(struct cli *c);
/* trust_cluster.c */
int verb_trust_init(struct cli *c);
int verb_trust_join(struct cli *c);
int verb_trust_status(struct cli *c);
int verb_trust_health(struct cli *c);
int verb_trust_remediate(struct cli *c);
int verb_trust_rotate(struct cli *c);
int verb_trust_services_info(struct cli *c);
int verb_trust_upgrade_authority(struct cli *c);
int verb_trust_upgrade_hosts(struct cli *c);
int verb_trust_metrics(struct cli *c);
/* trust_lists.c */
int verb_trust_authority_show(struct cli *c);
int verb_trust_authority_add(struct cli *c);
int verb_trust_authority_list(struct cli *c);
int verb_trust_authority_remove(struct cli *c);
int verb_trust_ca_add(struct cli *c);
int verb_trust_ca_list(struct cli *c);
int verb_trust_ca_show(struct cli *c);
int verb_trust_ca_remove(struct cli *c);
int verb_trust_ek_add(struct cli *c);
int verb_trust_ek_list(struct cli *c);
int verb_trust_ek_remove(struct cli *c);
int verb_trust_image_import(struct cli *c);
int verb_trust_image_list(struct cli *c);
int verb_trust_image_show(struct cli *c);
int verb_trust_image_remove(struct cli *c);
int verb_trust_principal_add(struct cli *c);
int verb_trust_principal_list(struct cli *c);
int verb_trust_principal_remove(struct cli *c);
int verb_trust_policy_show(struct cli *c);
int verb_trust_policy_set(struct cli *c);
/* trust_provider.c */
int verb_trust_provider_add(struct cli *c);
int verb_trust_provider_list(struct cli *c);
int verb_trust_provider_describe(struct cli *c);
int verb_trust_provider_remove(struct cli *c);
int verb_trust_provider_csr(struct cli *c);
int verb_trust_provider_self_signed(struct cli *c);
int verb_trust_provider_upload(struct cli *c);
int verb_trust_provider_import(struct cli *c);
int verb_trust_provider_show(struct cli *c);
int verb_trust_provider_pin(struct cli *c);
/* trust_backup.c */
int verb_trust_backup(struct cli *c);
int verb_trust_restore(struct cli *c);
/* trust_service.c */
int verb_trust_service_start(struct cli *c);
int verb_trust_service_stop(struct cli *c);
int verb_trust_service_restart(struct cli *c);
int verb_trust_service_status(struct cli *c);
/* vm.c */
int verb_vm_create(struct cli *c);
int verb_vm_register(struct cli *c);
int verb_vm_unregister(struct cli *c);
int verb_vm_reload(struct cli *c);
int verb_vm_power_on(struct cli *c);
int verb_vm_power_off(struct cli *c);
int verb_vm_show(struct cli *c);
int verb_vm_list(struct cli *c);
int verb_vm_unlock(struct cli *c);
int verb_vm_set(struct cli *c);
int verb_vm_policies(struct cli *c);
int verb_vm_lock(struct cli *c);
int verb_vm_recrypt(struct cli *c);
/* disk.c */
int verb_disk_create(struct cli *c);
int verb_disk_attach(struct cli *c);
int verb_disk_detach(struct cli *c);
int verb_disk_encrypt(struct cli *c);
int verb_disk_open(struct cli *c);
int verb_disk_close(struct cli *c);
int verb_disk_set(struct cli *c);
int verb_disk_list(struct cli *c);
/* datastore.c */
int verb_datastore_create(struct cli *c);
int verb_datastore_register(struct cli *c);
int verb_datastore_unregister(struct cli *c);
int verb_datastore_remove(struct cli *c);
int verb_datastore_open(struct cli *c);
int verb_datastore_close(struct cli *c);
int verb_datastore_set(struct cli *c);
int verb_datastore_unlock(struct cli *c);
int verb_datastore_recrypt(struct cli *c);
int verb_datastore_show(struct cli *c);
int verb_datastore_list(struct cli *c);
/* key.c */
int verb_key_list(struct cli *c);
int verb_key_status(struct cli *c);
int verb_key_show(struct cli *c);
int verb_key_remove(struct cli *c);
/* job.c */
int verb_job_list(struct cli *c);
int verb_job_abandon(struct cli *c);
/* audit.c */
int verb_audit_list(struct cli *c);
int verb_audit_verify(struct cli *c);
int verb_audit_head(struct cli *c);
int verb_audit_export(struct cli *c);
/* event.c */
int verb_provider_add_trusted(struct cli *c);
int verb_trust_host_status(struct cli *c);
int verb_trust_host_attest(struct cli *c);
int verb_trust_host_enroll(struct cli *c);
int verb_host_image_export(struct cli *c);
int verb_event_list(struct cli *c);
/* alarm.c */
int verb_alarm_list(struct cli *c);
int verb_alarm_show(struct cli *c);
int verb_alarm_acknowledge(struct cli *c);
int verb_metrics(struct cli *c);
/* status.c */
int verb_status(struct cli *c);
int verb_version(struct cli *c);
/* doctor.c */
int verb_doctor(struct cli *c);
/* libvirt_hook.c */
int verb_libvirt_hook(struct cli *c);
/* help.c */
int verb_help(struct cli *c);

#endif
