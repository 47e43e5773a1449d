// SPDX-License-Identifier: GPL-2.0-or-later
/* The trust store: CONFIG_DIR/peers/NAME.conf, and NAME.ca.pem for those that are trusted by a CA. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "../lib/inifile.h"
#include "../lib/util.h"
#include "../net/tcp.h"
#include "peer_priv.h"

#define CONF	".conf"
#define PEERS_MAX 1024

static int path_of(const struct peers *p, const char *name, const char *suffix, char out[PATH_MAX],
		   struct vmc_error *err)
{
	if (!vmc_name_ok(name, PEER_NAME_MAX)) {
		vmc_fail(err, VMC_EINVAL, "'%.100s' is no name for a host", name);
		vmc_hint(err, "1 to %d letters, digits, '.', '_' or '-', not beginning with '.' or '-'", PEER_NAME_MAX);
		return VMC_EINVAL;
	}
	if (snprintf(out, PATH_MAX, "%s/%s%s", p->store, name, suffix) >= PATH_MAX)
		return vmc_fail(err, VMC_EINVAL, "the path '%.100s...' is too long", p->store);
	return 0;
}

/* ---- reading ----------------------------------------------------------- */

static int on_setting(const struct inifile_entry *i, void *data, struct vmc_error *err)
{
	struct peer_entry *e = data;

	if (strcmp(i->section, "peer"))
		return inifile_unknown(i, err);
	if (!strcmp(i->name, "address"))
		return net_split(i->value, e->host, sizeof(e->host), &e->port, err);
	if (!strcmp(i->name, "fingerprint"))
		return cert_pin_parse(i->value, &e->pin, err);
	if (!strcmp(i->name, "ca")) {
		e->by_ca = true;
		return inifile_text(i, e->ca, sizeof(e->ca), err);
	}
	return inifile_unknown(i, err);
}

static int read_entry(struct peers *p, const char *name, struct peer_entry *e, struct vmc_error *err)
{
	char path[PATH_MAX];
	int rc = path_of(p, name, CONF, path, err);

	if (rc)
		return rc;
	memset(e, 0, sizeof(*e));
	e->port = PEER_PORT;
	memcpy(e->name, name, strlen(name) + 1);
	rc = inifile_parse(path, on_setting, e, err);
	if (!rc && !e->host[0])
		rc = vmc_fail(err, VMC_EINVAL, "'%s' has no address", path);
	if (!rc && !e->by_ca == !e->pin.hex[0])
		rc = vmc_fail(err, VMC_EINVAL, "'%s' must have exactly one of fingerprint and ca", path);
	return rc;
}

