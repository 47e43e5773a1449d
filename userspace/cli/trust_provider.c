// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt trust key-provider ...": the key servers of a Trust Authority, and what they know it by. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "out.h"
#include "pem.h"
#include "trust_call.h"
#include "verbs.h"

/* HOST[:PORT]: an address of IPv6 with a port stands in brackets. */
static bool has_port(const char *s)
{
	const char *colon = strrchr(s, ':');

	if (!colon || colon == s)
		return false;
	return *s == '[' ? colon[-1] == ']' : strchr(s, ':') == colon;
}

/* Those of --server, as "HOST:PORT". */
static int servers_of(struct cli *c, json_t **servers)
{
	char where[300];

	*servers = json_array();
	for (size_t i = 0; i < c->args.n_list; i++) {
		const char *s = c->args.list[i];

		snprintf(where, sizeof(where), has_port(s) ? "%s" : strchr(s, ':') && *s != '[' ? "[%s]:5696" : "%s:5696", s);
		if (!json_array_append_new(*servers, json_string(where)))
			continue;
		json_decref(*servers);
		return vmc_fail(&c->err, VMC_EINVAL, "'%s' is not a server: HOST[:PORT]", s);
	}
	return 0;
}

int verb_trust_provider_add(struct cli *c)
{
	json_t *servers, *params;
	int r = servers_of(c, &servers);

	if (r)
		return r;
	params = json_pack("{s:s, s:s, s:o, s:s*, s:s*, s:s*, s:b}", "name", c->operands[0], "kind", "kmip", "servers", servers,
			   "username", cli_value(c, OPT_USERNAME), "tls_min", cli_value(c, OPT_TLS_MIN), "operation_policy",
			   cli_value(c, OPT_OPERATION_POLICY), "default", (int)args_has(&c->args, OPT_DEFAULT));
	r = trust_ask(c, "key-provider-add", params, NULL);
	if (r)
		return r;
	out_say(c, "key provider '%s' added", c->operands[0]);
	out_say(c, "Next: vmcrypt trust remediate; then, on every authority: vmcrypt trust key-provider trust %s csr", c->operands[0]);
	out_say(c, "      and here, once: vmcrypt trust key-provider trust %s show, and pin", c->operands[0]);
	out_done(c, "name", c->operands[0]);
	return 0;
}

int verb_trust_provider_list(struct cli *c)
{
	static const struct column cols[] = {
		{ N_("NAME"), "name" }, { N_("KIND"), "kind" }, { N_("SERVERS"), "servers" }, { N_("DEFAULT"), "default" },
		{ N_("STATE"), "state" },
	};

	return trust_table(c, "key-provider-list", "key_providers", cols, ARRAY_SIZE(cols),
			   N_("no key provider; 'vmcrypt trust key-provider add kmip NAME --server HOST' adds one"));
}

int verb_trust_provider_describe(struct cli *c)
{
	json_t *o = NULL, *p, *found = NULL;
	size_t i;
	int r = trust_ask(c, "key-provider-list", json_object(), &o);

	if (r)
		return r;
	json_array_foreach(json_object_get(o, "key_providers"), i, p)
		if (!strcmp(json_string_value(json_object_get(p, "name")) ?: "", c->operands[0]))
			found = p;
	if (!found) {
		r = vmc_fail(&c->err, VMC_ENOENT, "there is no key provider '%s'", c->operands[0]);
		vmc_hint(&c->err, "'vmcrypt trust key-provider list' tells which there are");
	} else if (c->json) {
		out_json(found);
	} else {
		r = render_object(stdout, found, 0);
	}
	json_decref(o);
	return r;
}

int verb_trust_provider_remove(struct cli *c)
{
	return trust_do(c, "key-provider-remove", json_pack("{s:s}", "name", c->operands[0]), c->operands[0],
			N_("the key provider is forgotten here; tell the others: vmcrypt trust remediate"));
}

/* ---- trust ---------------------------------------------------------------------------- */

/* @args is consumed, and may be NULL. */
static int trust(struct cli *c, const char *verb, json_t *args, const struct trust_fds *fds, json_t **out)
{
	return trust_ask_with(c, "key-provider-trust",
			      json_pack("{s:s, s:s, s:o*}", "name", c->operands[0], "verb", verb, "args", args), fds, out);
}

