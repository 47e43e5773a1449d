/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A request that a service refused: the error in words, and the reason as one
 * word for programs. On the wire {"error": {"code", "reason", "text", "hint", "details"?}, "correlation"}.
 */
#ifndef VMC_TRUST_REFUSAL_H
#define VMC_TRUST_REFUSAL_H

#include <jansson.h>

#include "../../lib/error.h"

/* Why evidence or a token was not taken. */
#define REASON_EVIDENCE_INVALID		"evidence_invalid"
#define REASON_POLICY_MISMATCH		"policy_mismatch"	/* details: {pcrs, events} */
#define REASON_EK_UNTRUSTED		"ek_untrusted"
#define REASON_NONCE_EXPIRED		"nonce_expired"		/* the context: begin anew */
#define REASON_RESET_COUNT_CHANGED	"reset_count_changed"
#define REASON_QUICK_BOOT		"quick_boot"
#define REASON_AK_UNKNOWN		"ak_unknown"		/* the receipt: enrol anew */
#define REASON_SECURE_BOOT_OFF		"secure_boot_off"
#define REASON_NOT_AUTHORIZED		"not_authorized"	/* token missing, expired or foreign; or the role */
#define REASON_NOT_ALLOWED		"not_allowed"		/* to any host: the policy says so */
#define REASON_BAD_REQUEST		"bad_request"
#define REASON_NOT_FOUND		"not_found"
#define REASON_KEY_PROVIDER		"key_provider"		/* the key server said no, or nothing */
#define REASON_UNAVAILABLE		"unavailable"		/* try another authority */

#define REASON_MAX	32

struct refusal {
	struct vmc_error err;
	char reason[REASON_MAX];	/* empty: none in particular */
	json_t *details;		/* or NULL */
};

/* After vmc_fail(&r->err, ...): the word for it. Returns the code. */
int refuse(struct refusal *r, const char *reason);
void refusal_clear(struct refusal *r);

/* What HTTP calls it: 400, 401, 403, 404, 409, 502, 503, 500. */
int refusal_status(const struct refusal *r);

/* The body, in English; NULL: no memory. */
json_t *refusal_json(const struct refusal *r, const char *correlation);
/* What @body of an answer with @status says; always a refusal, if only of the answer. @who: for the words. Returns its code. */
int refusal_from_json(const json_t *body, int status, const char *who, const char *correlation, struct refusal *r);

#endif
