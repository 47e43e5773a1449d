// SPDX-License-Identifier: GPL-2.0-or-later
/* Certificates and private keys on disk. See cert.h. */
#include "cert.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "../lib/secmem.h"
#include "../lib/util.h"

/* OpenSSL's latest reason as text; empties its queue. */
static const char *ssl_reason(void)
{
	unsigned long e = ERR_peek_last_error();
	const char *s = e ? ERR_reason_error_string(e) : NULL;

	ERR_clear_error();
	return s ? s : "no reason given";
}

static int key_file_check(int fd, const char *path, struct vmc_error *err)
{
	struct stat st;
	int code;

	if (fstat(fd, &st))
		return vmc_fail_errno(err, errno, "cannot look at private key '%s'", path);
	if (!S_ISREG(st.st_mode))
		return vmc_fail(err, VMC_EPERM, "private key '%s' is not a regular file", path);
	if (st.st_uid != geteuid() && st.st_uid != 0) {
		code = vmc_fail(err, VMC_EPERM,
				"private key '%s' belongs to user %u, who can change it", path, st.st_uid);
		vmc_hint(err, "chown root: '%s' && chmod 0600 '%s'", path, path);
		return code;
	}
	if (st.st_mode & 077) {
		code = vmc_fail(err, VMC_EPERM,
				"private key '%s' has mode %04o, which lets others at it; 0600 is wanted",
				path, st.st_mode & 07777);
		vmc_hint(err, "chmod 0600 '%s'; if others may have read the key, make a new one", path);
		return code;
	}
	if (st.st_size <= 0 || st.st_size > CERT_FILE_MAX)
		return vmc_fail(err, VMC_EINVAL, "private key '%s' has %lld bytes, not 1 to %u",
				path, (long long)st.st_size, CERT_FILE_MAX);
	return 0;
}

static int no_passphrase(char *buf, int size, int rwflag, void *data)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	*(bool *)data = true;
	return -1;
}

static int key_parse(const char *pem, size_t len, const char *what, EVP_PKEY **key,
		     struct vmc_error *err)
{
	BIO *bio = BIO_new_mem_buf(pem, len);
	bool asked = false;

	if (!bio)
		return vmc_fail(err, VMC_ENOMEM, "no memory for %s", what);
	ERR_clear_error();
	*key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked);
	BIO_free(bio);
	if (*key)
		return 0;
	if (asked)
		return vmc_fail(err, VMC_EINVAL,
				"%s is protected by a passphrase; give it without one", what);
	return vmc_fail(err, VMC_EINVAL, "%s is not a private key in PEM form: %s", what,
			ssl_reason());
}

static int read_all(int fd, char *buf, size_t n, const char *path, struct vmc_error *err)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = read(fd, buf + got, n - got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return vmc_fail_errno(err, errno, "cannot read '%s'", path);
		if (!r)
			return vmc_fail(err, VMC_EIO, "'%s' changed while it was read", path);
		got += r;
	}
	return 0;
}

int cert_key_load(const char *path, EVP_PKEY **key, struct vmc_error *err)
{
	struct stat st = { 0 };
	char what[512], *buf;
	int fd, rc;

	*key = NULL;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return vmc_fail_errno(err, errno, "cannot open private key '%s'", path);
	rc = key_file_check(fd, path, err);
	if (rc)
		goto out;
	fstat(fd, &st);
	buf = secmem_alloc(st.st_size + 1);
	if (!buf) {
		rc = vmc_fail(err, VMC_ENOMEM, "no secure memory for private key '%s'", path);
		vmc_hint(err, "raise secure_heap in [daemon] of vmcrypt.conf");
		goto out;
	}
	rc = read_all(fd, buf, st.st_size, path, err);
	snprintf(what, sizeof(what), "'%s'", path);
	if (!rc)
		rc = key_parse(buf, st.st_size, what, key, err);
	secmem_free(buf, st.st_size + 1);
out:
	close(fd);
	return rc;
}

int cert_key_from_pem(const char *pem, EVP_PKEY **key, struct vmc_error *err)
{
	return key_parse(pem, strlen(pem), N_("the key given"), key, err);
}

int cert_key_new(EVP_PKEY **key, struct vmc_error *err)
{
	*key = EVP_EC_gen("P-256");
	if (!*key)
		return vmc_fail(err, VMC_EINTERNAL, "cannot make a P-256 key: %s", ssl_reason());
	return 0;
}

