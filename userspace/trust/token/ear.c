// SPDX-License-Identifier: GPL-2.0-or-later
/* EAR-shaped claims. */
#include "ear.h"

#include <string.h>

#include "../../lib/version.h"
#include "b64url.h"
#include "jose_priv.h"
#include "jwk.h"

#define SUBMOD		"host"
/* Tiers of the EAR draft: each claim of the vector is a number of its tier. */
#define AFFIRMING	2
#define WARNING		32

/* ---- making ------------------------------------------------------------ */

static const char *status(const struct ear_facts *f)
{
	return f->quick_boot || !f->secure_boot ? "warning" : "affirming";
}

static json_t *submods(const struct ear_facts *f)
{
	/* who it is: vouched for by the TPM's maker, or by the one key that was imported; both are affirming */
	return json_pack("{s:{s:s, s:{s:i, s:i, s:i, s:i}, s:s}}", SUBMOD, "ear.status", status(f),
			 "ear.trustworthiness-vector", "instance-identity", AFFIRMING, "configuration",
			 f->secure_boot ? AFFIRMING : WARNING, "executables", f->quick_boot ? WARNING : AFFIRMING,
			 "hardware", f->ek_by_certificate ? AFFIRMING : 0, "ear.appraisal-policy-id", EAR_POLICY);
}

static json_t *ours(const struct ear_facts *f)
{
	return json_pack("{s:s, s:{s:s, s:s}, s:b, s:b, s:I, s:I}", "host", f->host, "image", "id", f->image_id, "name",
			 f->image_name, "quick_boot", f->quick_boot, "secure_boot", f->secure_boot, "reset_count",
			 (json_int_t)f->reset_count, "lease", (json_int_t)f->lease);
}

static int confirm(json_t *o, EVP_PKEY *key, struct vmc_error *err)
{
	json_t *jwk;
	int rc = jwk_from_key(key, &jwk, err);

	if (!rc && json_object_set_new(o, "cnf", json_pack("{s:o}", "jwk", jwk)))
		rc = vmc_fail(err, VMC_ENOMEM, "no memory for a token");
	return rc;
}

int ear_claims(const struct ear_facts *f, json_t **claims, struct vmc_error *err)
{
	json_int_t until = f->now + f->lifetime;
	json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:o, s:{s:s, s:s}, s:o, s:o}", "iss", f->issuer,
			      "sub", f->subject, "aud", f->audience, "iat", (json_int_t)f->now, "nbf",
			      (json_int_t)f->now, "exp", until, "jti", f->jti,
			      "eat_profile", EAR_PROFILE, "eat_nonce", b64url_json(f->nonce, f->nonce_len),
			      "ear.verifier-id", "developer", "vmcrypt", "build", VMC_VERSION, "submods", submods(f),
			      "vmcrypt", ours(f));
	int rc = o ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for a token");

	if (!rc && f->confirmation)
		rc = confirm(o, f->confirmation, err);
	if (rc)
		json_decref(o);
	else
		*claims = o;
	return rc;
}

/* ---- reading ----------------------------------------------------------- */

static const char *text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s && *s && strlen(s) == json_string_length(json_object_get(o, name)) ? s : NULL;
}

static int read_confirmation(const json_t *claims, struct ear_result *r, struct vmc_error *err)
{
	const json_t *cnf = json_object_get(claims, "cnf");

	return cnf ? jwk_to_key(json_object_get(cnf, "jwk"), &r->confirmation, err) : 0;
}

static bool shape_ok(const json_t *claims, const struct ear_result *r, const json_t *v)
{
	const json_t *exp = json_object_get(claims, "exp"), *resets = json_object_get(v, "reset_count");
	const char *s = text(json_object_get(json_object_get(claims, "submods"), SUBMOD), "ear.status");

	return jose_is(claims, "eat_profile", EAR_PROFILE) && s && (!strcmp(s, "affirming") || !strcmp(s, "warning")) &&
	       r->subject && r->jti && strlen(r->jti) <= EAR_JTI_MAX && r->host && r->image_id && r->image_name &&
	       json_is_integer(exp) && json_is_integer(resets) && json_integer_value(resets) >= 0 &&
	       json_integer_value(resets) <= UINT32_MAX && json_is_boolean(json_object_get(v, "quick_boot"));
}

int ear_read(const json_t *claims, struct ear_result *r, struct vmc_error *err)
{
	const json_t *v = json_object_get(claims, "vmcrypt"), *image = json_object_get(v, "image");

	*r = (struct ear_result){
		.subject = text(claims, "sub"), .jti = text(claims, "jti"), .host = text(v, "host"),
		.image_id = text(image, "id"), .image_name = text(image, "name"),
		.expires = json_integer_value(json_object_get(claims, "exp")),
		.reset_count = (uint32_t)json_integer_value(json_object_get(v, "reset_count")),
		.quick_boot = json_is_true(json_object_get(v, "quick_boot")),
	};
	if (!shape_ok(claims, r, v))
		return vmc_fail(err, VMC_EPROTO, "the token does not say what an attestation found");
	return read_confirmation(claims, r, err);
}

void ear_clear(struct ear_result *r)
{
	EVP_PKEY_free(r->confirmation);
	memset(r, 0, sizeof(*r));
}
