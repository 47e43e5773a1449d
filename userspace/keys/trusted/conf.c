// SPDX-License-Identifier: GPL-2.0-or-later
/* provider.conf of a trusted provider. See conf.h. */
#include "conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/i18n.h"
#include "../../lib/inifile.h"
#include "../../lib/message.h"
#include "../../lib/util.h"

static int bad_address(const char *s, struct vmc_error *err)
{
	return vmc_fail(err, VMC_EINVAL, "'%.120s' is not HOST:PORT", s);
}

/* HOST in [@from, @to), and what follows. */
static int set_server(const char *from, const char *to, const char *port, struct trusted_server *out)
{
	char *end;
	unsigned long v;

	if (to <= from || to - from > TRUSTED_HOST_MAX)
		return VMC_EINVAL;
	for (const char *p = from; p < to; p++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:%", *p))
			return VMC_EINVAL;
	memcpy(out->host, from, (size_t)(to - from));
	out->host[to - from] = '\0';
	if (!*port)
		return 0;
	if (port[0] != ':' || port[1] < '0' || port[1] > '9')
		return VMC_EINVAL;
	v = strtoul(port + 1, &end, 10);
	if (*end || !v || v > UINT16_MAX)
		return VMC_EINVAL;
	out->port = (uint16_t)v;
	return 0;
}

int trusted_server_parse(const char *s, uint16_t port, struct trusted_server *out, struct vmc_error *err)
{
	const char *end = s[0] == '[' ? strchr(s, ']') : s + strcspn(s, ":");
	int rc = VMC_EINVAL;

	out->port = port;
	if (s[0] == '[' && end)
		rc = set_server(s + 1, end, end + 1, out);
	else if (end)
		rc = set_server(s, end, end, out);
	return rc ? bad_address(s, err) : 0;
}

void trusted_server_text(const struct trusted_server *s, char out[TRUSTED_HOST_MAX + 16])
{
	snprintf(out, TRUSTED_HOST_MAX + 16, strchr(s->host, ':') ? "[%s]:%u" : "%s:%u", s->host, s->port);
}

/* ---- reading ------------------------------------------------------------------- */

static int set_name(const struct inifile_entry *e, char out[TRUSTED_NAME_MAX + 1], struct vmc_error *err)
{
	if (!vmc_name_ok(e->value, TRUSTED_NAME_MAX))
		return vmc_fail(err, VMC_EINVAL, "'%.60s' is no value for %s", e->value, e->name);
	return inifile_text(e, out, TRUSTED_NAME_MAX + 1, err);
}

static int set_pin(const struct inifile_entry *e, char out[CERT_FINGERPRINT], struct vmc_error *err)
{
	struct cert_pin pin;
	int rc = cert_pin_parse(e->value, &pin, err);

	if (!rc && pin.spki)
		rc = vmc_fail(err, VMC_EINVAL, "'%.80s' is not the SHA-256 of a certificate", e->value);
	if (!rc)
		memcpy(out, pin.hex, CERT_FINGERPRINT);
	return rc;
}

/* The authority of this section; a new one at the end. NULL: too many. */
static struct trusted_authority *authority(struct trusted_conf *c, const char *name)
{
	for (unsigned int i = 0; i < c->n; i++)
		if (!strcmp(c->a[i].name, name))
			return &c->a[i];
	if (c->n == TRUSTED_AUTHORITIES_MAX)
		return NULL;
	snprintf(c->a[c->n].name, sizeof(c->a[c->n].name), "%s", name);
	return &c->a[c->n++];
}

static int set_authority(struct trusted_conf *c, const char *name, const struct inifile_entry *e,
			 struct vmc_error *err)
{
	struct trusted_authority *a;

	if (!vmc_name_ok(name, TRUSTED_NAME_MAX))
		return vmc_fail(err, VMC_EINVAL, "'%.60s' is not the name of an authority", name);
	a = authority(c, name);
	if (!a)
		return vmc_fail(err, VMC_EINVAL, "there are more than %d authorities", TRUSTED_AUTHORITIES_MAX);
	if (!strcmp(e->name, "attest"))
		return trusted_server_parse(e->value, TRUSTED_ATTEST_PORT, &a->attest, err);
	if (!strcmp(e->name, "kmx"))
		return trusted_server_parse(e->value, TRUSTED_KMX_PORT, &a->kmx, err);
	if (!strcmp(e->name, "attest_cert"))
		return set_pin(e, a->attest.sha256, err);
	if (!strcmp(e->name, "attest_also"))
		return set_pin(e, a->attest.also, err);
	if (!strcmp(e->name, "kmx_cert"))
		return set_pin(e, a->kmx.sha256, err);
	if (!strcmp(e->name, "kmx_also"))
		return set_pin(e, a->kmx.also, err);
	return inifile_unknown(e, err);
}

static int on_entry(const struct inifile_entry *e, void *data, struct vmc_error *err)
{
	struct trusted_conf *c = data;
	unsigned long long v = 0;
	int rc;

	if (!strncmp(e->section, "authority ", 10))
		return set_authority(c, e->section + 10, e, err);
	if (!strcmp(e->section, "provider") && !strcmp(e->name, "kind"))
		return strcmp(e->value, "trusted") ?
		       vmc_fail(err, VMC_EINVAL, "'%.60s' is no value for kind", e->value) : 0;
	if (strcmp(e->section, "trusted"))
		return inifile_unknown(e, err);
	if (!strcmp(e->name, "cluster"))
		return set_name(e, c->cluster, err);
	if (!strcmp(e->name, "key_provider"))
		return set_name(e, c->key_provider, err);
	if (strcmp(e->name, "serial"))
		return inifile_unknown(e, err);
	rc = inifile_uint(e, 0, INT64_MAX, &v, err);
	c->serial = (long long)v;
	return rc;
}

/* @what: of what something is missing. */
static int check_whole(const struct trusted_conf *c, const char *what, struct vmc_error *err)
{
	if (!c->cluster[0] || !c->key_provider[0] || !c->n)
		return vmc_fail(err, VMC_EINVAL, "%s: the cluster, its key provider or its authorities are missing", what);
	for (unsigned int i = 0; i < c->n; i++)
		if (!c->a[i].attest.host[0] || !c->a[i].kmx.host[0] || !c->a[i].attest.sha256[0] ||
		    !c->a[i].kmx.sha256[0])
			return vmc_fail(err, VMC_EINVAL, "%s: an address or a certificate of authority '%s' is missing",
					what, c->a[i].name);
	return 0;
}

int trusted_conf_load(struct trusted_conf *c, const char *path, struct vmc_error *err)
{
	int rc;

	memset(c, 0, sizeof(*c));
	rc = inifile_parse(path, on_entry, c, err);
	return rc ? rc : check_whole(c, path, err);
}

/* ---- writing ------------------------------------------------------------------- */

static void put_authority(FILE *f, const struct trusted_authority *a)
{
	char attest[TRUSTED_HOST_MAX + 16], kmx[TRUSTED_HOST_MAX + 16];

	trusted_server_text(&a->attest, attest);
	trusted_server_text(&a->kmx, kmx);
	fprintf(f, "\n[authority %s]\nattest = %s\nattest_cert = %s\nkmx = %s\nkmx_cert = %s\n", a->name, attest,
		a->attest.sha256, kmx, a->kmx.sha256);
	if (*a->attest.also)
		fprintf(f, "attest_also = %s\n", a->attest.also);
	if (*a->kmx.also)
		fprintf(f, "kmx_also = %s\n", a->kmx.also);
}

char *trusted_conf_text(const struct trusted_conf *c)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return NULL;
	fprintf(f, "# A trusted key provider of vmcrypt: keys for attested hosts only.\n[provider]\nkind = trusted\n\n"
		"[trusted]\ncluster = %s\nkey_provider = %s\nserial = %lld\n", c->cluster, c->key_provider, c->serial);
	for (unsigned int i = 0; i < c->n; i++)
		put_authority(f, &c->a[i]);
	if (!fclose(f))
		return text;
	free(text);
	return NULL;
}

