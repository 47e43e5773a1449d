/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two authorities of one cluster, and a host's TPM, in this process: they keep
 * to the protocol, check what binds a token to its key, and fail as they are told.
 */
#ifndef VMC_TRUSTED_MOCK_AUTHORITY_H
#define VMC_TRUSTED_MOCK_AUTHORITY_H

#include "trusted.h"

#define MOCK_KEYS	8

struct mock_authority {
	bool attest_down[2], kmx_down[2];
	const char *reason;		/* attestation is refused for it */
	unsigned int reason_times;	/* so often, then no more; 0: each time */
	bool nonsense;			/* what attestd answers makes none */
	bool no_tokens;			/* kmxd takes none of those given out until now */
	bool no_token_ever;		/* nor of those that come */
	int kms_code;			/* what kmxd says of its key server; 0: that is well */
	bool kms_of_first;		/* only of that which the first authority can use */
	bool foreign_key;		/* kmxd encrypts to another key */
	int tpm;			/* the TPM fails with this code */
	bool other_ak;			/* VMC_ESTATE once, until it is enrolled again */
	int lifetime, next, lease;	/* seconds; of tokens */
	bool no_lease;			/* a token that does not tell it */
	bool backwards;			/* one from before 1970 to the end of time */
	/* what was seen */
	unsigned int enrolled, challenged, attested, asked[2], kmx_asked[2];
	bool had_boot_receipt, quick;
	char host[64], bearer[2048], correlation[17];
	/* keys */
	unsigned int n;
	struct {
		char id[16], label[64];
		uint8_t material[32];
		const char *state, *code;	/* of an error */
	} k[MOCK_KEYS];
	/* inside */
	uint8_t nonce[32], extra[32];
	EVP_PKEY *key;			/* of the last token */
	unsigned int jti;
};

/* From here on trusted providers find it in place of the world. */
void mock_authority_start(struct mock_authority *m);
void mock_authority_stop(struct mock_authority *m);

/* Its services-info; free() it. @serial of the state, @address: of the first authority's kmxd. */
char *mock_services_info(const char *cluster, int serial, const char *address);

#endif
