// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt provider trust ...": who this host is to the servers, and they to it. */
#include <stdio.h>
#include <unistd.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "bus.h"
#include "out.h"
#include "pem.h"
#include "provider.h"
#include "verbs.h"

static int trust_call(struct cli *c, const char *name, const char *verb, const json_t *args,
		      json_t **out)
{
	VMC_CLEANUP(free_string) char *path = NULL, *text = json_dumps(args, JSON_COMPACT);
	json_t *result = NULL;
	int r;

	if (!text)
		return vmc_fail(&c->err, VMC_ENOMEM, "out of memory");
	r = bus_provider_path(c, name, &path);
	if (!r)
		r = provider_fail(c, name, bus_json(c, &result, path, IFACE_PROVIDER, "Trust", "ss",
						    verb, text));
	if (!r && out)
		*out = json_incref(result);
	json_decref(result);
	return r;
}

/* @args is used up. */
static int trust(struct cli *c, const char *verb, json_t *args, json_t **out)
{
	int r;

	if (!args)
		return vmc_fail(&c->err, VMC_ENOMEM, "out of memory");
	r = trust_call(c, c->operands[0], verb, args, out);
	json_decref(args);
	return r;
}

/* csr and self-signed: the PEM alone on standard output, @next on standard error. */
static int make_pem(struct cli *c, const char *verb, const char *next)
{
	json_t *result = NULL;
	const char *pem;
	int r = trust(c, verb, json_object(), &result);

	if (r)
		return r;
	pem = json_string_value(json_object_get(result, "pem"));
	if (c->json) {
		out_json(result);
	} else if (pem) {
		fputs(pem, stdout);
		fflush(stdout);
		fprintf(stderr, _("Next: %s\n"), next);
	} else {
		r = vmc_fail(&c->err, VMC_EPROTO, "vmcryptd's answer has no PEM text in it");
	}
	json_decref(result);
	return r;
}

int verb_trust_csr(struct cli *c)
{
	char next[256];

	snprintf(next, sizeof(next),
		 _("have the key server's side sign it, then vmcrypt provider trust %s upload FILE"),
		 c->operands[0]);
	return make_pem(c, "csr", next);
}

int verb_trust_self_signed(struct cli *c)
{
	char next[256];

	snprintf(next, sizeof(next),
		 _("have the key servers trust this certificate, then vmcrypt provider test %s"),
		 c->operands[0]);
	return make_pem(c, "self-signed", next);
}

static int installed(struct cli *c)
{
	out_say(c, "certificate of this host for provider '%s' installed", c->operands[0]);
	out_say(c, "Next: vmcrypt provider test %s", c->operands[0]);
	out_done(c, "provider", c->operands[0]);
	return 0;
}

int verb_trust_upload(struct cli *c)
{
	VMC_CLEANUP(free_string) char *pem = NULL;
	int r = pem_read(c->operands[1], "CERTIFICATE", &pem, &c->err);

	if (!r)
		r = trust(c, "upload", json_pack("{s:s}", "pem", pem), NULL);
	return r ? r : installed(c);
}

/* The certificate as text, the private key as an open file: the daemon reads it, the bus never carries it. */
static int send_import(struct cli *c, const char *cert, int key)
{
	VMC_CLEANUP(free_string) char *path = NULL;
	int r = bus_provider_path(c, c->operands[0], &path);

	if (r)
		return r;
	return provider_fail(c, c->operands[0],
			     bus_method(c, path, IFACE_PROVIDER, "Import", "sh", cert, key));
}

int verb_trust_import(struct cli *c)
{
	VMC_CLEANUP(free_string) char *cert = NULL;
	int key, r = pem_read(c->operands[1], "CERTIFICATE", &cert, &c->err);

	if (!r)
		r = pem_open(c->operands[2], &key, &c->err);
	if (r)
		return r;
	r = send_import(c, cert, key);
	close(key);
	if (r)
		return r;
	installed(c);
	out_say(c, "Then: shred -u %s   (vmcryptd has its own copy now)", c->operands[2]);
	return 0;
}

