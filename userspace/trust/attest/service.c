// SPDX-License-Identifier: GPL-2.0-or-later
/* The service's keys, and what its messages have in common. */
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../keys/cert.h"
#include "../../lib/fs.h"
#include "../../lib/secmem.h"
#include "../token/b64url.h"
#include "../token/jwk.h"
#include "attest_priv.h"

/* ---- keys -------------------------------------------------------------- */

static int token_key(const char *dir, EVP_PKEY **key, struct vmc_error *err)
{
	char path[512];
	int rc;

	snprintf(path, sizeof(path), "%s/token.key", dir);
	rc = cert_key_load(path, key, err);
	if (rc == VMC_ENOENT) {
		rc = cert_key_new(key, err);
		if (!rc)
			rc = cert_key_save(*key, path, err);
	}
	return rc ? rc : jwk_check(*key, err);
}

/* The secret of contexts as its file has it; a new one is written. */
static int read_secret(const char *path, uint8_t *secret, struct vmc_error *err)
{
	char *data = NULL;
	size_t n;
	int rc = fs_read(path, CONTEXT_SECRET, &data, &n, err);

	if (rc == VMC_ENOENT) {
		if (RAND_priv_bytes(secret, CONTEXT_SECRET) != 1)
			return vmc_fail(err, VMC_EINTERNAL, "no random numbers for a key");
		return fs_replace(path, secret, CONTEXT_SECRET, 0600, err);
	}
	if (!rc && n != CONTEXT_SECRET) {
		rc = vmc_fail(err, VMC_EINVAL, "'%s' has %zu bytes instead of %d", path, n, CONTEXT_SECRET);
		vmc_hint(err, "remove it: a new one is made at the next start");
	}
	if (!rc)
		memcpy(secret, data, n);
	if (data)
		secmem_wipe(data, n);
	free(data);
	return rc;
}

static int context_key(const char *dir, struct context_key **k, struct vmc_error *err)
{
	uint8_t *secret = secmem_alloc(CONTEXT_SECRET);
	char path[512];
	int rc;

	if (!secret)
		return vmc_fail(err, VMC_ENOMEM, "no locked memory for the key of contexts");
	snprintf(path, sizeof(path), "%s/context.secret", dir);
	rc = read_secret(path, secret, err);
	if (!rc)
		rc = context_key_new(secret, k, err);
	secmem_free(secret, CONTEXT_SECRET);
	return rc;
}

int attest_open(struct attest_service **out, const char *dir, const char *authority, struct vmc_error *err)
{
	struct attest_service *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return vmc_fail(err, VMC_ENOMEM, "no memory for the Attestation Service");
	trustees_init(&s->trustees);
	snprintf(s->authority, sizeof(s->authority), "%s", authority);
	rc = fs_mkdirs(dir, 0700, err);
	if (!rc)
		rc = token_key(dir, &s->token_key, err);
	if (!rc)
		rc = context_key(dir, &s->contexts, err);
	if (rc)
		attest_close(s);
	else
		*out = s;
	return rc;
}

void attest_close(struct attest_service *s)
{
	if (!s)
		return;
	trustees_end(&s->trustees);
	EVP_PKEY_free(s->token_key);
	context_key_free(s->contexts);
	free(s);
}

int attest_keys(struct attest_service *s, json_t **result, struct refusal *r)
{
	char kid[JWK_KID];
	json_t *jwk = NULL;
	int rc = jwk_thumbprint(s->token_key, kid, &r->err);

	if (!rc)
		rc = jwk_from_key(s->token_key, &jwk, &r->err);
	if (rc)
		return rc;
	if (json_object_set_new(jwk, "kid", json_string(kid)) || json_object_set_new(jwk, "use", json_string("sig")) ||
	    json_object_set_new(jwk, "alg", json_string("ES256"))) {
		json_decref(jwk);
		return vmc_fail(&r->err, VMC_ENOMEM, "no memory for the answer");
	}
	*result = json_pack("{s:[o]}", "keys", jwk);
	return *result ? 0 : vmc_fail(&r->err, VMC_ENOMEM, "no memory for the answer");
}

/* ---- parameters -------------------------------------------------------- */

int refuse_as(int rc, struct refusal *r, const char *reason)
{
	if (rc)
		refuse(r, rc == VMC_ENOMEM || rc == VMC_EINTERNAL ? REASON_UNAVAILABLE : reason);
	return rc;
}

int param_text(const json_t *o, const char *name, const char **v, struct refusal *r)
{
	*v = json_string_value(json_object_get(o, name));
	if (*v && **v)
		return 0;
	vmc_fail(&r->err, VMC_EINVAL, "the request has no text '%s'", name);
	return refuse(r, REASON_BAD_REQUEST);
}

int param_bytes(const json_t *o, const char *name, size_t max, uint8_t **b, size_t *n, struct refusal *r)
{
	int rc = b64url_from_json(json_object_get(o, name), max, b, n);

	if (!rc)
		return 0;
	if (rc == VMC_ENOMEM)
		vmc_fail(&r->err, rc, "no memory for '%s'", name);
	else
		vmc_fail(&r->err, VMC_EINVAL, "the request has no '%s' in base64url, of 1 to %zu bytes", name, max);
	return refuse(r, REASON_BAD_REQUEST);
}

void audience_of(const json_t *state, char out[128])
{
	const char *cluster = json_string_value(json_object_get(state, "cluster"));

	snprintf(out, 128, "%s%s", ATTEST_AUDIENCE, cluster ? cluster : "");
}
