/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A trusted host without a TPM: keys by OpenSSL, in the forms of a TPM, and the log of a real start. What it says is
 * what a host with a TPM says; for tests and for tools/bench.
 */
#ifndef VMC_TRUST_MOCK_HOST_H
#define VMC_TRUST_MOCK_HOST_H

#include <jansson.h>
#include <openssl/evp.h>

#include "../evidence/mock_logs.h"

struct mock_host {
	char name[32], ek_id[65];
	EVP_PKEY *ek, *ak, *ephemeral;
	uint8_t ek_pub[512], ak_pub[256];
	size_t n_ek_pub, n_ak_pub;
	enum mock_log log;
	uint32_t reset_count;
	bool quick_boot;
	char *receipt, *boot, *token;	/* as the service gave them */
};

struct mock_host *mock_host_new(const char *name, enum mock_log log);
void mock_host_free(struct mock_host *h);

/* Bodies of the four requests; abort when that cannot be. */
json_t *mock_host_enroll(struct mock_host *h);
json_t *mock_host_confirm(struct mock_host *h, const json_t *credential);	/* activates it */
json_t *mock_host_challenge(struct mock_host *h);
json_t *mock_host_evidence(struct mock_host *h, const json_t *challenge);
/* What the answers leave with the host. */
void mock_host_enrolled(struct mock_host *h, const json_t *answer);
void mock_host_attested(struct mock_host *h, const json_t *answer);

/* A desired state for such hosts: cluster "lab", the token key @key of authority "ta1", the policy; no images, no EKs. */
json_t *mock_state(EVP_PKEY *key);
void mock_state_ek(json_t *state, const struct mock_host *h);
void mock_state_image(json_t *state, enum mock_log log, const char *name);

#endif
