/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the agent of a trusted provider needs of the world outside: the
 * services of the authority, and this host's TPM. A test brings its own.
 */
#ifndef VMC_TRUSTED_WORLD_H
#define VMC_TRUSTED_WORLD_H

#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/config.h"
#include "../../trust/http/refusal.h"
#include "conf.h"

#define TRUSTED_CHAIN_MAX	8
#define TRUSTED_SECRET_MAX	64	/* bytes of a secret that proves an AK */

/* Bytes; free() them by trusted_blob_free(). */
struct trusted_blob {
	uint8_t *p;
	size_t n;
};

/* Who this host's TPM is. */
struct trusted_identity {
	struct trusted_blob ek_cert;	/* X.509 DER; empty: the TPM has none */
	struct trusted_blob ek_chain[TRUSTED_CHAIN_MAX];	/* the same, of those above it; empty: no more */
	struct trusted_blob ek_pub;	/* TPM2B_PUBLIC */
	struct trusted_blob ak_pub;	/* TPMT_PUBLIC */
};

struct trusted_quote {
	struct trusted_blob quote, signature;	/* TPMS_ATTEST, TPMT_SIGNATURE */
	uint32_t pcrs;				/* bit n: pcr[n] is there */
	uint8_t pcr[24][32];			/* SHA-256 bank */
};

struct trusted_boot {
	bool quick;		/* the kernel was started by kexec */
	char kernel[128];	/* its release */
	char id[40];
};

struct trusted_request {
	const char *who;		/* for words: "attestation service of 'ta1'" */
	const struct trusted_server *server;
	const char *path;
	const json_t *body;		/* NULL: GET */
	const char *bearer;		/* NULL: none */
	const char *correlation;
	unsigned int timeout_ms;	/* for all of it */
};

struct trusted_world {
	/* As http_client_call() has it: the answer, or a refusal. */
	int (*ask)(void *data, const struct trusted_request *r, json_t **answer, struct refusal *why);
	/* Makes the AK when there is none. The TPM's codes. */
	int (*identify)(void *data, struct trusted_identity *id, struct vmc_error *err);
	/* TPM2_ActivateCredential. */
	int (*activate)(void *data, const struct trusted_blob *id_object, const struct trusted_blob *encrypted,
			uint8_t secret[TRUSTED_SECRET_MAX], size_t *n, struct vmc_error *err);
	/* VMC_ESTATE: the AK is not the one that was enrolled. */
	int (*quote)(void *data, uint32_t pcrs, const uint8_t extra[32], struct trusted_quote *q, struct vmc_error *err);
	/* VMC_ENOENT: the firmware left none. */
	int (*event_log)(void *data, struct trusted_blob *log, struct vmc_error *err);
	int (*boot)(void *data, struct trusted_boot *b, struct vmc_error *err);
	void (*free)(void *data);	/* may be NULL */
	void *data;
};

void trusted_blob_free(struct trusted_blob *b);
void trusted_identity_clear(struct trusted_identity *id);
void trusted_quote_clear(struct trusted_quote *q);

/* TLS, HTTP and the TPM of @cfg, which is copied. */
int trusted_world_real(struct trusted_world *w, const struct vmc_config *cfg, struct vmc_error *err);

#endif