int cert_key_save(EVP_PKEY *key, const char *path, struct vmc_error *err)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *data;
	long n;
	int rc;

	if (!bio || !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)) {
		rc = vmc_fail(err, VMC_ENOMEM, "cannot write out a private key: %s", ssl_reason());
	} else {
		n = BIO_get_mem_data(bio, &data);
		rc = fs_replace(path, data, n, 0600, err);
	}
	BIO_free(bio);
	return rc;
}

int cert_chain_from_pem(const char *pem, const char *what, STACK_OF(X509) **chain,
			struct vmc_error *err)
{
	STACK_OF(X509) *s = sk_X509_new_null();
	BIO *bio = BIO_new_mem_buf(pem, -1);
	unsigned long e;
	X509 *x;
	int rc = 0;

	*chain = NULL;
	if (!s || !bio) {
		rc = vmc_fail(err, VMC_ENOMEM, "no memory for %s", what);
		goto out;
	}
	ERR_clear_error();
	while ((x = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		if (sk_X509_num(s) == 64 || !sk_X509_push(s, x)) {
			X509_free(x);
			rc = vmc_fail(err, VMC_EINVAL, "%s has more than 64 certificates", what);
			goto out;
		}
	}
	e = ERR_peek_last_error();
	if (!sk_X509_num(s) || ERR_GET_REASON(e) != PEM_R_NO_START_LINE) {
		rc = vmc_fail(err, VMC_EINVAL, "%s is not a certificate in PEM form: %s", what,
			      ssl_reason());
		goto out;
	}
	ERR_clear_error();
	*chain = s;
	s = NULL;
out:
	BIO_free(bio);
	cert_chain_free(s);
	return rc;
}

int cert_chain_load(const char *path, STACK_OF(X509) **chain, struct vmc_error *err)
{
	char what[512], *data;
	size_t len;
	int rc;

	*chain = NULL;
	rc = fs_read(path, CERT_FILE_MAX, &data, &len, err);
	if (rc)
		return rc;
	snprintf(what, sizeof(what), "'%s'", path);
	rc = cert_chain_from_pem(data, what, chain, err);
	free(data);
	return rc;
}

void cert_chain_free(STACK_OF(X509) *chain)
{
	sk_X509_pop_free(chain, X509_free);
}

/* ---- making ------------------------------------------------------------ */

static char *bio_text(BIO *bio)
{
	char *data, *s;
	long n = BIO_get_mem_data(bio, &data);

	s = malloc(n + 1);
	if (s) {
		memcpy(s, data, n);
		s[n] = '\0';
	}
	return s;
}

static bool set_cn(X509_NAME *name, const char *cn)
{
	/* ub-common-name of RFC 5280 is 64 */
	return strlen(cn) >= 1 && strlen(cn) <= 64 &&
	       X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
					  (const unsigned char *)cn, -1, -1, 0);
}

#define EXTENSIONS 3

static X509_EXTENSION *extension(unsigned int i, enum cert_use use)
{
	static const struct {
		int nid;
		const char *value[2];	/* by enum cert_use */
	} extensions[EXTENSIONS] = {
		{ NID_basic_constraints, { "critical,CA:FALSE", "critical,CA:FALSE" } },
		{ NID_key_usage, { "critical,digitalSignature", "critical,digitalSignature" } },
		{ NID_ext_key_usage, { "clientAuth", "clientAuth,serverAuth" } },
	};

	return X509V3_EXT_conf_nid(NULL, NULL, extensions[i].nid, extensions[i].value[use]);
}

static bool csr_extensions(X509_REQ *req, enum cert_use use)
{
	STACK_OF(X509_EXTENSION) *all = sk_X509_EXTENSION_new_null();
	bool ok = all;

	for (unsigned int i = 0; ok && i < EXTENSIONS; i++) {
		X509_EXTENSION *e = extension(i, use);

		ok = e && sk_X509_EXTENSION_push(all, e);
	}
	ok = ok && X509_REQ_add_extensions(req, all);
	sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
	return ok;
}

