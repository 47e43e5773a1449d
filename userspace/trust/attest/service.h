/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Attestation Service: what it answers, without HTTP. It keeps nothing
 * between two messages: what it has to remember travels with the host, sealed
 * (token/context.h) or signed (receipts). Any function from any thread.
 */
#ifndef VMC_TRUST_ATTEST_SERVICE_H
#define VMC_TRUST_ATTEST_SERVICE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "../evidence/ek.h"
#include "../http/refusal.h"

#define ATTEST_HOST_MAX		128
#define ATTEST_PURPOSE_ENROLL	"enroll"
#define ATTEST_PURPOSE_ATTEST	"attest"
#define ATTEST_ANSWER_SECONDS	120	/* that a host has between two messages; some TPMs take their time */
#define ATTEST_AUDIENCE		"vmcrypt-kmxd:"	/* and the name of the cluster */

struct attest_service;

/*
 * @dir: the service's own folder. token.key and context.secret in it are made when they are not there. @authority: its
 * name in tokens ("iss"), copied.
 */
int attest_open(struct attest_service **s, const char *dir, const char *authority, struct vmc_error *err);
void attest_close(struct attest_service *s);	/* NULL is fine */

/* One message. */
struct attest_call {
	const json_t *state;		/* snapshot of the desired state */
	const json_t *body;
	int64_t now;			/* seconds since 1970 */
};

/* Who it was and what came of it, for the log; as far as it was found out. */
struct attest_note {
	char host[ATTEST_HOST_MAX], ek[EK_ID_LEN];
	char image[65], image_name[128];
	bool quick_boot;
};

/* {host, ek_cert?, ek_chain?, ek_pub, ak_pub} -> {credential: {id_object, secret}, context} */
int attest_enroll(struct attest_service *s, const struct attest_call *c, json_t **result, struct attest_note *note,
		  struct refusal *r);
/* {context, secret} -> {ak_receipt} */
int attest_confirm(struct attest_service *s, const struct attest_call *c, json_t **result, struct attest_note *note,
		   struct refusal *r);
/* {ak_receipt} -> {nonce, pcrs, bank, expires, audience, context} */
int attest_challenge(struct attest_service *s, const struct attest_call *c, json_t **result, struct attest_note *note,
		     struct refusal *r);
/*
 * {context, ak_receipt, quote, signature, pcrs, event_log, ephemeral, audience, boot: {quick_boot, kernel?, boot_id?},
 * boot_receipt?} -> {token, report, boot_receipt, attested_until, image: {id, name}, next}
 */
int attest_evidence(struct attest_service *s, const struct attest_call *c, json_t **result, struct attest_note *note,
		    struct refusal *r);
/* The key that signs tokens: {keys: [JWK]}. */
int attest_keys(struct attest_service *s, json_t **result, struct refusal *r);

#endif
