// SPDX-License-Identifier: GPL-2.0-or-later
/* Which TPMs are believed, who may do what, and the policy. The shape of what is added is for tstate.h to check. */
#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "../../keys/cert.h"
#include "../../lib/i18n.h"
#include "../../lib/message.h"
#include "../../lib/util.h"
#include "admin_priv.h"
#include "tstate.h"

/* A list of named things in the state. */
struct list {
	const char *in, *name;		/* the object it is in (NULL: the state itself), and its name there */
	const char *what;		/* for words, of N_() */
	const char *verb;		/* that lists them */
};

static const struct list cas = { "tpm2", "ca_certificates", N_("CA certificate"), "ca list" };
static const struct list eks = { "tpm2", "eks", N_("endorsement key"), "ek list" };
static const struct list principals = { NULL, "principals", N_("principal"), "principal list" };

static json_t *list_of(const struct list *l, const json_t *state)
{
	return json_object_get(l->in ? json_object_get(state, l->in) : state, l->name);
}

/* What one verb does to a list. */
struct change {
	struct trust_call *c;
	const struct list *list;
	json_t *item;			/* to be added; NULL: take c's "name" out */
};

static int edit_list(json_t *state, void *data, struct vmc_error *err)
{
	struct change *ch = data;
	json_t *all = list_of(ch->list, state);
	const char *name;
	size_t at;
	int rc = call_text(ch->c, "name", &name);

	if (rc)
		return rc;
	if (!ch->item) {
		if (!tstate_find(all, "name", name, &at))
			return no_such(err, ch->list->what, name, ch->list->verb);
		return json_array_remove(all, at) ? call_no_memory(ch->c) : 0;
	}
	if (tstate_find(all, "name", name, NULL))
		return vmc_fail(err, VMC_EEXIST, "there is a %s '%.80s' already", message_say(ch->list->what), name);
	return json_array_append(all, ch->item) ? call_no_memory(ch->c) : 0;
}

/* @item is consumed. */
static int add(struct trust_call *c, const struct list *l, json_t *item)
{
	struct change ch = { c, l, item };
	int rc = item ? trust_state_edit(c->a->state, edit_list, &ch, c->err) :
		 vmc_fail(c->err, VMC_EINVAL, "the parameters are not plain text");

	json_decref(item);
	return rc;
}

static int take_out(struct trust_call *c, const struct list *l)
{
	struct change ch = { c, l, NULL };

	return trust_state_edit(c->a->state, edit_list, &ch, c->err);
}

static int give_list(struct trust_call *c, const struct list *l, json_t *(*describe)(const json_t *))
{
	json_t *state, *out = json_array();
	const json_t *e;
	int rc = call_state(c, &state);
	size_t i;

	if (!rc) {
		json_array_foreach(list_of(l, state), i, e)
			json_array_append_new(out, describe(e));
		json_decref(state);
		return call_give(c, json_pack("{s:o}", l->name, out));
	}
	json_decref(out);
	return rc;
}

/* ---- CAs ------------------------------------------------------------------------------ */

static json_t *describe_ca(const json_t *ca)
{
	STACK_OF(X509) *chain;
	json_t *o;

	if (cert_chain_from_pem(json_string_value(json_object_get(ca, "pem")), "certificate", &chain, NULL))
		return json_pack("{s:O}", "name", json_object_get(ca, "name"));
	o = cert_json(sk_X509_value(chain, 0));
	cert_chain_free(chain);
	json_object_set(o, "name", json_object_get(ca, "name"));
	json_object_del(o, "pem");
	return o;
}

int verb_ca_add(struct trust_call *c)
{
	const char *name, *pem;
	int rc = call_text(c, "name", &name);

	if (!rc)
		rc = call_text(c, "pem", &pem);
	return rc ? rc : add(c, &cas, json_pack("{s:s, s:s}", "name", name, "pem", pem));
}

int verb_ca_list(struct trust_call *c)
{
	return give_list(c, &cas, describe_ca);
}

int verb_ca_show(struct trust_call *c)
{
	const char *name;
	json_t *state = NULL, *ca;
	int rc = call_text(c, "name", &name);

	if (!rc)
		rc = call_state(c, &state);
	if (rc)
		return rc;
	ca = tstate_find(list_of(&cas, state), "name", name, NULL);
	if (ca) {
		rc = call_give(c, describe_ca(ca));
		if (!rc)
			json_object_set(c->result, "pem", json_object_get(ca, "pem"));
	} else {
		rc = no_such(c->err, cas.what, name, cas.verb);
	}
	json_decref(state);
	return rc;
}

int verb_ca_remove(struct trust_call *c)
{
	return take_out(c, &cas);
}

/* ---- endorsement keys ------------------------------------------------------------------- */