int cert_csr(EVP_PKEY *key, const char *cn, enum cert_use use, char **pem, struct vmc_error *err)
{
	X509_REQ *req = X509_REQ_new();
	BIO *bio = BIO_new(BIO_s_mem());
	int rc = 0;

	*pem = NULL;
	if (req && bio && X509_REQ_set_version(req, X509_REQ_VERSION_1) &&
	    set_cn(X509_REQ_get_subject_name(req), cn) && X509_REQ_set_pubkey(req, key) &&
	    csr_extensions(req, use) && X509_REQ_sign(req, key, EVP_sha256()) &&
	    PEM_write_bio_X509_REQ(bio, req))
		*pem = bio_text(bio);
	if (!*pem)
		rc = vmc_fail(err, VMC_EINVAL,
			      "cannot make a certificate request for the name '%s' (1 to 64 bytes): %s",
			      cn, ssl_reason());
	X509_REQ_free(req);
	BIO_free(bio);
	return rc;
}

static bool random_serial(X509 *x)
{
	BIGNUM *bn = BN_new();
	bool ok = bn && BN_rand(bn, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
		  BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x));

	BN_free(bn);
	return ok;
}

static bool cert_extensions(X509 *x, enum cert_use use)
{
	for (unsigned int i = 0; i < EXTENSIONS; i++) {
		X509_EXTENSION *e = extension(i, use);
		bool ok = e && X509_add_ext(x, e, -1);

		X509_EXTENSION_free(e);
		if (!ok)
			return false;
	}
	return true;
}

int cert_self_signed(EVP_PKEY *key, const char *cn, enum cert_use use, unsigned int days, char **pem,
		     struct vmc_error *err)
{
	X509 *x = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	int rc = 0;

	*pem = NULL;
	/* an hour back, for servers whose clock is behind */
	if (x && bio && X509_set_version(x, X509_VERSION_3) && random_serial(x) &&
	    set_cn(X509_get_subject_name(x), cn) &&
	    X509_set_issuer_name(x, X509_get_subject_name(x)) &&
	    X509_gmtime_adj(X509_getm_notBefore(x), -3600) &&
	    X509_time_adj_ex(X509_getm_notAfter(x), days, 0, NULL) &&
	    X509_set_pubkey(x, key) && cert_extensions(x, use) &&
	    X509_sign(x, key, EVP_sha256()) && PEM_write_bio_X509(bio, x))
		*pem = bio_text(bio);
	if (!*pem)
		rc = vmc_fail(err, VMC_EINVAL,
			      "cannot make a certificate for the name '%s' (1 to 64 bytes): %s", cn,
			      ssl_reason());
	X509_free(x);
	BIO_free(bio);
	return rc;
}

/* ---- telling ----------------------------------------------------------- */

bool cert_fits_key(const X509 *cert, EVP_PKEY *key)
{
	EVP_PKEY *pub = X509_get0_pubkey(cert);

	return pub && EVP_PKEY_eq(pub, key) == 1;
}

bool cert_for_peer(X509 *cert)
{
	uint32_t both = XKU_SSL_CLIENT | XKU_SSL_SERVER, use = X509_get_extended_key_usage(cert);

	return !(X509_get_extension_flags(cert) & EXFLAG_XKUSAGE) || (use & XKU_ANYEKU) || (use & both) == both;
}

bool cert_for_client(X509 *cert)
{
	return !(X509_get_extension_flags(cert) & EXFLAG_XKUSAGE) ||
	       (X509_get_extended_key_usage(cert) & (XKU_SSL_CLIENT | XKU_ANYEKU));
}

static void name_text(const X509_NAME *name, char out[CERT_NAME_MAX])
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	long n;

	out[0] = '\0';
	if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
		n = BIO_get_mem_data(bio, &data);
		if (n >= CERT_NAME_MAX)
			n = CERT_NAME_MAX - 1;
		memcpy(out, data, n);
		out[n] = '\0';
	}
	BIO_free(bio);
}

void cert_subject(const X509 *cert, char out[CERT_NAME_MAX])
{
	name_text(X509_get_subject_name(cert), out);
}

static int64_t asn1_seconds(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) ? timegm(&tm) : 0;
}

int64_t cert_not_after(const X509 *cert)
{
	return asn1_seconds(X509_get0_notAfter(cert));
}

int cert_days_left(const X509 *cert)
{
	int64_t s = cert_not_after(cert) - vmc_time();

	return s < 0 ? -1 + (int)(s / 86400) : (int)(s / 86400);
}

int cert_fingerprint(const X509 *cert, char out[CERT_FINGERPRINT])
{
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned int n;

	if (!X509_digest(cert, EVP_sha256(), md, &n))
		return VMC_EINTERNAL;
	vmc_hex_encode(md, n, out);
	return 0;
}