int store_find(struct peers *p, const char *name, struct peer_entry *e, struct vmc_error *err)
{
	int rc = read_entry(p, name, e, err);

	if (rc != VMC_ENOENT)
		return rc;
	vmc_fail(err, VMC_ENOENT, "this host knows no host '%s'", name);
	vmc_hint(err, "'vmcrypt peer list' shows them; 'vmcrypt peer add %s --address HOST --fingerprint SHA256' adds it",
		 name);
	return VMC_ENOENT;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Names of files, sorted; free them. */
static int names(struct peers *p, char (**out)[PEER_NAME_MAX + 1], size_t *n, struct vmc_error *err)
{
	char (*list)[PEER_NAME_MAX + 1] = calloc(PEERS_MAX, sizeof(*list));
	DIR *d = list ? opendir(p->store) : NULL;
	struct dirent *f;

	*n = 0;
	if (!list)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a list of hosts");
	if (!d && errno != ENOENT) {
		free(list);
		return vmc_fail_errno(err, errno, "cannot list '%s'", p->store);
	}
	while (d && *n < PEERS_MAX && (f = readdir(d))) {
		size_t len = strlen(f->d_name), name = len - (sizeof(CONF) - 1);

		if (len < sizeof(CONF) || name > PEER_NAME_MAX || strcmp(f->d_name + name, CONF))
			continue;
		memcpy(list[*n], f->d_name, name);
		if (vmc_name_ok(list[*n], PEER_NAME_MAX))
			++*n;
		else
			memset(list[*n], 0, sizeof(*list));
	}
	if (d)
		closedir(d);
	qsort(list, *n, sizeof(*list), by_name);
	*out = list;
	return 0;
}

int store_all(struct peers *p, struct peer_entry **all, size_t *n, struct vmc_error *err)
{
	char (*list)[PEER_NAME_MAX + 1] = NULL;
	struct peer_entry *e;
	size_t count, used = 0;
	int rc = names(p, &list, &count, err);

	if (rc)
		return rc;
	e = calloc(count ? count : 1, sizeof(*e));
	for (size_t i = 0; e && i < count; i++)
		if (!read_entry(p, list[i], &e[used], NULL))
			used++;
	free(list);
	if (!e)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a list of hosts");
	*all = e;
	*n = used;
	return 0;
}

/* ---- trusting ---------------------------------------------------------- */

static bool has_name(X509 *x, const char *host)
{
	unsigned char a[16];

	if (inet_pton(AF_INET, host, a) == 1 || inet_pton(AF_INET6, host, a) == 1)
		return X509_check_ip_asc(x, host, 0) == 1;
	return X509_check_host(x, host, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

static bool chain_ok(const struct peer_entry *e, X509 *leaf, STACK_OF(X509) *untrusted)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *ca = NULL;
	bool ok = store && ctx && !cert_chain_load(e->ca, &ca, NULL);

	for (int i = 0; ok && i < sk_X509_num(ca); i++)
		ok = X509_STORE_add_cert(store, sk_X509_value(ca, i)) == 1;
	/* an intermediate CA may be all that is trusted */
	ok = ok && X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1 &&
	     X509_STORE_CTX_init(ctx, store, leaf, untrusted) == 1 && X509_verify_cert(ctx) == 1;
	cert_chain_free(ca);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ERR_clear_error();
	return ok;
}

bool store_trusts(const struct peer_entry *e, X509 *leaf, STACK_OF(X509) *untrusted)
{
	if (!e->by_ca)
		return cert_pin_match(&e->pin, 1, leaf);
	return cert_for_peer(leaf) && (has_name(leaf, e->host) || has_name(leaf, e->name)) &&
	       chain_ok(e, leaf, untrusted);
}

/* ---- telling ----------------------------------------------------------- */

static json_t *describe(const struct peer_entry *e)
{
	char fingerprint[CERT_FINGERPRINT + 8];

	snprintf(fingerprint, sizeof(fingerprint), "%s:%s", e->pin.spki ? "spki" : "sha256", e->pin.hex);
	return json_pack("{s:s, s:s, s:i, s:s, s:s*}", "name", e->name, "address", e->host, "port", (int)e->port, "trust",
			 e->by_ca ? "ca" : "fingerprint", "fingerprint", e->by_ca ? NULL : fingerprint);
}

static json_t *describe_bad(const char *name, const struct vmc_error *why)
{
	return json_pack("{s:s, s:s, s:s}", "name", name, "error", why->text, "hint", why->hint);
}

int peers_list(struct peers *p, json_t **out, struct vmc_error *err)
{
	char (*list)[PEER_NAME_MAX + 1] = NULL;
	json_t *array = json_array();
	size_t n;
	int rc = names(p, &list, &n, err);

	for (size_t i = 0; !rc && i < n; i++) {
		struct vmc_error why = VMC_ERROR_INIT;
		struct peer_entry e;

		json_array_append_new(array, read_entry(p, list[i], &e, &why) ? describe_bad(list[i], &why) :
				      describe(&e));
	}
	free(list);
	if (rc)
		json_decref(array);
	else
		*out = array;
	return rc;
}

int peers_show(struct peers *p, const char *name, json_t **out, struct vmc_error *err)
{
	STACK_OF(X509) *ca = NULL;
	struct peer_entry e;
	json_t *o, *list;
	int rc = store_find(p, name, &e, err);

	if (!rc && e.by_ca)
		rc = cert_chain_load(e.ca, &ca, err);
	if (rc)
		return rc;
	o = describe(&e);
	if (ca) {
		list = json_array();
		for (int i = 0; i < sk_X509_num(ca); i++)
			json_array_append_new(list, cert_json(sk_X509_value(ca, i)));
		json_object_set_new(o, "ca", list);
		cert_chain_free(ca);
	}
	*out = o;
	return 0;
}

/* ---- changing ---------------------------------------------------------- */

static int check_ca(const char *pem, struct vmc_error *err)
{
	STACK_OF(X509) *chain = NULL;
	int rc = cert_chain_from_pem(pem, N_("the CA given"), &chain, err);

	cert_chain_free(chain);
	return rc;
}

static int check(const struct peer_add *a, struct peer_entry *e, struct vmc_error *err)
{
	int rc;

	if (!a->address || !*a->address)
		return vmc_fail(err, VMC_EINVAL, "host '%s' needs an address", a->name);
	if (!a->fingerprint == !a->ca_pem) {
		vmc_fail(err, VMC_EINVAL, "host '%s' needs exactly one of a fingerprint and a CA", a->name);
		vmc_hint(err, "'vmcrypt host identity show' on that host tells its fingerprint");
		return VMC_EINVAL;
	}
	e->port = PEER_PORT;
	rc = net_split(a->address, e->host, sizeof(e->host), &e->port, err);
	if (rc)
		return rc;
	return a->ca_pem ? check_ca(a->ca_pem, err) : cert_pin_parse(a->fingerprint, &e->pin, err);
}

static int write_entry(struct peers *p, const struct peer_add *a, const struct peer_entry *e, const char *conf,
		       struct vmc_error *err)
{
	char text[PATH_MAX + 512], ca[PATH_MAX];
	bool v6 = strchr(e->host, ':');
	int n, rc = fs_mkdirs(p->store, 0755, err);

	if (!rc)
		rc = path_of(p, a->name, ".ca.pem", ca, err);
	if (!rc && a->ca_pem)
		rc = fs_replace(ca, a->ca_pem, strlen(a->ca_pem), 0644, err);
	if (rc)
		return rc;
	n = snprintf(text, sizeof(text), "# A host that VMs may be migrated to and from.\n[peer]\naddress = %s%s%s:%u\n",
		     v6 ? "[" : "", e->host, v6 ? "]" : "", e->port);
	if (a->ca_pem)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "ca = %s\n", ca);
	else
		n += snprintf(text + n, sizeof(text) - (size_t)n, "fingerprint = %s:%s\n", e->pin.spki ? "spki" : "sha256",
			      e->pin.hex);
	return fs_replace(conf, text, (size_t)n, 0644, err);
}

int peers_add(struct peers *p, const struct peer_add *a, struct vmc_error *err)
{
	struct peer_entry e = { .port = 0 };
	char conf[PATH_MAX];
	int rc = path_of(p, a->name, CONF, conf, err);

	if (!rc)
		rc = check(a, &e, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&p->lock);
	if (access(conf, F_OK)) {
		rc = write_entry(p, a, &e, conf, err);
	} else {
		rc = vmc_fail(err, VMC_EEXIST, "there is a host '%s' already", a->name);
		vmc_hint(err, "'vmcrypt peer show %s' shows it; remove it first to change it", a->name);
	}
	pthread_mutex_unlock(&p->lock);
	return rc;
}

int peers_remove(struct peers *p, const char *name, struct vmc_error *err)
{
	char conf[PATH_MAX], ca[PATH_MAX];
	int rc = path_of(p, name, CONF, conf, err);

	if (!rc)
		rc = path_of(p, name, ".ca.pem", ca, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&p->lock);
	if (access(conf, F_OK)) {
		rc = vmc_fail(err, VMC_ENOENT, "this host knows no host '%s'", name);
		vmc_hint(err, "'vmcrypt peer list' shows them");
	} else {
		rc = fs_unlink(conf, err);
	}
	if (!rc)
		rc = fs_unlink(ca, err);
	pthread_mutex_unlock(&p->lock);
	return rc;
}
