/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of attest/ share. Nobody else includes it. */
#ifndef VMC_TRUST_ATTEST_PRIV_H
#define VMC_TRUST_ATTEST_PRIV_H

#include <openssl/evp.h>

#include "../evidence/ak.h"
#include "../token/context.h"
#include "service.h"
#include "../service/trustees.h"

#define NONCE_LEN	32

struct attest_service {
	char authority[64];
	EVP_PKEY *token_key;
	struct context_key *contexts;
	struct trustees_cache trustees;
};

/* ---- parameters ---- */

/* A text of the body; VMC_EINVAL names what is missing. */
int param_text(const json_t *o, const char *name, const char **v, struct refusal *r);
/* Base64url of 1 to @max bytes; free() them. */
int param_bytes(const json_t *o, const char *name, size_t max, uint8_t **b, size_t *n, struct refusal *r);
/* "audience" that tokens of this cluster have. */
void audience_of(const json_t *state, char out[128]);
/* @rc of a call into another library: its words are in @r already. */
int refuse_as(int rc, struct refusal *r, const char *reason);

/* ---- receipts ---- */

/* What an AK receipt says, checked against the state as it is now. */
struct receipt {
	json_t *claims;			/* the texts point into it */
	const char *ek, *host;
	bool by_certificate;
	struct ak ak;
	uint8_t ak_digest[32];
};
int receipt_make(struct attest_service *s, const json_t *enrolled, int64_t now, char **token, struct vmc_error *err);
int receipt_read(struct attest_service *s, const struct attest_call *c, struct receipt *out, struct attest_note *note,
		 struct refusal *r);
void receipt_clear(struct receipt *x);

/* ---- full boots ---- */

struct boot {
	bool quick;			/* the host says that it was kexec'd */
	uint32_t reset_count;		/* as quoted */
	const char *ek, *image;
};
/* May a host that booted so be attested? */
int boot_check(struct attest_service *s, const struct attest_call *c, const struct boot *b, struct refusal *r);
int boot_receipt(struct attest_service *s, const struct boot *b, int64_t now, char **token, struct vmc_error *err);

#endif
