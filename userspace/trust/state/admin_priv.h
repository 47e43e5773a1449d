/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the administrator's verbs share. Nobody else includes it. */
#ifndef VMC_TRUST_ADMIN_PRIV_H
#define VMC_TRUST_ADMIN_PRIV_H

#include <limits.h>
#include <pthread.h>

#include "../../keys/provider.h"
#include "admin.h"

#define ATTESTD_DIR	"attestd"	/* below the folder of the state: identity and token key */
#define KMXD_DIR	"kmxd"		/* identity and, in providers/, what the key servers know it by */
#define TOKEN_KEY	"token.key"
#define STATE_NAME	"state.jws"
#define PUBLIC_NAME	"cluster.pub"
#define CLUSTER_KEY	"attestd/cluster.key"
#define CONFIG_NAME	"trust.conf"	/* in a backup; elsewhere on disk than the others */
#define CONFIG_MAX	65536

struct attested;

struct trust_admin {
	struct trust_state *state;
	struct trust_admin_options o;
	char host[TRUST_NAME_MAX + 1];
	struct providers *providers;
	struct attested *attested;
	pthread_mutex_t change;		/* one verb that changes something at a time */
};

/* One call. */
struct trust_call {
	struct trust_admin *a;
	const json_t *params;
	const struct trust_files *files;
	json_t *result;			/* the verb's own, NULL: {} */
	struct vmc_error *err;
};

typedef int (*trust_verb_fn)(struct trust_call *c);

/* Parameters; VMC_EINVAL names the one that is missing or of another kind. */
int call_text(const struct trust_call *c, const char *name, const char **v);
const char *call_text_or_null(const struct trust_call *c, const char *name);
bool call_flag(const struct trust_call *c, const char *name);
int call_file(const struct trust_call *c, int fd, const char *what);
/* All of the regular file @fd, 1 to @max bytes, and a NUL: in the secure heap, secmem_free(*data, *n + 1); or free(). */
int call_secret(const struct trust_call *c, int fd, size_t max, const char *what, char **data, size_t *n);
int call_bytes(const struct trust_call *c, int fd, size_t max, const char *what, char **data, size_t *n);
/* The first line of the password's file, without what ends it: *@n bytes; secmem_free(*password, *size + 1). */
int call_password(struct trust_call *c, char **password, size_t *n, size_t *size);
/* The result is @v, consumed; NULL: no memory. */
int call_give(struct trust_call *c, json_t *v);
int call_no_memory(const struct trust_call *c);

/* The state as it is, counted; VMC_ENOENT: in no cluster yet. */
int call_state(const struct trust_call *c, json_t **state);
/* Under the state's edit. */
int call_edit(struct trust_call *c, trust_edit_fn edit);
int no_such(struct vmc_error *err, const char *what, const char *name, const char *verb);

/* What this authority shows others: {name, attest, attest_cert, kmx, kmx_cert, token_key, version}. */
int authority_self(struct trust_admin *a, const char *address, json_t **self, struct vmc_error *err);
bool authority_is_self(struct trust_admin *a, const json_t *authority);
/*
 * One of its services, its Attestation or its Key Provider Service; by another certificate that is believed, when it does
 * not show the first. @body NULL: GET.
 */
int authority_ask(struct trust_admin *a, const json_t *authority, bool attest, const char *path, const json_t *body,
		  json_t **answer, struct vmc_error *err);
/* GET /v1/health of one of its services, "attest" or "kmx". */
int authority_health(struct trust_admin *a, const json_t *authority, const char *service, json_t **health,
		     struct vmc_error *err);
/* Has it the serial and hash of @base (trust_health_base())? */
bool authority_in_step(const json_t *base, const json_t *health);

/* The key provider folders as the state has them. */
int providers_apply(struct trust_admin *a, struct vmc_error *err);
/*
 * The same after the state @before (NULL: none): of a provider that was removed and added again in between nothing is
 * kept, neither by what its servers were trusted nor what they know this authority by.
 */
int providers_follow(struct trust_admin *a, const json_t *before, struct vmc_error *err);

int attested_open(struct attested **t, const char *dir, struct vmc_error *err);
void attested_close(struct attested *t);
void attested_note(struct attested *t, const char *ek, const char *host, const char *image, bool quick_boot);
/* {ID: {last, host, hosts, quick_boot: [HOST...]}} */
json_t *attested_images(struct attested *t);

#define VERB(fn)	int fn(struct trust_call *c)
/* admin.c */
VERB(verb_init); VERB(verb_join); VERB(verb_status); VERB(verb_state_put); VERB(verb_state_get);
VERB(verb_services_info); VERB(verb_metrics);
/* admin_authority.c */
VERB(verb_authority_show); VERB(verb_authority_add); VERB(verb_authority_list); VERB(verb_authority_remove);
VERB(verb_remediate);
/* admin_lists.c */
VERB(verb_ca_add); VERB(verb_ca_list); VERB(verb_ca_show); VERB(verb_ca_remove);
VERB(verb_ek_add); VERB(verb_ek_list); VERB(verb_ek_remove);
VERB(verb_principal_add); VERB(verb_principal_list); VERB(verb_principal_remove);
VERB(verb_policy_show); VERB(verb_policy_set);
/* admin_image.c */
VERB(verb_image_import); VERB(verb_image_list); VERB(verb_image_show); VERB(verb_image_remove);
/* admin_provider.c */
VERB(verb_provider_add); VERB(verb_provider_list); VERB(verb_provider_remove); VERB(verb_provider_trust);
/* admin_health.c */
VERB(verb_health);
/* admin_upgrade.c */
VERB(verb_upgrade_check);
/* admin_backup.c */
VERB(verb_backup);
/* admin_rotate.c */
VERB(verb_rotate);
/* admin_restore.c */
VERB(verb_restore);
#undef VERB

#endif