static int make_pem(struct cli *c, const char *verb, const char *next)
{
	const struct trust_fds none = TRUST_NO_FDS;
	const char *pem;
	json_t *o = NULL;
	int r = trust(c, verb, NULL, &none, &o);

	if (r)
		return r;
	pem = json_string_value(json_object_get(o, "pem"));
	if (c->json) {
		out_json(o);
	} else if (pem) {
		fputs(pem, stdout);
		fflush(stdout);
		fprintf(stderr, _("Next: %s\n"), next);
	} else {
		r = vmc_fail(&c->err, VMC_EPROTO, "vmcrypt-attestd's answer has no PEM text in it");
	}
	json_decref(o);
	return r;
}

int verb_trust_provider_csr(struct cli *c)
{
	char next[300];

	snprintf(next, sizeof(next),
		 _("have the key server's side sign it, then vmcrypt trust key-provider trust %s upload FILE"), c->operands[0]);
	return make_pem(c, "csr", next);
}

int verb_trust_provider_self_signed(struct cli *c)
{
	return make_pem(c, "self-signed", _("have the key servers trust this certificate, then vmcrypt trust health"));
}

static int installed(struct cli *c)
{
	out_say(c, "certificate of this authority for key provider '%s' installed", c->operands[0]);
	out_say(c, "Next: vmcrypt trust health");
	out_done(c, "name", c->operands[0]);
	return 0;
}

int verb_trust_provider_upload(struct cli *c)
{
	VMC_CLEANUP(free_string) char *pem = NULL;
	const struct trust_fds none = TRUST_NO_FDS;
	int r = pem_read(c->operands[1], "CERTIFICATE", &pem, &c->err);

	if (!r)
		r = trust(c, "upload", json_pack("{s:s}", "pem", pem), &none, NULL);
	return r ? r : installed(c);
}

/* The private key goes as an open file: the service reads it, the bus never carries it. */
int verb_trust_provider_import(struct cli *c)
{
	VMC_CLEANUP(free_string) char *pem = NULL;
	struct trust_fds fds = TRUST_NO_FDS;
	int r = pem_read(c->operands[1], "CERTIFICATE", &pem, &c->err);

	if (!r)
		r = pem_open(c->operands[2], &fds.key, &c->err);
	if (r)
		return r;
	r = trust(c, "import", json_pack("{s:s}", "pem", pem), &fds, NULL);
	close(fds.key);
	if (r)
		return r;
	installed(c);
	out_say(c, "Then: shred -u %s   (vmcrypt-kmxd has its own copy now)", c->operands[2]);
	return 0;
}

int verb_trust_provider_show(struct cli *c)
{
	static const struct column cols[] = {
		{ N_("HOST"), "host" }, { N_("PORT"), "port" }, { N_("VERDICT"), "verdict|error" },
	};
	static const struct column chain[] = {
		{ N_("SUBJECT"), "subject" }, { N_("DAYS LEFT"), "days_left" }, { N_("FINGERPRINT"), "sha256" },
	};
	const struct trust_fds none = TRUST_NO_FDS;
	json_t *o = NULL, *server;
	size_t i;
	int r = trust(c, "show", NULL, &none, &o);

	if (r)
		return r;
	if (c->json)
		out_json(o);
	else
		r = render_list(stdout, json_object_get(o, "servers"), cols, ARRAY_SIZE(cols), NULL);
	json_array_foreach(json_object_get(o, "servers"), i, server)
		if (!r && !c->json && json_array_size(json_object_get(server, "chain")))
			r = render_list(stdout, json_object_get(server, "chain"), chain, ARRAY_SIZE(chain), NULL);
	json_decref(o);
	return r;
}

int verb_trust_provider_pin(struct cli *c)
{
	const char *ca = cli_value(c, OPT_CA), *fingerprint = cli_value(c, OPT_FINGERPRINT);
	VMC_CLEANUP(free_string) char *pem = NULL;
	const struct trust_fds none = TRUST_NO_FDS;
	int r = 0;

	if (!ca == !fingerprint) {
		vmc_fail(&c->err, VMC_EINVAL, "pin takes either --fingerprint or --ca");
		vmc_hint(&c->err, "'vmcrypt trust key-provider trust %s show' shows the fingerprints", c->operands[0]);
		return VMC_EINVAL;
	}
	if (ca)
		r = pem_read(ca, "CERTIFICATE", &pem, &c->err);
	if (!r)
		r = trust(c, "pin", ca ? json_pack("{s:s}", "ca_pem", pem) : json_pack("{s:s}", "fingerprint", fingerprint),
			  &none, NULL);
	if (r)
		return r;
	out_say(c, "servers of key provider '%s' are trusted by it; tell the others: vmcrypt trust remediate", c->operands[0]);
	out_done(c, "name", c->operands[0]);
	return 0;
}