/* ---- services-info -------------------------------------------------------------- */

static int bad_info(struct vmc_error *err, const char *what)
{
	int rc = vmc_fail(err, VMC_EINVAL, "this is not the services-info file of a Trust Authority: %s",
			  message_say(what));

	vmc_hint(err, "an administrator of the authority makes one: 'vmcrypt trust services-info --out FILE'");
	return rc;
}

static int take_name(const json_t *o, const char *member, char out[TRUSTED_NAME_MAX + 1])
{
	const char *s = json_string_value(json_object_get(o, member));

	if (!s || !vmc_name_ok(s, TRUSTED_NAME_MAX))
		return VMC_EINVAL;
	snprintf(out, TRUSTED_NAME_MAX + 1, "%s", s);
	return 0;
}

static int take_pin(const json_t *o, const char *member, char out[CERT_FINGERPRINT])
{
	const char *pem = json_string_value(json_object_get(o, member));
	STACK_OF(X509) *chain;
	int rc;

	if (!pem || cert_chain_from_pem(pem, member, &chain, NULL))
		return VMC_EINVAL;
	rc = cert_fingerprint(sk_X509_value(chain, 0), out);
	cert_chain_free(chain);
	return rc;
}

static int take_server(const json_t *o, const char *member, const char *cert, const char *also, uint16_t port,
		       struct trusted_server *s)
{
	const char *address = json_string_value(json_object_get(o, member));

