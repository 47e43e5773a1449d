// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt provider trust ...": who this host is to the servers, and they to it. */
#include <stdio.h>
#include <string.h>

#include "../lib/secmem.h"
#include "../lib/util.h"
#include "bus.h"
#include "out.h"
#include "pem.h"
#include "provider.h"
#include "render.h"
#include "table.h"
#include "verbs.h"

/* Enough for one private key and the message around it; the CLI holds no other secret. */
#define SECURE_HEAP	(256 * 1024)
#define IMPORT_MAX	(64 * 1024)

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
		fprintf(stderr, "Next: %s\n", next);
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
		 "have the key server's side sign it, then vmcrypt provider trust %s upload FILE",
		 c->operands[0]);
	return make_pem(c, "csr", next);
}

int verb_trust_self_signed(struct cli *c)
{
	char next[256];

	snprintf(next, sizeof(next),
		 "have the key servers trust this certificate, then vmcrypt provider test %s",
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

/* {"pem": CERT, "key_pem": KEY} in @out, made by hand: jansson would leave copies behind. */
static int import_args(const char *cert, const char *key, char *out, size_t n)
{
	size_t used = 0;
	int r;

	used = snprintf(out, n, "{\"pem\":");
	r = pem_json(cert, out, n, &used);
	if (!r && used + 11 < n)
		used += snprintf(out + used, n - used, ",\"key_pem\":");
	if (!r)
		r = pem_json(key, out, n, &used);
	if (r || used + 1 >= n)
		return VMC_EINVAL;
	memcpy(out + used, "}", 2);
	return 0;
}

/* sd-bus wipes its copy of a message that is marked sensitive. */
static int send_import(struct cli *c, const char *args)
{
	VMC_CLEANUP(free_string) char *path = NULL;
	sd_bus_message *m;
	int r = bus_provider_path(c, c->operands[0], &path);

	if (!r)
		r = bus_message(c, &m, path, IFACE_PROVIDER, "Trust");
	if (r)
		return r;
	r = sd_bus_message_sensitive(m);
	if (r >= 0)
		r = sd_bus_message_append(m, "ss", "import", args);
	if (r < 0) {
		sd_bus_message_unref(m);
		return bus_fail(c, r, "put the key into a D-Bus message");
	}
	return provider_fail(c, c->operands[0], bus_call(c, m, NULL));
}

int verb_trust_import(struct cli *c)
{
	VMC_CLEANUP(free_string) char *cert = NULL;
	char *key = NULL, *args = NULL;
	size_t size = 0;
	int r = pem_read(c->operands[1], "CERTIFICATE", &cert, &c->err);

	if (!r)
		r = secmem_init(SECURE_HEAP, &c->err);
	if (!r)
		r = pem_read_secret(c->operands[2], "PRIVATE KEY", &key, &size, &c->err);
	if (r)
		return r;
	args = secmem_alloc(IMPORT_MAX);
	if (!args)
		r = vmc_fail(&c->err, VMC_ENOMEM, "no room in the secure heap");
	else if (import_args(cert, key, args, IMPORT_MAX))
		r = vmc_fail(&c->err, VMC_EINVAL,
			     "'%s' and '%s' are not plain PEM text of together at most 60 KiB",
			     c->operands[1], c->operands[2]);
	else
		r = send_import(c, args);
	secmem_free(args, IMPORT_MAX);
	secmem_free(key, size);
	if (r)
		return r;
	installed(c);
	out_say(c, "Then: shred -u %s   (vmcryptd has its own copy now)", c->operands[2]);
	return 0;
}

int verb_trust_show(struct cli *c)
{
	json_t *result = NULL;
	int r = trust(c, "show", json_object(), &result);

	if (r)
		return r;
	if (c->json) {
		out_json(result);
	} else {
		/* an array is shown as the servers it is about */
		json_t *o = json_is_array(result) ? json_pack("{s:O}", "servers", result) :
						    json_incref(result);

		r = o ? render_object(stdout, o, 0) : VMC_ENOMEM;
		json_decref(o);
		out_say(c, "Next: compare the fingerprint with the key server's administrator, then");
		out_say(c, "      vmcrypt provider trust %s pin --fingerprint SHA256, or --ca FILE",
			c->operands[0]);
	}
	json_decref(result);
	return r;
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
	out_say(c, "servers of provider '%s' are trusted by %s", c->operands[0],
		ca ? "the CA" : "this fingerprint only");
	out_say(c, "Next: vmcrypt provider test %s", c->operands[0]);
	out_done(c, "provider", c->operands[0]);
	return 0;
}
