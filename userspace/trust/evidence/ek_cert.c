// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Certificates of endorsement keys, see ek.h; TCG EK Credential Profile for TPM
 * Family 2.0, 3.2. The subject may be empty: then what names the TPM is a
 * critical subjectAltName with a directory name of maker, model and version.
 */
#include "ek.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/i18n.h"
#include "../../lib/message.h"
#include "../../lib/util.h"
#include "pubkey.h"

#define OID_EK		"2.23.133.8.1"	/* tcg-kp-EKCertificate */
#define OID_MAKER	"2.23.133.2.1"	/* tcg-at-tpmManufacturer */
#define OID_MODEL	"2.23.133.2.2"
#define OID_VERSION	"2.23.133.2.3"

struct ca {
	char name[EK_CA_NAME_MAX], sha256[EK_CA_ID_LEN];
	X509 *x;
};

struct ek_cas {
	X509_STORE *store;
	struct ca *list;
	size_t n;
};

static int no_memory(struct vmc_error *err)
{
	return vmc_fail(err, VMC_ENOMEM, "no memory to check the certificate of an endorsement key");
}

/* ---- the list of CAs ------------------------------------------------------ */

int ek_cas_new(struct ek_cas **cas, struct vmc_error *err)
{
	*cas = calloc(1, sizeof(**cas));
	if (*cas)
		(*cas)->store = X509_STORE_new();
	if (*cas && (*cas)->store)
		return 0;
	free(*cas);
	*cas = NULL;
	return no_memory(err);
}

void ek_cas_free(struct ek_cas *cas)
{
	if (!cas)
		return;
	for (size_t i = 0; i < cas->n; i++)
		X509_free(cas->list[i].x);
	free(cas->list);
	X509_STORE_free(cas->store);
	free(cas);
}

size_t ek_cas_count(const struct ek_cas *cas)
{
	return cas->n;
}

const char *ek_cas_fingerprint(const struct ek_cas *cas, const char *name)
{
	for (size_t i = 0; i < cas->n; i++)
		if (!strcmp(cas->list[i].name, name))
			return cas->list[i].sha256;
	return NULL;
}

bool ek_cas_has(const struct ek_cas *cas, const char *sha256)
{
	for (size_t i = 0; i < cas->n; i++)
		if (!strcmp(cas->list[i].sha256, sha256))
			return true;
	return false;
}

static bool fingerprint(const X509 *x, char out[EK_CA_ID_LEN])
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	if (X509_digest(x, EVP_sha256(), digest, &n) != 1)
		return false;
	vmc_hex_encode(digest, n, out);
	return true;
}

/* The one certificate that @pem is. */
static X509 *read_pem(const char *pem)
{
	BIO *b = BIO_new_mem_buf(pem, -1);
	X509 *x = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
	X509 *more = x ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;

	if (more) {
		X509_free(more);
		X509_free(x);
		x = NULL;
	}
	ERR_clear_error();
	BIO_free(b);
	return x;
}

static int check_ca(const struct ek_cas *cas, X509 *x, const char *name, struct vmc_error *err)
{
	if (X509_check_ca(x) != 1) {
		vmc_fail(err, VMC_ETRUST, "certificate '%s' is not that of a CA", name);
		vmc_hint(err, "import the certificate of the CA that signs the TPMs; a single TPM is trusted by its endorsement key");
		return VMC_ETRUST;
	}
	for (size_t i = 0; i < cas->n; i++)
		if (!X509_cmp(cas->list[i].x, x))
			return vmc_fail(err, VMC_EEXIST, "certificate '%s' is listed already, as '%s'", name,
					cas->list[i].name);
	if (cas->n >= EK_CAS_MAX)
		return vmc_fail(err, VMC_ENOSPC, "there are %u CAs of TPMs already", EK_CAS_MAX);
	return 0;
}

int ek_cas_add(struct ek_cas *cas, const char *name, const char *pem, struct vmc_error *err)
{
	X509 *x = read_pem(pem);
	struct ca *list;
	int rc;

	if (!x)
		return vmc_fail(err, VMC_EINVAL, "'%s' is not one certificate in PEM form", name);
	rc = check_ca(cas, x, name, err);
	list = rc ? NULL : realloc(cas->list, (cas->n + 1) * sizeof(*list));
	if (list)
		cas->list = list;
	if (!list || !fingerprint(x, list[cas->n].sha256) || X509_STORE_add_cert(cas->store, x) != 1) {
		X509_free(x);
		return rc ? rc : no_memory(err);
	}
	cas->list[cas->n].x = x;
	snprintf(cas->list[cas->n].name, sizeof(cas->list[0].name), "%s", name);
	cas->n++;
	return 0;
}

