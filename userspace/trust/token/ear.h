/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What attestation found, as claims of a token: shaped as an EAT Attestation
 * Result (EAR), so that other programs that read those understand ours.
 */
#ifndef VMC_TRUST_EAR_H
#define VMC_TRUST_EAR_H

#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

#include "../../lib/error.h"

#define EAR_PROFILE	"tag:github.com,2023:veraison/ear"
#define EAR_POLICY	"vmcrypt:base-images"
#define EAR_JTI_MAX	64

struct ear_facts {
	const char *issuer;		/* name of the authority */
	const char *subject;		/* the host: hex SHA-256 of its endorsement key */
	const char *audience;
	const char *jti;		/* EAR_JTI_MAX characters at most */
	int64_t now;			/* seconds since 1970 */
	unsigned int lifetime;		/* seconds */
	const uint8_t *nonce;		/* of the challenge */
	size_t nonce_len;
	const char *host;		/* as the host calls itself */
	const char *image_id, *image_name;
	bool quick_boot;
	uint32_t reset_count;
	bool secure_boot;
	bool ek_by_certificate;
	uint32_t lease;			/* seconds that keys may stay without another attestation; 0: until a reboot */
	EVP_PKEY *confirmation;		/* that keys are encrypted to; NULL in a report */
};

/*
 * {iss, sub, aud, iat, nbf, exp, jti, cnf?: {jwk}, eat_profile, eat_nonce, ear.verifier-id, submods: {host: {
 * ear.status, ear.trustworthiness-vector, ear.appraisal-policy-id}}, vmcrypt: {host, image: {id, name}, quick_boot,
 * secure_boot, reset_count, lease}}. Warning instead of affirming for a host that was kexec'd or has no Secure Boot.
 */
int ear_claims(const struct ear_facts *f, json_t **claims, struct vmc_error *err);

/* What a service wants from verified claims; pointers into @claims. */
struct ear_result {
	const char *subject, *host, *image_id, *image_name, *jti;
	int64_t expires;
	uint32_t reset_count;
	bool quick_boot;
	EVP_PKEY *confirmation;		/* EVP_PKEY_free(); NULL when there is none */
};
/* VMC_EPROTO: not of that shape, or its status is neither affirming nor warning. */
int ear_read(const json_t *claims, struct ear_result *r, struct vmc_error *err);
void ear_clear(struct ear_result *r);

#endif