/* One certificate of the chain that a server presented. */
static void show_certificate(const struct cli *c, const json_t *cert)
{
	out_say(c, "  subject      %s", json_string_value(json_object_get(cert, "subject")) ?: "-");
	out_say(c, "    issuer     %s%s", json_string_value(json_object_get(cert, "issuer")) ?: "-",
		json_is_true(json_object_get(cert, "self_signed")) ? _(" (self-signed)") : "");
	out_say(c, "    valid to   %s, %lld days left",
		json_string_value(json_object_get(cert, "not_after")) ?: "-",
		(long long)json_integer_value(json_object_get(cert, "days_left")));
	out_say(c, "    SHA-256    %s", json_string_value(json_object_get(cert, "sha256")) ?: "-");
	out_say(c, "    public key spki:%s",
		json_string_value(json_object_get(cert, "spki_sha256")) ?: "-");
}

static void show_server(const struct cli *c, const json_t *server)
{
	const char *error = json_string_value(json_object_get(server, "error"));
	const json_t *cert;
	size_t i;

	out_say(c, "%s:%lld  %s", json_string_value(json_object_get(server, "host")) ?: "?",
		(long long)json_integer_value(json_object_get(server, "port")),
		error ? error : json_string_value(json_object_get(server, "verdict")) ?: "-");
	if (error && json_string_length(json_object_get(server, "hint")))
		out_say(c, "  Hint: %s", json_string_value(json_object_get(server, "hint")));
	json_array_foreach(json_object_get(server, "chain"), i, cert)
		show_certificate(c, cert);
}

int verb_trust_show(struct cli *c)
{
	bool compare = false;
	json_t *result = NULL, *server;
	size_t i;
	int r = trust(c, "show", json_object(), &result);

	if (r)
		return r;
	if (c->json)
		out_json(result);
	json_array_foreach(json_object_get(result, "servers"), i, server) {
		show_server(c, server);
		/* nothing to compare where nothing was presented */
		compare |= json_array_size(json_object_get(server, "chain")) &&
			   !json_is_true(json_object_get(server, "trusted"));
	}
	if (compare) {
		out_say(c, "Next: compare the fingerprint with the key server's administrator, then");
		out_say(c, "      vmcrypt provider trust %s pin --fingerprint SHA256, or --ca FILE",
			c->operands[0]);
	}
	json_decref(result);
	return 0;
}

int trust_pin_ca(struct cli *c, const char *name, const char *pem)
{
	json_t *args = json_pack("{s:s}", "ca_pem", pem);
	int r;

	if (!args)
		return vmc_fail(&c->err, VMC_EINVAL, "the CA file is not plain PEM text");
	r = trust_call(c, name, "pin", args, NULL);
	json_decref(args);
	return r;
}

int verb_trust_pin(struct cli *c)
{
	const char *ca = cli_value(c, OPT_CA), *fingerprint = cli_value(c, OPT_FINGERPRINT);
	VMC_CLEANUP(free_string) char *pem = NULL;
	int r;

	if (!ca == !fingerprint) {
		vmc_fail(&c->err, VMC_EINVAL, "pin takes either --fingerprint or --ca");
		vmc_hint(&c->err, "'vmcrypt provider trust %s show' shows the fingerprints",
			 c->operands[0]);
		return VMC_EINVAL;
	}
	if (ca) {
		r = pem_read(ca, "CERTIFICATE", &pem, &c->err);
		if (!r)
			r = trust_pin_ca(c, c->operands[0], pem);
	} else {
		r = trust(c, "pin", json_pack("{s:s}", "fingerprint", fingerprint), NULL);
	}
	if (r)
		return r;
	if (ca)
		out_say(c, "servers of provider '%s' are trusted by the CA", c->operands[0]);
	else
		out_say(c, "servers of provider '%s' are trusted by the fingerprint", c->operands[0]);
	out_say(c, "Next: vmcrypt provider test %s", c->operands[0]);
	out_done(c, "provider", c->operands[0]);
	return 0;
}