/* ---- what the certificate itself must be ---------------------------------- */

static X509 *parse(const struct ek_der *der, struct vmc_error *err)
{
	const uint8_t *at = der->der;
	X509 *x = at && der->len <= EK_DER_MAX ? d2i_X509(NULL, &at, (long)der->len) : NULL;

	if (x && at == der->der + der->len && X509_get_version(x) == X509_VERSION_3)
		return x;
	X509_free(x);
	ERR_clear_error();
	vmc_fail(err, VMC_EINVAL, "a certificate that came with the endorsement key is malformed");
	return NULL;
}

/*
 * The same key? Bits are compared, because some makers name RSAES-OAEP for the
 * algorithm, which OpenSSL takes for no key at all.
 */
static bool same_key(X509 *x, const struct ek *ek)
{
	const X509_PUBKEY *theirs = X509_get_X509_PUBKEY(x);
	const unsigned char *a = NULL, *b = NULL;
	X509_PUBKEY *ours = NULL;
	EVP_PKEY *key = NULL;
	int n_a = 0, n_b = 0, kind;
	ASN1_OBJECT *alg = NULL;
	X509_ALGOR *pa = NULL, *pb = NULL;
	bool same;

	if (pubkey_from_tpm(&ek->pub, &key, NULL))
		return false;
	same = X509_PUBKEY_set(&ours, key) == 1 && X509_PUBKEY_get0_param(&alg, &a, &n_a, &pa, theirs) == 1 &&
	       X509_PUBKEY_get0_param(NULL, &b, &n_b, &pb, ours) == 1 && n_a == n_b && n_a > 0 &&
	       !memcmp(a, b, (size_t)n_a);
	kind = same ? OBJ_obj2nid(alg) : NID_undef;
	if (same && ek->pub.type == TPM2_ALG_ECC)
		same = !X509_ALGOR_cmp(pa, pb);
	else if (same)
		same = kind == NID_rsaEncryption || kind == NID_rsaesOaep;
	X509_PUBKEY_free(ours);
	EVP_PKEY_free(key);
	return same;
}

static bool is_oid(const ASN1_OBJECT *o, const char *oid)
{
	char text[64];

	return OBJ_obj2txt(text, sizeof(text), o, 1) > 0 && !strcmp(text, oid);
}

static bool has_ek_usage(X509 *x)
{
	EXTENDED_KEY_USAGE *eku = X509_get_ext_d2i(x, NID_ext_key_usage, NULL, NULL);
	bool found = false;

	for (int i = 0; eku && i < sk_ASN1_OBJECT_num(eku); i++)
		found |= is_oid(sk_ASN1_OBJECT_value(eku, i), OID_EK);
	EXTENDED_KEY_USAGE_free(eku);
	return found;
}

static bool names(const X509_NAME *name, const char *oid)
{
	for (int i = 0; i < X509_NAME_entry_count(name); i++)
		if (is_oid(X509_NAME_ENTRY_get_object(X509_NAME_get_entry(name, i)), oid))
			return true;
	return false;
}

static bool names_tpm(X509 *x)
{
	GENERAL_NAMES *san = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	bool found = false;

	for (int i = 0; san && i < sk_GENERAL_NAME_num(san); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(san, i);
		const X509_NAME *dir = g->type == GEN_DIRNAME ? g->d.directoryName : NULL;

		found |= dir && names(dir, OID_MAKER) && names(dir, OID_MODEL) && names(dir, OID_VERSION);
	}
	GENERAL_NAMES_free(san);
	return found;
}

static int refuse(const char *why, struct vmc_error *err)
{
	return vmc_fail(err, VMC_ETRUST, "the certificate of the endorsement key is refused: %s", message_say(why));
}

/* keyEncipherment for RSA, keyAgreement for ECC; a certificate that says nothing of it is fine. */
static bool usage_fits(X509 *x, const struct ek *ek)
{
	uint32_t want = ek->pub.type == TPM2_ALG_RSA ? KU_KEY_ENCIPHERMENT : KU_KEY_AGREEMENT;
	uint32_t has = X509_get_key_usage(x);

	return has == UINT32_MAX || has & want;
}

static int check_leaf(X509 *x, const struct ek *ek, struct vmc_error *err)
{
	if (!same_key(x, ek))
		return refuse(N_("it is for another key"), err);
	if (X509_check_ca(x) || X509_get_extension_flags(x) & EXFLAG_CA)
		return refuse(N_("it is that of a CA"), err);
	if (!has_ek_usage(x))
		return refuse(N_("it is not for an endorsement key (2.23.133.8.1 is not among its uses)"), err);
	if (!usage_fits(x, ek))
		return refuse(N_("its key usage does not fit the kind of the key"), err);
	if (!names_tpm(x))
		return refuse(N_("it does not name maker, model and version of a TPM"), err);
	return 0;
}

