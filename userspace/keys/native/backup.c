// SPDX-License-Identifier: GPL-2.0-or-later
/* The backup of a native provider. See backup.h. */
#include "backup.h"

#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <string.h>

#include "../../lib/i18n.h"
#include "../../lib/message.h"
#include "../../lib/secmem.h"

/* Below 2.25 everybody who has a UUID has an OID. */
#define SECRET_OID	"2.25.108555822965993161123766766357436674955"
#define SECRET_VERSION	1
#define SECRET_LEN	(1 + KDK_LEN + KDK_CHECK_LEN)
#define MAC_SALT_LEN	16

static int secret_nid = NID_undef;

static void make_nid(void)
{
	secret_nid = OBJ_txt2nid(SECRET_OID);
	if (secret_nid == NID_undef)
		secret_nid = OBJ_create(SECRET_OID, "vmcryptKDK", "vmcrypt key derivation key");
}

static int get_nid(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_nid);
	return secret_nid;
}

void backup_clear(struct backup *b)
{
	kdk_clear(&b->kdk);
	memset(b, 0, sizeof(*b));
}

int backup_password_check(const char *password, struct vmc_error *err)
{
	size_t n = strlen(password);
	int rc;

	for (const char *p = password; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return vmc_fail(err, VMC_EINVAL, "the password has a control character in it");
	if (n >= BACKUP_PASSWORD_MIN && n <= BACKUP_PASSWORD_MAX)
		return 0;
	rc = vmc_fail(err, VMC_EINVAL, "the password has %zu bytes, it must have %d to %d", n,
		      BACKUP_PASSWORD_MIN, BACKUP_PASSWORD_MAX);
	vmc_hint(err, "whoever has the file and the password can open every VM of the provider: take a long one, of several words");
	return rc;
}

/* Only then is the bag's object of the type that PKCS12_SAFEBAG_get0_bag_obj() has. */
static bool is_secret(const PKCS12_SAFEBAG *bag)
{
	const ASN1_OBJECT *ours = OBJ_nid2obj(get_nid());

	return ours && PKCS12_SAFEBAG_get_nid(bag) == NID_secretBag &&
	       !OBJ_cmp(PKCS12_SAFEBAG_get0_bag_type(bag), ours);
}

/* OpenSSL's bags lie on the ordinary heap and are not wiped when they are freed. */
static void bags_free(STACK_OF(PKCS12_SAFEBAG) *bags)
{
	const ASN1_TYPE *t;

	for (int i = 0; i < sk_PKCS12_SAFEBAG_num(bags); i++) {
		const PKCS12_SAFEBAG *bag = sk_PKCS12_SAFEBAG_value(bags, i);

		if (!is_secret(bag))
			continue;
		t = PKCS12_SAFEBAG_get0_bag_obj(bag);
		if (t && t->type == V_ASN1_OCTET_STRING)
			OPENSSL_cleanse((void *)ASN1_STRING_get0_data(t->value.octet_string),
					ASN1_STRING_length(t->value.octet_string));
	}
	sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
}

/* ---- making ------------------------------------------------------------------- */

static int fill_secret(const struct backup *b, uint8_t *secret, struct vmc_error *err)
{
	secret[0] = SECRET_VERSION;
	memcpy(secret + 1, b->kdk.key, KDK_LEN);
	return kdk_check(&b->kdk, secret + 1 + KDK_LEN, err);
}

/* One bag with its attributes, or NULL. */
static STACK_OF(PKCS12_SAFEBAG) *make_bags(const struct backup *b, const uint8_t *secret)
{
	STACK_OF(PKCS12_SAFEBAG) *bags = sk_PKCS12_SAFEBAG_new_null();
	PKCS12_SAFEBAG *bag = PKCS12_SAFEBAG_create_secret(get_nid(), V_ASN1_OCTET_STRING, secret, SECRET_LEN);

	if (bags && bag && sk_PKCS12_SAFEBAG_push(bags, bag)) {
		if (PKCS12_add_friendlyname_utf8(bag, b->name, -1) &&
		    PKCS12_add_localkeyid(bag, (unsigned char *)b->kdk.id.b, sizeof(b->kdk.id.b)))
			return bags;
		bag = NULL;	/* the stack has it */
	}
	PKCS12_SAFEBAG_free(bag);
	bags_free(bags);
	return NULL;
}

static PKCS12 *encrypt(STACK_OF(PKCS12_SAFEBAG) *bags, const char *password, int iterations)
{
	STACK_OF(PKCS7) *safes = NULL;
	PKCS12 *p = NULL;

	if (PKCS12_add_safe(&safes, bags, NID_aes_256_cbc, iterations, password))
		p = PKCS12_add_safes(safes, 0);
	sk_PKCS7_pop_free(safes, PKCS7_free);
	if (p && PKCS12_set_mac(p, password, -1, NULL, MAC_SALT_LEN, iterations, EVP_sha256()))
		return p;
	PKCS12_free(p);
	return NULL;
}

int backup_make(const struct backup *b, const char *password, int iterations, uint8_t **der, size_t *len,
		struct vmc_error *err)
{
	uint8_t *secret = secmem_alloc(SECRET_LEN);
	STACK_OF(PKCS12_SAFEBAG) *bags = NULL;
	PKCS12 *p = NULL;
	int rc, n = -1;

	*der = NULL;
	if (!secret)
		return vmc_fail(err, VMC_ENOMEM, "no room in the secure heap for a backup");
	rc = fill_secret(b, secret, err);
	if (!rc)
		bags = make_bags(b, secret);
	secmem_free(secret, SECRET_LEN);
	if (bags)
		p = encrypt(bags, password, iterations);
	bags_free(bags);
	if (p)
		n = i2d_PKCS12(p, der);
	PKCS12_free(p);
	ERR_clear_error();
	if (rc)
		return rc;
	if (n <= 0 || n > BACKUP_SIZE_MAX) {
		OPENSSL_free(*der);
		*der = NULL;
		return vmc_fail(err, VMC_EINTERNAL, "OpenSSL cannot make the PKCS#12 file of provider '%s'", b->name);
	}
	*len = (size_t)n;
	return 0;
}

/* ---- reading -------------------------------------------------------------------- */

static int not_ours(struct vmc_error *err, const char *why)
{
	int rc = vmc_fail(err, VMC_EINVAL, "this is not the backup of a native key provider: %s", message_say(why));

	vmc_hint(err, "give the file that 'vmcrypt provider export' wrote, as it is");
	return rc;
}

static int read_name(PKCS12_SAFEBAG *bag, struct backup *b, struct vmc_error *err)
{
	char *name = PKCS12_get_friendlyname(bag);
	bool fits = name && strlen(name) <= PROVIDER_NAME_MAX;

	if (fits)
		memcpy(b->name, name, strlen(name) + 1);
	OPENSSL_free(name);
	return fits && vmc_name_ok(b->name, PROVIDER_NAME_MAX) ? 0 :
	       not_ours(err, N_("it does not name the provider"));
}

static int read_key_id(const PKCS12_SAFEBAG *bag, vmc_uuid *id, struct vmc_error *err)
{
	const ASN1_TYPE *t = PKCS12_SAFEBAG_get0_attr(bag, NID_localKeyID);

	if (!t || t->type != V_ASN1_OCTET_STRING ||
	    ASN1_STRING_length(t->value.octet_string) != sizeof(id->b))
		return not_ours(err, N_("it has no key id"));
	memcpy(id->b, ASN1_STRING_get0_data(t->value.octet_string), sizeof(id->b));
	return 0;
}

static int read_secret(const PKCS12_SAFEBAG *bag, struct backup *b, struct vmc_error *err)
{
	const ASN1_TYPE *t = is_secret(bag) ? PKCS12_SAFEBAG_get0_bag_obj(bag) : NULL;
	uint8_t check[KDK_CHECK_LEN];
	const uint8_t *secret;
	vmc_uuid id;
	int rc;

	if (!t || t->type != V_ASN1_OCTET_STRING || ASN1_STRING_length(t->value.octet_string) != SECRET_LEN)
		return not_ours(err, N_("it holds another kind of secret"));
	secret = ASN1_STRING_get0_data(t->value.octet_string);
	if (secret[0] != SECRET_VERSION) {
		rc = vmc_fail(err, VMC_ENOTSUP, "the backup has the version %u, this vmcrypt reads %u", secret[0],
			      SECRET_VERSION);
		vmc_hint(err, "a newer vmcrypt wrote it: import it with that one");
		return rc;
	}
	rc = read_key_id(bag, &id, err);
	if (!rc)
		rc = kdk_set(&b->kdk, &id, secret + 1, err);
	if (!rc)
		rc = kdk_check(&b->kdk, check, err);
	if (!rc && CRYPTO_memcmp(check, secret + 1 + KDK_LEN, sizeof(check)))
		rc = vmc_fail(err, VMC_EAUTH, "the key id in the backup is not that of the KDK in it");
	return rc;
}

static int read_bags(STACK_OF(PKCS12_SAFEBAG) *bags, struct backup *b, struct vmc_error *err)
{
	PKCS12_SAFEBAG *bag = sk_PKCS12_SAFEBAG_value(bags, 0);
	int rc;

	if (sk_PKCS12_SAFEBAG_num(bags) != 1)
		return not_ours(err, N_("it does not hold one secret, and nothing else"));
	rc = read_name(bag, b, err);
	if (!rc)
		rc = read_secret(bag, b, err);
	if (rc)
		backup_clear(b);
	return rc;
}

int backup_parse_bags(const uint8_t *der, size_t len, struct backup *b, struct vmc_error *err)
{
	STACK_OF(PKCS12_SAFEBAG) *bags;
	const uint8_t *p = der;
	int rc;

	memset(b, 0, sizeof(*b));
	bags = len <= BACKUP_SIZE_MAX ? (void *)ASN1_item_d2i(NULL, &p, (long)len, ASN1_ITEM_rptr(PKCS12_SAFEBAGS)) :
					NULL;
	rc = bags ? read_bags(bags, b, err) : not_ours(err, N_("its contents cannot be read"));
	bags_free(bags);
	ERR_clear_error();
	return rc;
}

static bool iterations_ok(const ASN1_INTEGER *i, int max)
{
	int64_t n = 0;

	return i && ASN1_INTEGER_get_int64(&n, i) == 1 && n >= 1 && n <= max;
}

/* AES-256-CBC by a key that PBKDF2 makes in bearable time. */
static bool pbes2_ok(const X509_ALGOR *a, int iterations_max)
{
	const ASN1_OBJECT *which;
	PBKDF2PARAM *kdf = NULL;
	PBE2PARAM *pbe = NULL;
	const void *params;
	bool ok = false;
	int type;

	X509_ALGOR_get0(&which, &type, &params, a);
	if (OBJ_obj2nid(which) == NID_pbes2 && type == V_ASN1_SEQUENCE)
		pbe = ASN1_item_unpack(params, ASN1_ITEM_rptr(PBE2PARAM));
	if (pbe && OBJ_obj2nid(pbe->encryption->algorithm) == NID_aes_256_cbc) {
		X509_ALGOR_get0(&which, &type, &params, pbe->keyfunc);
		if (OBJ_obj2nid(which) == NID_id_pbkdf2 && type == V_ASN1_SEQUENCE)
			kdf = ASN1_item_unpack(params, ASN1_ITEM_rptr(PBKDF2PARAM));
	}
	if (kdf)
		ok = iterations_ok(kdf->iter, iterations_max);
	PBKDF2PARAM_free(kdf);
	PBE2PARAM_free(pbe);
	return ok;
}

/* The MAC is there, of SHA-256, and as cheap to check. */
static bool mac_ok(const PKCS12 *p, int iterations_max)
{
	const ASN1_INTEGER *iter;
	const X509_ALGOR *alg;
	const ASN1_OBJECT *which;

	PKCS12_get0_mac(NULL, &alg, NULL, &iter, p);
	if (!alg || !iterations_ok(iter, iterations_max))
		return false;
	X509_ALGOR_get0(&which, NULL, NULL, alg);
	return OBJ_obj2nid(which) == NID_sha256;
}

static int decrypt(PKCS7 *safe, const char *password, int iterations_max, struct backup *b,
		   struct vmc_error *err)
{
	STACK_OF(PKCS12_SAFEBAG) *bags;
	int rc;

	if (!PKCS7_type_is_encrypted(safe) || !safe->d.encrypted || !safe->d.encrypted->enc_data ||
	    !safe->d.encrypted->enc_data->enc_data ||
	    !pbes2_ok(safe->d.encrypted->enc_data->algorithm, iterations_max))
		return not_ours(err, N_("it is not encrypted with AES-256 under a password"));
	bags = PKCS12_unpack_p7encdata(safe, password, -1);
	rc = bags ? read_bags(bags, b, err) : not_ours(err, N_("its contents cannot be read"));
	bags_free(bags);
	return rc;
}

static int read_pkcs12(PKCS12 *p, const char *password, int iterations_max, struct backup *b,
		       struct vmc_error *err)
{
	STACK_OF(PKCS7) *safes;
	int rc;

	if (!PKCS12_mac_present(p) || !mac_ok(p, iterations_max))
		return not_ours(err, N_("it is not authenticated as such backups are"));
	if (!PKCS12_verify_mac(p, password, -1)) {
		rc = vmc_fail(err, VMC_EAUTH, "the password is wrong, or the backup was altered");
		vmc_hint(err, "try the password again; another copy of the file may be whole");
		return rc;
	}
	safes = PKCS12_unpack_authsafes(p);
	if (sk_PKCS7_num(safes) == 1)
		rc = decrypt(sk_PKCS7_value(safes, 0), password, iterations_max, b, err);
	else
		rc = not_ours(err, N_("it does not hold one secret, and nothing else"));
	sk_PKCS7_pop_free(safes, PKCS7_free);
	return rc;
}

int backup_parse(const uint8_t *der, size_t len, const char *password, int iterations_max,
		 struct backup *b, struct vmc_error *err)
{
	const uint8_t *at = der;
	PKCS12 *p;
	int rc;

	memset(b, 0, sizeof(*b));
	p = len <= BACKUP_SIZE_MAX ? d2i_PKCS12(NULL, &at, (long)len) : NULL;
	if (!p || at != der + len)
		rc = not_ours(err, N_("it is not PKCS#12"));
	else
		rc = read_pkcs12(p, password, iterations_max, b, err);
	PKCS12_free(p);
	ERR_clear_error();
	return rc;
}
