// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt trust authority|ca|ek|base-image|principal|policy ...": what the desired state has. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "out.h"
#include "pem.h"
#include "trust_call.h"
#include "verbs.h"

/* "VERB-remove" and its kin: the first operand as "name". */
static int by_name(struct cli *c, const char *verb, const char *done)
{
	return trust_do(c, verb, json_pack("{s:s}", "name", c->operands[0]), c->operands[0], done);
}

/* ---- authorities ------------------------------------------------------------------- */

int verb_trust_authority_show(struct cli *c)
{
	json_t *o = NULL;
	char *text = NULL;
	int r = trust_ask(c, "authority-show",
			  json_pack("{s:s*}", "address", cli_value(c, OPT_PUBLIC_ADDRESS)), &o);

	if (!r)
		text = json_dumps(o, JSON_INDENT(2));
	if (!r && !text)
		r = vmc_fail(&c->err, VMC_ENOMEM, "out of memory");
	else if (!r && (c->json || cli_value(c, OPT_OUT)))
		r = trust_write(c, text);
	else if (!r)
		r = render_object(stdout, o, 0);
	if (!r && cli_value(c, OPT_OUT)) {
		out_say(c, "Next: where changes are made: vmcrypt trust authority add FILE");
		out_done(c, "file", cli_value(c, OPT_OUT));
	}
	free(text);
	json_decref(o);
	return r;
}

int verb_trust_authority_add(struct cli *c)
{
	json_t *o = NULL;
	int r = trust_read_json(c, c->operands[0], &o);

	if (r)
		return r;
	r = trust_ask(c, "authority-add", json_pack("{s:O}", "authority", o), NULL);
	if (!r) {
		out_say(c, "the authority is in the cluster");
		out_say(c, "Next: vmcrypt trust remediate; hosts get it by a new 'vmcrypt trust services-info --out FILE'");
		out_done(c, "file", c->operands[0]);
	}
	json_decref(o);
	return r;
}

int verb_trust_authority_list(struct cli *c)
{
	static const struct column cols[] = {
		{ N_("NAME"), "name" }, { N_("ATTESTATION"), "attest" }, { N_("KEY PROVIDER"), "kmx" },
		{ N_("STATE"), "state" }, { N_("SERIAL"), "serial" }, { N_("VERSION"), "version" },
	};

	return trust_table(c, "authority-list", "authorities", cols, ARRAY_SIZE(cols), N_("no authorities"));
}

int verb_trust_authority_remove(struct cli *c)
{
	const char *name = c->operands[0], *error;
	json_t *o = NULL;
	int r = trust_ask(c, "authority-remove", json_pack("{s:s}", "name", name), &o);

	if (r)
		return r;
	error = json_string_value(json_object_get(o, "error"));
	out_say(c, "the authority is out of the cluster; tell the others: vmcrypt trust remediate");
	if (error)
		out_say(c, "It does not know that, and may go on serving hosts (%s): on it, 'vmcrypt trust service stop', and withdraw its certificate on the key servers",
			error);
	out_done(c, "name", name);
	json_decref(o);
	return 0;
}

/* ---- TPMs ---------------------------------------------------------------------------- */

static int add_pem(struct cli *c, const char *verb, const char *what, const char *member, const char *done)
{
	VMC_CLEANUP(free_string) char *pem = NULL;
	int r = pem_read(c->operands[1], what, &pem, &c->err);

	if (r)
		return r;
	return trust_do(c, verb, json_pack("{s:s, s:s}", "name", c->operands[0], member, pem), c->operands[0], done);
}

int verb_trust_ca_add(struct cli *c)
{
	return add_pem(c, "ca-add", "CERTIFICATE", "pem",
		       N_("TPMs whose certificates this CA signed are believed; tell the others: vmcrypt trust remediate"));
}

int verb_trust_ca_list(struct cli *c)
{
	static const struct column cols[] = {
		{ N_("NAME"), "name" }, { N_("SUBJECT"), "subject" }, { N_("DAYS LEFT"), "days_left" },
	};

	return trust_table(c, "ca-list", "ca_certificates", cols, ARRAY_SIZE(cols),
			   N_("no CA is known; 'vmcrypt trust ca add NAME FILE' adds one"));
}

int verb_trust_ca_show(struct cli *c)
{
	return trust_object(c, "ca-show", json_pack("{s:s}", "name", c->operands[0]));
}

int verb_trust_ca_remove(struct cli *c)
{
	return by_name(c, "ca-remove", N_("the CA is not believed any more; tell the others: vmcrypt trust remediate"));
}

int verb_trust_ek_add(struct cli *c)
{
	return add_pem(c, "ek-add", "PUBLIC KEY", "pub",
		       N_("the TPM with this endorsement key is believed; tell the others: vmcrypt trust remediate"));
}

int verb_trust_ek_list(struct cli *c)
{
	static const struct column cols[] = { { N_("NAME"), "name" }, { N_("ENDORSEMENT KEY"), "ek" } };

	return trust_table(c, "ek-list", "eks", cols, ARRAY_SIZE(cols), N_("no TPM is believed by its endorsement key alone"));
}

int verb_trust_ek_remove(struct cli *c)
{
	return by_name(c, "ek-remove", N_("the TPM is not believed any more; tell the others: vmcrypt trust remediate"));
}

/* ---- base images ----------------------------------------------------------------------- */

