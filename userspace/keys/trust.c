// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who this host is to the key servers, and they to it. A new key lies beside
 * the one in use (client.key.new) until its certificate is there; then both
 * change places so that at every moment, and after a crash at any moment, key
 * and certificate belong together.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "../lib/util.h"
#include "cert.h"
#include "kmip/cluster.h"
#include "kmip/conf.h"
#include "kmip/tls.h"
#include "registry.h"

#define KEY_NEW		CLIENT_KEY ".new"
#define CERT_NEW	CLIENT_CERT ".new"
#define DAYS_DEFAULT	1825
#define DAYS_MAX	3650

struct trust {
	struct providers *ps;
	const char *name;
	const json_t *args;
	char key[PATH_MAX], key_new[PATH_MAX], cert[PATH_MAX], cert_new[PATH_MAX];
};

static int paths(struct trust *t, struct vmc_error *err)
{
	int rc = registry_path(t->ps, t->name, CLIENT_KEY, t->key, err);

	if (!rc)
		rc = registry_path(t->ps, t->name, KEY_NEW, t->key_new, err);
	if (!rc)
		rc = registry_path(t->ps, t->name, CLIENT_CERT, t->cert, err);
	if (!rc)
		rc = registry_path(t->ps, t->name, CERT_NEW, t->cert_new, err);
	return rc;
}

static bool there(const char *path)
{
	return !access(path, F_OK);
}

/* ---- the exchange ------------------------------------------------------------------ */

static bool pair_fits(const char *cert_path, const char *key_path)
{
	STACK_OF(X509) *chain = NULL;
	EVP_PKEY *key = NULL;
	bool fits = !cert_key_load(key_path, &key, NULL) && !cert_chain_load(cert_path, &chain, NULL) &&
		    cert_fits_key(sk_X509_value(chain, 0), key);

	cert_chain_free(chain);
	EVP_PKEY_free(key);
	return fits;
}

int trust_recover(const struct providers *ps, const char *name, struct vmc_error *err)
{
	struct trust t = { .ps = (struct providers *)ps, .name = name };
	int rc = paths(&t, err);

	if (rc || !there(t.cert_new))
		return rc;
	if (pair_fits(t.cert_new, t.key))
		return fs_rename(t.cert_new, t.cert, err);
	return fs_unlink(t.cert_new, err);
}

/* Put the certificate @pem to use, with client.key.new when @with_key. */
static int exchange(struct trust *t, const char *pem, bool with_key, struct vmc_error *err)
{
	int rc = fs_replace(t->cert_new, pem, strlen(pem), 0600, err);

	if (rc)
		return rc;
	/* nobody reads the two while only one of them is new */
	pthread_mutex_lock(&t->ps->lock);
	if (with_key)
		rc = fs_rename(t->key_new, t->key, err);	/* from here on trust_recover() goes forward */
	if (!rc)
		rc = fs_rename(t->cert_new, t->cert, err);
	pthread_mutex_unlock(&t->ps->lock);
	return rc;
}

/* ---- our own side --------------------------------------------------------------------- */

static const char *text_arg(const struct trust *t, const char *name)
{
	return json_string_value(json_object_get(t->args, name));
}

static int need_text(const struct trust *t, const char *name, const char **v, struct vmc_error *err)
{
	*v = text_arg(t, name);
	if (*v && strlen(*v) <= CERT_FILE_MAX)
		return 0;
	return vmc_fail(err, VMC_EINVAL, "the argument '%s' is missing, or is not a text of at most %u bytes",
			name, CERT_FILE_MAX);
}