/* ---- the chain --------------------------------------------------------------- */

static STACK_OF(X509) *parse_chain(const struct ek_der *chain, size_t n, struct vmc_error *err)
{
	STACK_OF(X509) *list = sk_X509_new_null();

	if (n > EK_CHAIN_MAX) {
		vmc_fail(err, VMC_EINVAL, "more than %u certificates came with the endorsement key", EK_CHAIN_MAX);
		sk_X509_free(list);
		return NULL;
	}
	for (size_t i = 0; i < n && list; i++) {
		X509 *x = parse(&chain[i], err);

		if (x && sk_X509_push(list, x) > 0)
			continue;
		X509_free(x);
		sk_X509_pop_free(list, X509_free);
		return NULL;
	}
	if (!list)
		no_memory(err);
	return list;
}

static void issuer_text(X509 *x, char out[200])
{
	if (!X509_NAME_oneline(X509_get_issuer_name(x), out, 200))
		out[0] = '\0';
}

static int not_verified(X509_STORE_CTX *c, X509 *leaf, struct vmc_error *err)
{
	int e = X509_STORE_CTX_get_error(c);
	X509 *at = X509_STORE_CTX_get_current_cert(c);
	char issuer[200];

	issuer_text(at ? at : leaf, issuer);
	switch (e) {
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		vmc_fail(err, VMC_ETRUST, "the certificate of the endorsement key does not lead to a trusted CA: none signed as '%s'", issuer);
		vmc_hint(err, "if the maker of that TPM is to be trusted, import that CA's certificate; or trust this one TPM by its endorsement key");
		return VMC_ETRUST;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		vmc_fail(err, VMC_ETRUST, "the certificate of the endorsement key, or a CA's above it, has expired (issuer '%s')", issuer);
		vmc_hint(err, "see that the clock of this machine is right; a TPM whose certificate has expired can be trusted by its endorsement key");
		return VMC_ETRUST;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		vmc_fail(err, VMC_ETRUST, "the certificate of the endorsement key, or a CA's above it, is not valid yet (issuer '%s')", issuer);
		vmc_hint(err, "see that the clock of this machine is right");
		return VMC_ETRUST;
	default:
		return refuse(X509_verify_cert_error_string(e), err);
	}
}

static void name_ca(const struct ek_cas *cas, STACK_OF(X509) *built, char out[EK_CA_NAME_MAX])
{
	X509 *last = sk_X509_value(built, sk_X509_num(built) - 1);

	out[0] = '\0';
	for (size_t i = 0; i < cas->n; i++)
		if (!X509_cmp(cas->list[i].x, last))
			memcpy(out, cas->list[i].name, EK_CA_NAME_MAX);
}

static int verify(X509 *leaf, STACK_OF(X509) *chain, const struct ek_cas *cas, int64_t now, char ca[EK_CA_NAME_MAX],
		  struct vmc_error *err)
{
	X509_STORE_CTX *c = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *p;
	int rc;

	if (!c || X509_STORE_CTX_init(c, cas->store, leaf, chain) != 1) {
		X509_STORE_CTX_free(c);
		return no_memory(err);
	}
	p = X509_STORE_CTX_get0_param(c);
	X509_VERIFY_PARAM_set_time(p, (time_t)now);
	X509_VERIFY_PARAM_set_depth(p, (int)EK_CHAIN_MAX);
	X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_PARTIAL_CHAIN);
	rc = X509_verify_cert(c) == 1 ? 0 : not_verified(c, leaf, err);
	if (!rc)
		name_ca(cas, X509_STORE_CTX_get0_chain(c), ca);
	X509_STORE_CTX_free(c);
	ERR_clear_error();
	return rc;
}

int ek_check_certificate(const struct ek *ek, const struct ek_der *cert, const struct ek_der *chain, size_t n_chain,
			 const struct ek_cas *cas, int64_t now, char ca[EK_CA_NAME_MAX], struct vmc_error *err)
{
	STACK_OF(X509) *list;
	X509 *leaf;
	int rc;

	ca[0] = '\0';
	leaf = parse(cert, err);
	if (!leaf)
		return VMC_EINVAL;
	rc = check_leaf(leaf, ek, err);
	if (!rc) {
		list = parse_chain(chain, n_chain, err);
		rc = list ? verify(leaf, list, cas, now, ca, err) : VMC_EINVAL;
		sk_X509_pop_free(list, X509_free);
	}
	X509_free(leaf);
	return rc;
}