	if (!address || trusted_server_parse(address, port, s, NULL) || take_pin(o, cert, s->sha256))
		return VMC_EINVAL;
	return json_object_get(o, also) ? take_pin(o, also, s->also) : 0;
}

static int take_authority(struct trusted_conf *c, const json_t *o, struct vmc_error *err)
{
	struct trusted_authority *a = &c->a[c->n], found = { .name = "" };

	if (take_name(o, "name", found.name) ||
	    take_server(o, "attest", "attest_cert", "attest_also", TRUSTED_ATTEST_PORT, &found.attest) ||
	    take_server(o, "kmx", "kmx_cert", "kmx_also", TRUSTED_KMX_PORT, &found.kmx))
		return bad_info(err, N_("the name, an address or a certificate of an authority is missing, or makes no sense"));
	for (unsigned int i = 0; i < c->n; i++)
		if (!strcmp(c->a[i].name, found.name))
			return bad_info(err, N_("an authority is in it twice"));
	*a = found;
	c->n++;
	return 0;
}

static int take_key_provider(struct trusted_conf *c, const char *name, const json_t *list, struct vmc_error *err)
{
	const json_t *o, *found = NULL, *by_default = NULL;
	size_t i;

	json_array_foreach(list, i, o) {
		const char *s = json_string_value(json_object_get(o, "name"));

		if (s && !strcmp(s, name))
			found = o;
		if (json_is_true(json_object_get(o, "default")))
			by_default = o;
	}
	if (!found)
		found = by_default;
	if (!found && json_array_size(list) == 1)
		found = json_array_get(list, 0);
	if (!found)
		return bad_info(err, N_("it names no key provider that is the default one"));
	return take_name(found, "name", c->key_provider) ? bad_info(err, N_("a key provider in it has no name")) : 0;
}

int trusted_conf_from_info(struct trusted_conf *c, const char *name, const void *info, size_t len,
			   struct vmc_error *err)
{
	const json_t *list, *a;
	json_error_t why;
	json_t *o;
	size_t i;
	int rc;

	memset(c, 0, sizeof(*c));
	if (len > TRUSTED_INFO_MAX)
		return bad_info(err, N_("it is too long"));
	o = json_loadb(info, len, JSON_REJECT_DUPLICATES, &why);
	if (!json_is_object(o)) {
		rc = bad_info(err, o ? N_("it is no JSON object") : why.text);
		json_decref(o);
		return rc;
	}
	list = json_object_get(o, "authorities");
	c->serial = json_integer_value(json_object_get(o, "serial"));
	if (json_integer_value(json_object_get(o, "v")) != 1 || take_name(o, "cluster", c->cluster))
		rc = bad_info(err, N_("its version or its cluster is missing"));
	else if (!json_array_size(list) || json_array_size(list) > TRUSTED_AUTHORITIES_MAX)
		rc = bad_info(err, N_("it has no authorities, or too many"));
	else
		rc = take_key_provider(c, name, json_object_get(o, "key_providers"), err);
	json_array_foreach(list, i, a) {
		if (rc)
			break;
		rc = take_authority(c, a, err);
	}
	json_decref(o);
	return rc;
}