int verb_trust_image_import(struct cli *c)
{
	json_t *image = NULL, *o = NULL;
	int r = trust_read_json(c, c->operands[0], &image);

	if (r)
		return r;
	r = trust_ask(c, "base-image-import", json_pack("{s:o, s:s*}", "image", image, "name", cli_value(c, OPT_NAME)), &o);
	if (r)
		return r;
	if (c->json)
		out_json(o);
	out_say(c, "hosts that boot base image '%s' attest", cli_value(c, OPT_NAME) ?
		cli_value(c, OPT_NAME) : json_string_value(json_object_get(o, "name")));
	if (json_is_true(json_object_get(o, "quick_boot")))
		out_say(c, "Warning: it was exported after a Quick Boot (kexec): hosts attest as it only if they booted it in full");
	out_say(c, "Next: vmcrypt trust remediate");
	json_decref(o);
	return 0;
}

int verb_trust_image_list(struct cli *c)
{
	static const struct column cols[] = {
		{ N_("NAME"), "name" }, { N_("KERNEL"), "kernel" }, { N_("OS"), "os" }, { N_("IMPORTED"), "imported" },
		{ N_("LAST ATTESTED"), "last_attested" }, { N_("BY"), "last_host" },
		{ N_("AFTER QUICK BOOT"), "quick_boot_hosts" },
	};

	return trust_table(c, "base-image-list", "images", cols, ARRAY_SIZE(cols),
			   N_("no base image is known; 'vmcrypt trust base-image import FILE' adds one"));
}

int verb_trust_image_show(struct cli *c)
{
	return trust_object(c, "base-image-show", json_pack("{s:s}", "image", c->operands[0]));
}

int verb_trust_image_remove(struct cli *c)
{
	return trust_do(c, "base-image-remove",
			json_pack("{s:s, s:b}", "image", c->operands[0], "force", (int)args_has(&c->args, OPT_FORCE)),
			c->operands[0],
			N_("no host attests as this base image any more; tell the others: vmcrypt trust remediate"));
}

/* ---- principals -------------------------------------------------------------------------- */

int verb_trust_principal_add(struct cli *c)
{
	VMC_CLEANUP(free_string) char *pem = NULL;
	const char *cert = cli_value(c, OPT_CERT), *fingerprint = cli_value(c, OPT_FINGERPRINT);
	int r = 0;

	if (!cert == !fingerprint)
		return vmc_fail(&c->err, VMC_EINVAL, "give exactly one of --cert and --fingerprint");
	if (cert)
		r = pem_read(cert, "CERTIFICATE", &pem, &c->err);
	if (r)
		return r;
	return trust_do(c, "principal-add",
			json_pack("{s:s, s:s, s:s*, s:s*}", "name", c->operands[0], "role", cli_value(c, OPT_ROLE), "pem",
				  pem, "fingerprint", fingerprint), c->operands[0],
			N_("the role is given; tell the others: vmcrypt trust remediate"));
}

int verb_trust_principal_list(struct cli *c)
{
	static const struct column cols[] = {
		{ N_("NAME"), "name" }, { N_("ROLE"), "role" }, { N_("FINGERPRINT"), "fingerprint" },
	};

	return trust_table(c, "principal-list", "principals", cols, ARRAY_SIZE(cols), N_("nobody has a role"));
}

int verb_trust_principal_remove(struct cli *c)
{
	return by_name(c, "principal-remove", N_("the role is taken away; tell the others: vmcrypt trust remediate"));
}

/* ---- policy -------------------------------------------------------------------------------- */

int verb_trust_policy_show(struct cli *c)
{
	return trust_object(c, "policy-show", json_object());
}

/* "0,2,7" */
static int parse_pcrs(struct cli *c, const char *text, json_t **pcrs)
{
	const char *p = text;
	json_t *a = json_array();
	char *end;
	long n;

	do {
		n = strtol(p, &end, 10);
		if (end == p || (*end && *end != ',') || n < 0 || n > 15) {
			json_decref(a);
			return vmc_fail(&c->err, VMC_EINVAL,
					"'%s' are not PCRs of a policy: numbers from 0 to 15 with commas between them", text);
		}
		json_array_append_new(a, json_integer(n));
		p = end + 1;
	} while (*end);
	*pcrs = a;
	return 0;
}

static int parse_seconds(struct cli *c, const char *text, json_t **v)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (!*text || *end || errno || n < 0)
		return vmc_fail(&c->err, VMC_EINVAL, "'%s' is not a number of seconds", text);
	*v = json_integer(n);
	return 0;
}

static void set_yes(const struct cli *c, enum opt_id id, json_t *params, const char *name)
{
	if (cli_value(c, id))
		json_object_set_new(params, name, json_boolean(!strcmp(cli_value(c, id), "yes")));
}

int verb_trust_policy_set(struct cli *c)
{
	json_t *params = json_object(), *v = NULL;
	int r = 0;

	if (cli_value(c, OPT_PCRS))
		r = parse_pcrs(c, cli_value(c, OPT_PCRS), &v);
	if (!r && v)
		json_object_set_new(params, "pcrs", v);
	v = NULL;
	if (!r && cli_value(c, OPT_LEASE))
		r = parse_seconds(c, cli_value(c, OPT_LEASE), &v);
	if (!r && v)
		json_object_set_new(params, "lease", v);
	if (r) {
		json_decref(params);
		return r;
	}
	if (args_has(&c->args, OPT_TOKEN_LIFETIME))
		json_object_set_new(params, "token_lifetime", json_integer(c->args.number[OPT_TOKEN_LIFETIME]));
	set_yes(c, OPT_SECURE_BOOT, params, "secure_boot");
	set_yes(c, OPT_REQUIRE_EK, params, "require_ek_certificate");
	set_yes(c, OPT_HOSTS_DESTROY, params, "hosts_destroy_keys");
	return trust_object(c, "policy-set", params);
}