/* The id that the key has is told by the key; one that is given must be that. */
static int ek_of(struct trust_call *c, const char *pub, char id[65])
{
	BIO *b = BIO_new_mem_buf(pub, -1);
	EVP_PKEY *key = b ? PEM_read_bio_PUBKEY(b, NULL, NULL, NULL) : NULL;
	const char *want = call_text_or_null(c, "ek");
	uint8_t *der = NULL, hash[SHA256_DIGEST_LENGTH];
	int n = key ? i2d_PUBKEY(key, &der) : -1;

	BIO_free(b);
	EVP_PKEY_free(key);
	if (n <= 0)
		return vmc_fail(c->err, VMC_EINVAL, "the endorsement key is not a public key in PEM");
	SHA256(der, n, hash);
	OPENSSL_free(der);
	vmc_hex_encode(hash, sizeof(hash), id);
	if (!want || !strcmp(want, id))
		return 0;
	return vmc_fail(c->err, VMC_EINVAL, "the endorsement key has the id %s, not %.64s", id, want);
}

int verb_ek_add(struct trust_call *c)
{
	const char *name, *pub;
	char id[65];
	int rc = call_text(c, "name", &name);

	if (!rc)
		rc = call_text(c, "pub", &pub);
	if (!rc)
		rc = ek_of(c, pub, id);
	return rc ? rc : add(c, &eks, json_pack("{s:s, s:s, s:s}", "name", name, "ek", id, "pub", pub));
}

static json_t *describe_ek(const json_t *ek)
{
	return json_pack("{s:O, s:O}", "name", json_object_get(ek, "name"), "ek", json_object_get(ek, "ek"));
}

int verb_ek_list(struct trust_call *c)
{
	return give_list(c, &eks, describe_ek);
}

int verb_ek_remove(struct trust_call *c)
{
	return take_out(c, &eks);
}

/* ---- principals -------------------------------------------------------------------------- */

static int fingerprint_of(struct trust_call *c, char out[CERT_FINGERPRINT])
{
	const char *pem = call_text_or_null(c, "pem"), *text = call_text_or_null(c, "fingerprint");
	STACK_OF(X509) *chain;
	struct cert_pin pin;
	int rc;

	if (!pem == !text)
		return vmc_fail(c->err, VMC_EINVAL, "a principal has either a fingerprint or a certificate");
	if (text) {
		rc = cert_pin_parse(text, &pin, c->err);
		if (!rc && pin.spki)
			rc = vmc_fail(c->err, VMC_EINVAL, "the fingerprint must be that of the certificate, not of its key");
		for (char *p = pin.hex; !rc && *p; p++)
			*p = (char)tolower((unsigned char)*p);
		if (!rc)
			memcpy(out, pin.hex, CERT_FINGERPRINT);
		return rc;
	}
	rc = cert_chain_from_pem(pem, N_("the certificate given"), &chain, c->err);
	if (rc)
		return rc;
	rc = cert_fingerprint(sk_X509_value(chain, 0), out) ? call_no_memory(c) : 0;
	cert_chain_free(chain);
	return rc;
}

int verb_principal_add(struct trust_call *c)
{
	char fingerprint[CERT_FINGERPRINT];
	const char *name, *role;
	int rc = call_text(c, "name", &name);

	if (!rc)
		rc = call_text(c, "role", &role);
	if (!rc)
		rc = fingerprint_of(c, fingerprint);
	return rc ? rc : add(c, &principals, json_pack("{s:s, s:s, s:s}", "name", name, "fingerprint", fingerprint,
						       "role", role));
}

static json_t *describe_principal(const json_t *p)
{
	return json_deep_copy(p);
}

int verb_principal_list(struct trust_call *c)
{
	return give_list(c, &principals, describe_principal);
}

int verb_principal_remove(struct trust_call *c)
{
	return take_out(c, &principals);
}

/* ---- policy -------------------------------------------------------------------------------- */

int verb_policy_show(struct trust_call *c)
{
	json_t *state, *o;
	int rc = call_state(c, &state);

	if (rc)
		return rc;
	o = json_deep_copy(json_object_get(state, "policy"));
	json_object_set(o, "require_ek_certificate",
			json_object_get(json_object_get(state, "tpm2"), "require_ek_certificate"));
	json_decref(state);
	return call_give(c, o);
}

static int edit_policy(json_t *state, void *data, struct vmc_error *err)
{
	struct trust_call *c = data;
	json_t *policy = json_object_get(state, "policy"), *tpm2 = json_object_get(state, "tpm2"), *v;
	const char *name;

	(void)err;
	json_object_foreach((json_t *)c->params, name, v)
		if (json_object_set(strcmp(name, "require_ek_certificate") ? policy : tpm2, name, v))
			return call_no_memory(c);
	return 0;
}

int verb_policy_set(struct trust_call *c)
{
	int rc;

	if (!json_object_size(c->params)) {
		vmc_fail(c->err, VMC_EINVAL, "nothing of the policy is to be changed");
		vmc_hint(c->err, "give at least one of --pcrs, --secure-boot, --token-lifetime, --lease, --require-ek-certificate, --hosts-destroy-keys");
		return VMC_EINVAL;
	}
	rc = call_edit(c, edit_policy);
	return rc ? rc : verb_policy_show(c);
}
