// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Full boots and quick ones. PCRs and log tell of the last full boot; a kernel that was started by kexec since is not
 * in them. It is believed as far as the one that started it was: when that one was attested in the same boot.
 */
#include <stdlib.h>
#include <string.h>

#include "../token/jwt.h"
#include "attest_priv.h"

static int quick_boot(struct refusal *r)
{
	vmc_fail(&r->err, VMC_ESTATE, "the host was started by kexec (Quick Boot) and was not attested since its last full boot");
	vmc_hint(&r->err, "restart the host through its firmware: only a full boot measures what it runs");
	return refuse(r, REASON_QUICK_BOOT);
}

static int went_back(uint32_t before, uint32_t now, struct refusal *r)
{
	vmc_fail(&r->err, VMC_EREPLAY, "the TPM of the host counts %u starts, and counted %u before: it was cleared, exchanged or rolled back",
		 now, before);
	vmc_hint(&r->err, "when that was meant to be, forget what was before: vmcrypt trust host enroll");
	return refuse(r, REASON_RESET_COUNT_CHANGED);
}

/* The receipt's reset count; false: it is none of this host's. */
static bool receipt_count(const json_t *claims, const char *ek, uint32_t *count)
{
	const char *sub = json_string_value(json_object_get(claims, "sub"));
	const json_t *n = json_object_get(claims, "reset_count");

	if (!sub || strcmp(sub, ek) || !json_is_integer(n) || json_integer_value(n) < 0 ||
	    json_integer_value(n) > UINT32_MAX)
		return false;
	*count = (uint32_t)json_integer_value(n);
	return true;
}

int boot_check(struct attest_service *s, const struct attest_call *c, const struct boot *b, struct refusal *r)
{
	const struct jwt_expect want = { .typ = JWT_TYP_BOOT, .now = c->now };
	const char *token = json_string_value(json_object_get(c->body, "boot_receipt"));
	struct trustees *t;
	uint32_t count = 0;
	json_t *claims;
	bool good;
	int rc;

	if (!token)
		return b->quick ? quick_boot(r) : 0;
	rc = refuse_as(trustees_get(&s->trustees, c->state, s->token_key, &t, &r->err), r, REASON_UNAVAILABLE);
	if (rc)
		return rc;
	rc = jwt_verify(token, t->keys, t->n_keys, &want, &claims, NULL);
	trustees_put(&s->trustees, t);
	good = !rc && receipt_count(claims, b->ek, &count);
	if (!rc)
		json_decref(claims);
	if (good && b->reset_count < count)
		return went_back(count, b->reset_count, r);
	/* a receipt of an authority that is gone, or of another host, is as good as none */
	return b->quick && !(good && b->reset_count == count) ? quick_boot(r) : 0;
}

int boot_receipt(struct attest_service *s, const struct boot *b, int64_t now, char **token, struct vmc_error *err)
{
	json_t *claims = json_pack("{s:s, s:I, s:s, s:I, s:s}", "iss", s->authority, "iat", (json_int_t)now, "sub", b->ek,
				   "reset_count", (json_int_t)b->reset_count, "image", b->image);
	int rc = claims ? jwt_sign(s->token_key, JWT_TYP_BOOT, claims, token, err) :
		 vmc_fail(err, VMC_ENOMEM, "no memory for a receipt");

	json_decref(claims);
	return rc;
}