int cert_spki_fingerprint(const X509 *cert, char out[CERT_FINGERPRINT])
{
	uint8_t md[EVP_MAX_MD_SIZE], *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der), rc = VMC_EINTERNAL;
	unsigned int n;

	if (len > 0 && EVP_Digest(der, len, md, &n, EVP_sha256(), NULL)) {
		vmc_hex_encode(md, n, out);
		rc = 0;
	}
	OPENSSL_free(der);
	return rc;
}

json_t *cert_json(X509 *cert)
{
	char subject[CERT_NAME_MAX], issuer[CERT_NAME_MAX], from[32], to[32];
	char fp[CERT_FINGERPRINT] = "", spki[CERT_FINGERPRINT] = "", *pem = NULL;
	BIO *bio = BIO_new(BIO_s_mem());
	json_t *j;

	cert_subject(cert, subject);
	name_text(X509_get_issuer_name(cert), issuer);
	vmc_time_format(asn1_seconds(X509_get0_notBefore(cert)), from);
	vmc_time_format(cert_not_after(cert), to);
	cert_fingerprint(cert, fp);
	cert_spki_fingerprint(cert, spki);
	if (bio && PEM_write_bio_X509(bio, cert))
		pem = bio_text(bio);
	BIO_free(bio);
	j = json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:b, s:s}", "subject", subject,
		      "issuer", issuer, "not_before", from, "not_after", to, "days_left",
		      cert_days_left(cert), "sha256", fp, "spki_sha256", spki, "self_signed",
		      X509_self_signed(cert, 0) == 1, "pem", pem ? pem : "");
	free(pem);
	return j;
}

/* ---- pins --------------------------------------------------------------- */

int cert_pin_parse(const char *s, struct cert_pin *pin, struct vmc_error *err)
{
	const char *p = s;
	size_t n = 0;
	int code;

	pin->spki = !strncasecmp(p, "spki:", 5);
	if (pin->spki)
		p += 5;
	else if (!strncasecmp(p, "sha256:", 7))
		p += 7;
	for (; *p; p++) {
		if (*p == ':' && n && n % 2 == 0)
			continue;
		if (!isxdigit((unsigned char)*p) || n == CERT_FINGERPRINT - 1)
			break;
		pin->hex[n++] = tolower((unsigned char)*p);
	}
	pin->hex[n] = '\0';
	if (!*p && n == CERT_FINGERPRINT - 1)
		return 0;
	code = vmc_fail(err, VMC_EINVAL, "'%.100s' is not a SHA-256 fingerprint", s);
	vmc_hint(err, "give 64 hex digits, with or without colons; put 'spki:' in front for the fingerprint of a public key");
	return code;
}

int cert_pins_load(const char *path, struct cert_pin pins[CERT_PINS_MAX], unsigned int *n,
		   struct vmc_error *err)
{
	struct vmc_error local = VMC_ERROR_INIT;
	char *data, *line, *save = NULL;
	size_t len;
	int rc;

	*n = 0;
	rc = fs_read(path, 64 << 10, &data, &len, &local);
	if (rc == VMC_ENOENT)
		return 0;
	if (rc) {
		if (err)
			*err = local;
		return rc;
	}
	for (line = strtok_r(data, "\n", &save); line && !rc; line = strtok_r(NULL, "\n", &save)) {
		line += strspn(line, " \t");
		line[strcspn(line, " \t\r#")] = '\0';
		if (!*line)
			continue;
		if (*n == CERT_PINS_MAX)
			rc = vmc_fail(err, VMC_EINVAL, "more than %d fingerprints", CERT_PINS_MAX);
		else
			rc = cert_pin_parse(line, &pins[*n], err);
		if (!rc)
			(*n)++;
	}
	free(data);
	return rc ? vmc_prefix(err, "'%s': ", path) : 0;
}

bool cert_pin_match(const struct cert_pin *pins, unsigned int n, const X509 *cert)
{
	char fp[CERT_FINGERPRINT], spki[CERT_FINGERPRINT];

	if (cert_fingerprint(cert, fp) || cert_spki_fingerprint(cert, spki))
		return false;
	for (unsigned int i = 0; i < n; i++)
		if (!strcmp(pins[i].hex, pins[i].spki ? spki : fp))
			return true;
	return false;
}
