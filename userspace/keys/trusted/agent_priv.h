/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the agent share. */
#ifndef VMC_TRUSTED_AGENT_PRIV_H
#define VMC_TRUSTED_AGENT_PRIV_H

#include <limits.h>
#include <pthread.h>

#include "../../trust/http/message.h"
#include "../../trust/token/jwt.h"
#include "agent.h"

#define REQUEST_TIMEOUT_MS	20000u	/* a service asks a TPM maker's chain and its own disk; no more */
#define RECEIPT_MAX		JWT_MAX

#define AK_RECEIPT		"ak.receipt"
#define BOOT_RECEIPT		"boot.receipt"

struct agent {
	char name[PROVIDER_NAME_MAX + 1], host[TRUSTED_NAME_MAX + 1];
	char dir[PATH_MAX - 64];	/* STATE_DIR/trust/NAME */
	struct trusted_conf conf;
	char conf_path[PATH_MAX];	/* that it was read from */
	char services[65];		/* under @work: what of the authority's services was asked for last */
	struct trusted_world w;
	pthread_mutex_t work;		/* one enrols or attests at a time; taken before @lock */
	char *ak_receipt, *boot_receipt;	/* under @work; NULL: none */
	unsigned int first;		/* authority to begin with, under @work */
	pthread_mutex_t lock;		/* what follows */
	enum agent_state state;
	struct agent_token *token;
	json_t *said;			/* members of agent_status() that the last outcome brought */
	int code;			/* of the last attestation; 0: it passed */
	struct vmc_error why;
	char reason[REASON_MAX], correlation[HTTP_CORRELATION];
	bool enrolled;
	unsigned long long attempts, failures;
};

/* One walk: what an authority answered, or what is wrong. */
struct walk {
	struct agent *a;
	const struct trusted_authority *au;
	char correlation[HTTP_CORRELATION];
	struct refusal why;
};

/* POST @body (consumed; NULL: no memory) to the attestation service. 0, or the code of w->why. */
int walk_ask(struct walk *w, const char *path, json_t *body, json_t **answer);
/* A failure of our own, or of the TPM's: into w->why. Returns its code. */
int walk_fail(struct walk *w, const struct vmc_error *err);
/* An answer that is not what was agreed. */
int walk_nonsense(struct walk *w, const char *what);

/* Enrol with w->au and keep the receipt. */
int enrol(struct walk *w);
/* One attestation at w->au, with what it brought: a token that nobody else has, and words about it. */
int attest(struct walk *w, struct agent_token **t, json_t **said);

/* An authority that attests this host says by @hash that its services are others than @hash was of: learn them from it. */
void learn(struct walk *w, const char *hash);

/* Receipts on disk; a missing one is NULL. */
int receipt_load(struct agent *a, const char *file, char **text, struct vmc_error *err);
/* @text NULL: there is none any more. Takes the place of *@kept. */
int receipt_keep(struct agent *a, const char *file, const char *text, char **kept, struct vmc_error *err);

void token_free(struct agent_token *t);

#endif