/* The common name, by which many servers know their clients. */
static int common_name(const struct trust *t, char cn[65], struct vmc_error *err)
{
	const char *v = text_arg(t, "cn");
	char host[256] = "";

	if (!v) {
		gethostname(host, sizeof(host) - 1);
		v = host;
		if (strlen(v) > 64)
			host[64] = '\0';
	}
	if (!*v || strlen(v) > 64)
		return vmc_fail(err, VMC_EINVAL, "the common name '%.80s' does not have 1 to 64 bytes", v);
	for (const char *p = v; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return vmc_fail(err, VMC_EINVAL, "the common name has control characters");
	memcpy(cn, v, strlen(v) + 1);
	return 0;
}

/*
 * The key that a request is for: the one in use while it has no certificate,
 * or the new one. Asking again gives the same, since a request may be on its
 * way to be signed.
 */
static int request_key(struct trust *t, EVP_PKEY **key, struct vmc_error *err)
{
	const char *path = there(t->key) && !there(t->cert) ? t->key : t->key_new;
	int rc;

	if (there(path))
		return cert_key_load(path, key, err);
	if (!there(t->key))
		path = t->key;
	rc = cert_key_new(key, err);
	return rc ? rc : cert_key_save(*key, path, err);
}

static int give_pem(char *pem, json_t **result, struct vmc_error *err)
{
	*result = json_pack("{s:s}", "pem", pem);
	return *result ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for the answer");
}

static int verb_csr(struct trust *t, json_t **result, struct vmc_error *err)
{
	char cn[65], path[PATH_MAX], *pem = NULL;
	EVP_PKEY *key = NULL;
	int rc;

	rc = common_name(t, cn, err);
	if (!rc)
		rc = request_key(t, &key, err);
	if (!rc)
		rc = cert_csr(key, cn, CERT_CLIENT, &pem, err);
	if (!rc)
		rc = registry_path(t->ps, t->name, CLIENT_CSR, path, err);
	if (!rc)
		rc = fs_replace(path, pem, strlen(pem), 0600, err);
	if (!rc)
		rc = give_pem(pem, result, err);
	free(pem);
	EVP_PKEY_free(key);
	return rc;
}

static int verb_self_signed(struct trust *t, json_t **result, struct vmc_error *err)
{
	const json_t *d = json_object_get(t->args, "days");
	json_int_t days = d ? json_integer_value(d) : DAYS_DEFAULT;
	char cn[65], *pem = NULL;
	EVP_PKEY *key = NULL;
	int rc;

	if (days < 1 || days > DAYS_MAX)
		return vmc_fail(err, VMC_EINVAL, "days must be a number from 1 to %d", DAYS_MAX);
	rc = common_name(t, cn, err);
	if (!rc)
		rc = cert_key_new(&key, err);
	if (!rc)
		rc = cert_self_signed(key, cn, CERT_CLIENT, days, &pem, err);
	if (!rc)
		rc = cert_key_save(key, t->key_new, err);
	if (!rc)
		rc = exchange(t, pem, true, err);
	if (!rc)
		rc = give_pem(pem, result, err);
	free(pem);
	EVP_PKEY_free(key);
	return rc;
}

/* A certificate that a server would refuse anyway is refused here, where the reason can be told. */
static int client_check(X509 *x, const char *name, struct vmc_error *err)
{
	char subject[CERT_NAME_MAX];
	int code;

	cert_subject(x, subject);
	if (!cert_for_client(x)) {
		code = vmc_fail(err, VMC_EINVAL, "certificate '%s' is not for TLS clients (its extended key usage lacks clientAuth)",
				subject);
		vmc_hint(err, "have the request signed again with clientAuth: vmcrypt provider trust %s csr",
			 name);
		return code;
	}
	if (cert_days_left(x) < 0) {
		code = vmc_fail(err, VMC_EINVAL, "certificate '%s' has expired", subject);
		vmc_hint(err, "check this host's clock, or have the request signed again");
		return code;
	}
	return 0;
}

static bool fits_file(const X509 *x, const char *path)
{
	EVP_PKEY *key = NULL;
	bool fits = there(path) && !cert_key_load(path, &key, NULL) && cert_fits_key(x, key);

	EVP_PKEY_free(key);
	return fits;
}

static int verb_upload(struct trust *t, json_t **result, struct vmc_error *err)
{
	STACK_OF(X509) *chain = NULL;
	const char *pem;
	X509 *x;
	int rc;

	(void)result;
	rc = need_text(t, "pem", &pem, err);
	if (!rc)
		rc = cert_chain_from_pem(pem, N_("the certificate given"), &chain, err);
	if (rc)
		return rc;
	x = sk_X509_value(chain, 0);
	rc = client_check(x, t->name, err);
	if (!rc && fits_file(x, t->key_new)) {
		rc = exchange(t, pem, true, err);
	} else if (!rc && fits_file(x, t->key)) {
		rc = exchange(t, pem, false, err);
	} else if (!rc) {
		rc = vmc_fail(err, VMC_ETRUST, "the certificate given was not made for a private key of provider '%s'",
			      t->name);
		vmc_hint(err, "it must answer the latest request: vmcrypt provider trust %s csr; the host's certificate comes first in the file",
			 t->name);
	}
	cert_chain_free(chain);
	return rc;
}

static int verb_import(struct trust *t, json_t **result, struct vmc_error *err)
{
	STACK_OF(X509) *chain = NULL;
	const char *pem, *key_pem;
	EVP_PKEY *key = NULL;
	int rc;

	(void)result;
	rc = need_text(t, "pem", &pem, err);
	if (!rc)
		rc = need_text(t, "key_pem", &key_pem, err);
	if (!rc)
		rc = cert_chain_from_pem(pem, N_("the certificate given"), &chain, err);
	if (!rc)
		rc = cert_key_from_pem(key_pem, &key, err);
	if (!rc)
		rc = client_check(sk_X509_value(chain, 0), t->name, err);
	if (!rc && !cert_fits_key(sk_X509_value(chain, 0), key))
		rc = vmc_fail(err, VMC_ETRUST, "the certificate given was not made for the private key given");
	if (!rc)
		rc = cert_key_save(key, t->key_new, err);
	if (!rc)
		rc = exchange(t, pem, true, err);
	cert_chain_free(chain);
	EVP_PKEY_free(key);
	return rc;
}

/* ---- the servers' side -------------------------------------------------------------------- */

static json_t *chain_json(STACK_OF(X509) *chain)
{
	json_t *a = json_array();

	for (int i = 0; i < sk_X509_num(chain); i++)
		json_array_append_new(a, cert_json(sk_X509_value(chain, i)));
	return a;
}

static json_t *show_server(struct tls_context *ctx, const char *host, uint16_t port,
			   unsigned int timeout_ms)
{
	struct vmc_error err = VMC_ERROR_INIT, verdict = VMC_ERROR_INIT;
	STACK_OF(X509) *chain = NULL;
	bool pinned = false, trusted;
	json_t *j;

	if (tls_inspect(ctx, host, port, vmc_now_ms() + timeout_ms, &chain, &pinned, &verdict, &err))
		return json_pack("{s:s, s:i, s:s, s:s}", "host", host, "port", (int)port, "error",
				 err.text, "hint", err.hint);
	trusted = !verdict.code;
	j = json_pack("{s:s, s:i, s:b, s:b, s:s, s:o}", "host", host, "port", (int)port, "trusted",
		      trusted, "pinned", pinned, "verdict", !trusted ? verdict.text :
		      pinned ? _("trusted: its fingerprint is pinned") : _("trusted: signed by a CA of this provider"),
		      "chain", chain_json(chain));
	cert_chain_free(chain);
	return j;
}

static int verb_show(struct trust *t, json_t **result, struct vmc_error *err)
{
	char conf_path[PATH_MAX], ca[PATH_MAX], pin[PATH_MAX];
	struct tls_settings s = { .provider = t->name, .ca_file = ca, .pin_file = pin };
	struct tls_context *ctx;
	struct kmip_conf conf;
	json_t *list;
	int rc;

	rc = registry_path(t->ps, t->name, PROVIDER_CONF, conf_path, err);
	if (!rc)
		rc = registry_path(t->ps, t->name, CA_FILE, ca, err);
	if (!rc)
		rc = registry_path(t->ps, t->name, PIN_FILE, pin, err);
	if (!rc)
		rc = kmip_conf_load(&conf, conf_path, &t->ps->cfg, err);
	if (rc)
		return rc;
	s.server_name = conf.server_name[0] ? conf.server_name : NULL;
	s.tls13 = conf.tls13;
	rc = tls_context_new(&s, &ctx, err);
	if (rc)
		return rc;
	list = json_array();
	for (unsigned int i = 0; i < conf.n_servers; i++)
		json_array_append_new(list, show_server(ctx, conf.servers[i].host, conf.servers[i].port,
							conf.connect_timeout_ms));
	tls_context_free(ctx);
	*result = json_pack("{s:o}", "servers", list);
	return *result ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for the answer");
}

static int pin_fingerprint(struct trust *t, const char *path, const char *fingerprint,
			   struct vmc_error *err)
{
	struct cert_pin pins[CERT_PINS_MAX], one;
	char text[CERT_PINS_MAX * 80], *at = text;
	unsigned int n = 0;
	int rc = cert_pin_parse(fingerprint, &one, err);

	if (!rc && !json_is_true(json_object_get(t->args, "replace")))
		rc = cert_pins_load(path, pins, &n, err);
	if (rc)
		return rc;
	for (unsigned int i = 0; i < n; i++) {
		if (pins[i].spki == one.spki && !strcmp(pins[i].hex, one.hex))
			return 0;
		at += sprintf(at, "%s:%s\n", pins[i].spki ? "spki" : "sha256", pins[i].hex);
	}
	if (n == CERT_PINS_MAX) {
		rc = vmc_fail(err, VMC_EINVAL, "provider '%s' has %d pinned fingerprints, and no more fit",
			      t->name, CERT_PINS_MAX);
		vmc_hint(err, "remove those that are no longer used from '%s'", path);
		return rc;
	}
	at += sprintf(at, "%s:%s\n", one.spki ? "spki" : "sha256", one.hex);
	return fs_replace(path, text, at - text, 0600, err);
}

static int verb_pin(struct trust *t, json_t **result, struct vmc_error *err)
{
	const char *fingerprint = text_arg(t, "fingerprint"), *ca = text_arg(t, "ca_pem");
	STACK_OF(X509) *chain;
	char path[PATH_MAX];
	int rc;

	(void)result;
	if (!fingerprint == !ca)
		return vmc_fail(err, VMC_EINVAL, "pin takes either a fingerprint or a CA certificate (ca_pem)");
	rc = registry_path(t->ps, t->name, ca ? CA_FILE : PIN_FILE, path, err);
	if (rc)
		return rc;
	if (fingerprint)
		return pin_fingerprint(t, path, fingerprint, err);
	rc = need_text(t, "ca_pem", &ca, err);
	if (!rc)
		rc = cert_chain_from_pem(ca, N_("the CA given"), &chain, err);
	if (rc)
		return rc;
	cert_chain_free(chain);
	return fs_replace(path, ca, strlen(ca), 0600, err);
}

static const struct {
	const char *name;
	int (*fn)(struct trust *t, json_t **result, struct vmc_error *err);
} verbs[] = {
	{ "csr", verb_csr },
	{ "self-signed", verb_self_signed },
	{ "upload", verb_upload },
	{ "import", verb_import },
	{ "show", verb_show },
	{ "pin", verb_pin },
};

static int must_be_kmip(const struct providers *ps, const char *name, struct vmc_error *err)
{
	const struct provider_kind *kind;
	int rc = registry_kind(ps, name, &kind, err);

	if (rc || kind == &kmip_kind)
		return rc;
	rc = vmc_fail(err, VMC_ENOTSUP, "key provider '%s' is of the kind %s: it has no servers to trust", name,
		      kind->name);
	vmc_hint(err, "vmcrypt provider show %s", name);
	return rc;
}

int providers_trust(struct providers *ps, const char *name, const char *verb, const json_t *args,
		    json_t **result, struct vmc_error *err)
{
	struct trust t = { .ps = ps, .name = name, .args = args };
	size_t i = 0;
	int rc;

	*result = NULL;
	while (i < ARRAY_SIZE(verbs) && strcmp(verbs[i].name, verb))
		i++;
	if (i == ARRAY_SIZE(verbs))
		return vmc_fail(err, VMC_EINVAL, "'%.40s' is not a verb of trust: csr, self-signed, upload, import, show, pin",
				verb);
	rc = registry_find(ps, name, err);
	if (!rc)
		rc = must_be_kmip(ps, name, err);
	if (!rc)
		rc = paths(&t, err);
	if (rc)
		return rc;
	/* show waits for servers; the others change files */
	if (verbs[i].fn == verb_show)
		return verb_show(&t, result, err);
	pthread_mutex_lock(&ps->change);
	rc = trust_recover(ps, name, err);
	if (!rc)
		rc = verbs[i].fn(&t, result, err);
	pthread_mutex_unlock(&ps->change);
	if (!rc && !*result)
		*result = json_object();
	return rc;
}
