// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt host identity ...": who this host is to other hosts. */
#include <stdio.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "bus.h"
#include "out.h"
#include "pem.h"
#include "verbs.h"

static const char *words(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static void say_identity(struct cli *c, const json_t *o)
{
	json_int_t days = json_integer_value(json_object_get(o, "days_left"));

	out_say(c, "Host: %s", words(o, "host"));
	out_say(c, "Certificate: %s, valid for %lld days", words(o, "subject"), (long long)days);
	out_say(c, "Fingerprint: sha256:%s", words(o, "sha256"));
	if (*words(o, "listen")) {
		out_say(c, "Listens at: %s", words(o, "listen"));
	} else {
		out_say(c, _("Problem: %s"), words(o, "error"));
		out_say(c, _("What to do: %s"), words(o, "hint"));
	}
	out_say(c, "On another host: vmcrypt peer add %s --address ADDRESS --fingerprint %s", words(o, "host"),
		words(o, "sha256"));
}

int verb_identity_show(struct cli *c)
{
	json_t *o = NULL;
	int r = bus_json(c, &o, BUS_ROOT, IFACE_HOST, "IdentityShow", "");

	if (r)
		return r;
	if (c->json)
		out_json(o);
	else
		say_identity(c, o);
	json_decref(o);
	return 0;
}

int verb_identity_csr(struct cli *c)
{
	json_t *o = NULL;
	int r = bus_json(c, &o, BUS_ROOT, IFACE_HOST, "IdentityRequest", "");

	if (r)
		return r;
	if (c->json) {
		out_json(o);
	} else {
		fputs(words(o, "pem"), stdout);
		fflush(stdout);
		fprintf(stderr, _("Next: %s\n"), _("have your CA sign it, for TLS clients and servers, then vmcrypt host identity upload FILE"));
	}
	json_decref(o);
	return 0;
}

int verb_identity_upload(struct cli *c)
{
	VMC_CLEANUP(free_string) char *pem = NULL;
	int r = pem_read(c->operands[0], "CERTIFICATE", &pem, &c->err);

	if (!r)
		r = bus_method(c, BUS_ROOT, IFACE_HOST, "IdentityUpload", "s", pem);
	if (r)
		return r;
	out_say(c, "this host shows others the new certificate from now on");
	out_done(c, "file", c->operands[0]);
	return 0;
}
