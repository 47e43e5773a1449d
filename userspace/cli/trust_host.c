// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt provider add trusted", "trust host ..." and "trust host-image export": this host to a Trust Authority. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "../lib/util.h"
#include "bus.h"
#include "newfile.h"
#include "out.h"
#include "provider.h"
#include "render.h"
#include "verbs.h"

#define INFO_MAX	(1u << 20)

static const char *words(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* ---- the provider ---------------------------------------------------------------- */

static int add_options(const char *file, char **options, struct vmc_error *err)
{
	json_t *o;
	char *text;
	size_t n;
	int r = fs_read(file, INFO_MAX, &text, &n, err);

	if (r)
		return r;
	o = json_pack("{s:s%}", "services_info", text, n);
	*options = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	free(text);
	if (*options)
		return 0;
	return vmc_fail(err, VMC_EINVAL, "'%s' is not text in UTF-8: it is no services-info file", file);
}

int verb_provider_add_trusted(struct cli *c)
{
	VMC_CLEANUP(free_string) char *options = NULL;
	const char *name = c->operands[0];
	int r = add_options(cli_value(c, OPT_SERVICES_INFO), &options, &c->err);

	if (!r)
		r = bus_method(c, BUS_ROOT, IFACE_MANAGER, "AddProvider", "sss", "trusted", name, options);
	if (!r && args_has(&c->args, OPT_DEFAULT))
		r = bus_method(c, BUS_ROOT, IFACE_MANAGER, "SetDefaultProvider", "s", name);
	if (r)
		return r;
	out_say(c, "trusted key provider '%s' knows the services of its authority now", name);
	out_say(c, "Next: vmcrypt trust host attest %s   (the authority must know this host's TPM and what it boots)", name);
	out_done(c, "provider", name);
	return 0;
}

/* ---- attestation -------------------------------------------------------------------- */

/* What each trusted provider says; @name NULL: all of them. */
static int gather(struct cli *c, const char *name, json_t *out)
{
	json_t *list = NULL, *o, *at = NULL;
	size_t i;
	int r;

	if (name) {
		r = provider_json(c, &at, name, "Attestation");
		if (!r)
			json_array_append_new(out, at);
		return r;
	}
	r = bus_json(c, &list, BUS_ROOT, IFACE_MANAGER, "ListProviders", "");
	json_array_foreach(list, i, o) {
		if (!strcmp(words(o, "kind"), "trusted") && json_object_get(o, "attestation"))
			json_array_append(out, json_object_get(o, "attestation"));
	}
	json_decref(list);
	return r;
}

static void describe(const json_t *event, char *out, size_t n)
{
	const char *text = words(event, "text");

	if (json_is_object(event))
		snprintf(out, n, "%s%s%s", words(event, "type"), *text ? " " : "", text);
	else
		snprintf(out, n, "%s", _("nothing"));
}

/* The difference in the words of the log: PCR, what was expected, what was found. */
static void say_event(const struct cli *c, const json_t *e)
{
	char what[512];

	describe(json_object_get(e, "expected"), what, sizeof(what));
	out_say(c, _("  PCR %lld: expected %s"), (long long)json_integer_value(json_object_get(e, "pcr")), what);
	describe(json_object_get(e, "found"), what, sizeof(what));
	out_say(c, _("         found    %s"), what);
}

static void say_failure(const struct cli *c, const json_t *o)
{
	const json_t *details = json_object_get(o, "details"), *e;
	size_t i;

	if (!*words(o, "error"))
		return;
	out_say(c, _("  Reason: %s"), words(o, "reason"));
	out_say(c, "  %s", words(o, "error"));
	json_array_foreach(json_object_get(details, "events"), i, e)
		say_event(c, e);
	if (*words(o, "hint"))
		out_say(c, _("  What to do: %s"), words(o, "hint"));
}

static void say_status(const struct cli *c, const json_t *o)
{
	const char *state = words(o, "state"), *name = words(o, "provider");
	const json_t *image = json_object_get(o, "image");
	char until[32];

	if (!strcmp(state, "attested")) {
		vmc_time_format(json_integer_value(json_object_get(o, "attested_until")), until);
		out_say(c, _("%s: attested by '%s' until %s"), name, words(o, "authority"), until);
	} else {
		out_say(c, "%s: %s", name, !strcmp(state, "failed") ? _("attestation failed") :
			!strcmp(state, "enrolled") ? _("enrolled, not attested") :
			!strcmp(state, "attesting") ? _("attesting") : _("unknown"));
	}
	if (json_is_object(image))
		out_say(c, _("  Base image: %s"), words(image, "name"));
	if (json_is_true(json_object_get(o, "quick_boot")))
		out_say(c, _("  Quick Boot: this is the image of the last full boot; the kernel that runs came by kexec"));
	say_failure(c, o);
}

static int show(struct cli *c, json_t *list)
{
	const json_t *o;
	size_t i;

	if (c->json) {
		out_json(list);
		return 0;
	}
	if (!json_array_size(list))
		out_say(c, "no trusted key provider is configured; 'vmcrypt provider add trusted NAME --services-info FILE' adds one");
	json_array_foreach(list, i, o)
		say_status(c, o);
	return 0;
}

int verb_trust_host_status(struct cli *c)
{
	json_t *list = json_array();
	int r = 0;

	if (!c->n_operands)
		r = gather(c, NULL, list);
	for (size_t i = 0; !r && i < c->n_operands; i++)
		r = gather(c, c->operands[i], list);
	if (!r)
		r = show(c, list);
	json_decref(list);
	return r;
}

static int attest(struct cli *c, const char *how)
{
	VMC_CLEANUP(free_string) char *path = NULL;
	json_t *list = json_array(), *o = NULL;
	int r = bus_provider_path(c, c->operands[0], &path);

	if (!r)
		r = provider_fail(c, c->operands[0], bus_json(c, &o, path, IFACE_PROVIDER, "Attest", "s", how));
	if (!r) {
		json_array_append(list, o);
		r = show(c, list);
	}
	json_decref(o);
	json_decref(list);
	return r;
}

int verb_trust_host_attest(struct cli *c)
{
	return attest(c, "now");
}

int verb_trust_host_enroll(struct cli *c)
{
	return attest(c, "enroll");
}

/* ---- the base image of this host ------------------------------------------------------ */

/* On standard error where the image itself goes to standard output. */
static void say_quick_boot(const struct cli *c)
{
	const char *text = _("This host was started by Quick Boot (kexec): the image is what it measured at its last full boot, and the kernel named in it came later.");

	if (c->json || !cli_value(c, OPT_OUT))
		fprintf(stderr, "%s\n", text);
	else
		out_say(c, "%s", text);
}

static int put_image(struct cli *c, const json_t *image)
{
	VMC_CLEANUP(free_string) char *text = json_dumps(image, JSON_INDENT(1));
	const char *file = cli_value(c, OPT_OUT);
	int r;

	if (!text)
		return vmc_fail(&c->err, VMC_ENOMEM, "out of memory");
	if (!file) {
		puts(text);
		return 0;
	}
	r = newfile_write(file, text, &c->err);
	if (r)
		return r;
	out_say(c, "base image '%s' of this host written to '%s': %zu events", words(image, "name"), file,
		json_array_size(json_object_get(image, "events")));
	out_say(c, "Next, at the authority: vmcrypt trust base-image import %s", file);
	out_done(c, "file", file);
	return 0;
}

int verb_host_image_export(struct cli *c)
{
	json_t *image = NULL;
	int r = bus_json(c, &image, BUS_ROOT, IFACE_HOST, "ExportImage", "");

	if (!r)
		r = put_image(c, image);
	if (!r && json_is_true(json_object_get(image, "quick_boot")))
		say_quick_boot(c);
	json_decref(image);
	return r;
}
