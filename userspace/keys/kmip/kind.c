// SPDX-License-Identifier: GPL-2.0-or-later
/* What the registry has to know of KMIP providers: what they lack, and how they look in a list. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/i18n.h"
#include "../../lib/util.h"
#include "../cert.h"
#include "cluster.h"
#include "conf.h"

static bool has(const struct providers *ps, const char *name, const char *file)
{
	char path[PATH_MAX];

	return !registry_path(ps, name, file, path, NULL) && !access(path, F_OK);
}

static void kmip_lacks(const struct providers *ps, const char *name, char out[256])
{
	out[0] = '\0';
	if (!has(ps, name, CLIENT_KEY))
		snprintf(out, 256, _("needs a client certificate: vmcrypt provider trust %s csr (or self-signed)"),
			 name);
	else if (!has(ps, name, CLIENT_CERT))
		snprintf(out, 256, _("needs a signed client certificate: have the request of 'vmcrypt provider trust %s csr' signed, then vmcrypt provider trust %s upload FILE"),
			 name, name);
	else if (!has(ps, name, CA_FILE) && !has(ps, name, PIN_FILE))
		snprintf(out, 256, _("needs trust in its servers: vmcrypt provider trust %s show, then vmcrypt provider trust %s pin"),
			 name, name);
}

static json_t *client_cert(const struct providers *ps, const char *name)
{
	char path[PATH_MAX], subject[CERT_NAME_MAX], until[32];
	STACK_OF(X509) *chain;
	X509 *x;
	json_t *j;

	if (registry_path(ps, name, CLIENT_CERT, path, NULL) || cert_chain_load(path, &chain, NULL))
		return json_null();
	x = sk_X509_value(chain, 0);
	cert_subject(x, subject);
	vmc_time_format(cert_not_after(x), until);
	j = json_pack("{s:s, s:s, s:i}", "subject", subject, "not_after", until, "days_left",
		      cert_days_left(x));
	cert_chain_free(chain);
	return j;
}

static json_t *server_list(const struct kmip_conf *c)
{
	json_t *a = json_array();

	for (unsigned int i = 0; i < c->n_servers; i++)
		json_array_append_new(a, json_sprintf(strchr(c->servers[i].host, ':') ? "[%s]:%d" : "%s:%d",
						      c->servers[i].host, (int)c->servers[i].port));
	return a;
}

static json_t *kmip_describe(struct providers *ps, const char *name)
{
	struct vmc_error err = VMC_ERROR_INIT;
	char path[PATH_MAX], state[1024];
	struct kmip_conf conf;

	kmip_lacks(ps, name, state);
	if (registry_path(ps, name, PROVIDER_CONF, path, &err) ||
	    kmip_conf_load(&conf, path, &ps->cfg, &err)) {
		kmip_conf_defaults(&conf, &ps->cfg);
		snprintf(state, sizeof(state), _("cannot be used: %s"), err.text);
	}
	return json_pack("{s:o, s:o, s:s}", "servers", server_list(&conf), "client_cert",
			 client_cert(ps, name), "state", *state ? state : "ready");
}

const struct provider_kind kmip_kind = {
	.name = "kmip",
	.lacks = kmip_lacks,
	.make = cluster_new,
	.describe = kmip_describe,
};
