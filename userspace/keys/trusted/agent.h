/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The trusted host's half of attestation: it enrols this host's TPM with a
 * Trust Authority once, proves what was booted whenever a token is needed, and
 * keeps the token, whose keys come encrypted to a key of its own.
 *
 *	unknown -> enrolled -> attesting -> attested | failed, which it stays while it tries again
 *
 * "unknown" is it also after a token ended while nobody answered. State on disk:
 * STATE_DIR/trust/NAME/ak.receipt and boot.receipt. From any thread.
 */
#ifndef VMC_TRUSTED_AGENT_H
#define VMC_TRUSTED_AGENT_H

#include <jansson.h>
#include <openssl/evp.h>

#include "world.h"

struct agent;

enum agent_state { AGENT_UNKNOWN, AGENT_ENROLLED, AGENT_ATTESTING, AGENT_ATTESTED, AGENT_FAILED };
const char *agent_state_name(enum agent_state s);	/* "unknown" ... */

/* Counted. The private key dies with the token. */
struct agent_token {
	char *jwt;
	EVP_PKEY *key;
	char id[80];			/* "jti" */
	uint32_t lease;			/* seconds that keys may stay here without another attestation; 0: no limit */
	uint64_t renew_ms, end_ms;	/* vmc_now_ms() */
	unsigned int refs;		/* the agent's */
};

/* @w: the agent's from now on, also when this fails. */
int agent_new(struct agent **a, const char *name, const struct trusted_conf *conf, const struct vmc_config *cfg,
	      const struct trusted_world *w, struct vmc_error *err);
void agent_free(struct agent *a);	/* NULL is fine */
/* The provider is no more: nothing is left of what was kept for it. */
void agent_forget(const struct vmc_config *cfg, const char *name);

/*
 * A token that is good now; attests (and enrols) when there is none. agent_put() it. VMC_ENOTATTESTED: the authority does not
 * trust this host, the text says why; VMC_EUNREACH and the like: no authority answers; the TPM's codes.
 */
int agent_token(struct agent *a, struct agent_token **t, struct vmc_error *err);
void agent_put(struct agent *a, struct agent_token *t);
/* A service would not have it: the next one is another. */
void agent_drop(struct agent *a, const struct agent_token *t);

enum agent_how { AGENT_IF_DUE, AGENT_NOW, AGENT_ENROL };
/* Attest when the token is near its end, or in any case, or with a new enrolment before. Codes as agent_token(). */
int agent_attest(struct agent *a, enum agent_how how, struct vmc_error *err);
/* Seconds until agent_attest(AGENT_IF_DUE) has something to do; 0: now. */
unsigned int agent_due(struct agent *a);

/* Has it a token that is good now? */
bool agent_is_good(struct agent *a);

/* Was this host refused when it last asked? Nobody's answer at all is none. */
bool agent_is_refused(struct agent *a);

/*
 * {provider, state, cluster, attested_at?, attested_until?, authority?, image?: {id, name}, quick_boot, lease?, reason?, error?, hint?,
 * details?, correlation?, enrolled, attempts, failures}. NULL without memory.
 */
json_t *agent_status(struct agent *a);

const struct trusted_world *agent_world(const struct agent *a);
const struct trusted_conf *agent_conf(const struct agent *a);

/* What is told when the outcome changes. @what: "passed", "failed", "unset". From any thread; must not call an agent. */
struct agent_hook {
	void (*told)(const char *provider, const char *what, const struct vmc_error *why, const char *correlation,
		     void *data);
	void *data;
};
/* One in a process; NULL: none. Returns when the one from before is not being told any more. */
void agent_set_hook(const struct agent_hook *hook);

#endif
