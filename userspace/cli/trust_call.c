// SPDX-License-Identifier: GPL-2.0-or-later
/* Calls to the authority on this machine. See trust_call.h. */
#include "trust_call.h"

#include <stdio.h>
#include <string.h>

#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "../lib/util.h"
#include "bus.h"
#include "newfile.h"
#include "out.h"

#define NAME		"org.vmcrypt1.Trust"
#define PATH		"/org/vmcrypt1/Trust"
#define TIMEOUT_US	(600ull * 1000000)	/* a person may be asked for a password, and every authority in turn */
#define JSON_FILE_MAX	(4u << 20)

static int append_fd(sd_bus_message *m, const char *name, int fd)
{
	return fd < 0 ? 0 : sd_bus_message_append(m, "{sv}", name, "h", fd);
}

static int append_options(sd_bus_message *m, const struct trust_fds *fds)
{
	const char *locale = bus_locale();
	int r = sd_bus_message_open_container(m, 'a', "{sv}");

	if (r >= 0 && locale)
		r = sd_bus_message_append(m, "{sv}", "locale", "s", locale);
	if (r >= 0)
		r = append_fd(m, "password", fds->password);
	if (r >= 0)
		r = append_fd(m, "key", fds->key);
	if (r >= 0)
		r = append_fd(m, "data", fds->data);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int failed(struct cli *c, const sd_bus_error *e)
{
	if (sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
	    sd_bus_error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER)) {
		vmc_fail(&c->err, VMC_EIO, "the Attestation Service of a Trust Authority (vmcrypt-attestd) is not running on this machine");
		vmc_hint(&c->err, "on an authority: vmcrypt trust service start; if it does not stay up, 'journalctl -u vmcrypt-attestd' says why");
		return VMC_EIO;
	}
	if (sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY) || sd_bus_error_has_name(e, SD_BUS_ERROR_DISCONNECTED) ||
	    sd_bus_error_has_name(e, SD_BUS_ERROR_TIMEOUT)) {
		vmc_fail(&c->err, VMC_EIO, "vmcrypt-attestd stopped, or did not answer in time");
		vmc_hint(&c->err, "'journalctl -u vmcrypt-attestd' says why");
		return VMC_EIO;
	}
	return bus_error(c, e);
}

static int send(struct cli *c, sd_bus_message *m, json_t **out)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	int r = sd_bus_call(c->bus, m, TIMEOUT_US, &e, &reply);

	if (r < 0)
		r = failed(c, &e);
	else if (out)
		r = bus_reply_json(c, reply, out);
	else
		r = 0;
	sd_bus_error_free(&e);
	sd_bus_message_unref(reply);
	return r;
}

int trust_ask_with(struct cli *c, const char *verb, json_t *params, const struct trust_fds *fds, json_t **out)
{
	VMC_CLEANUP(free_string) char *text = params ? json_dumps(params, JSON_COMPACT) : NULL;
	sd_bus_message *m = NULL;
	int r;

	json_decref(params);
	if (!text)
		return vmc_fail(&c->err, VMC_EINVAL, "what was given is not plain text");
	c->foreign = true;
	r = bus_connect(c);
	if (r)
		return r;
	r = sd_bus_message_new_method_call(c->bus, &m, NAME, PATH, NAME, "Call");
	if (r >= 0)
		r = sd_bus_message_append(m, "ss", verb, text);
	if (r >= 0)
		r = append_options(m, fds);
	r = r < 0 ? bus_fail(c, r, N_("write the call")) : send(c, m, out);
	sd_bus_message_unref(m);
	return r;
}

int trust_ask(struct cli *c, const char *verb, json_t *params, json_t **out)
{
	const struct trust_fds none = TRUST_NO_FDS;

	return trust_ask_with(c, verb, params, &none, out);
}

int trust_table(struct cli *c, const char *verb, const char *list, const struct column *cols, size_t n,
		const char *empty)
{
	json_t *o = NULL, *silent;
	int r = trust_ask(c, verb, json_object(), &o);
	size_t i;

	if (!r && c->json)
		out_json(o);
	else if (!r)
		r = render_list(stdout, json_object_get(o, list), cols, n, empty);
	json_array_foreach(json_object_get(o, "not_asked"), i, silent)
		out_say(c, "authority '%s' did not answer: what it knows is not in the list", json_string_value(silent));
	json_decref(o);
	return r;
}

int trust_object(struct cli *c, const char *verb, json_t *params)
{
	json_t *o = NULL;
	int r = trust_ask(c, verb, params, &o);

	if (!r && c->json)
		out_json(o);
	else if (!r)
		r = render_object(stdout, o, 0);
	json_decref(o);
	return r;
}

int trust_do(struct cli *c, const char *verb, json_t *params, const char *name, const char *done)
{
	int r = trust_ask(c, verb, params, NULL);

	if (r)
		return r;
	out_say(c, "%s", _(done));
	out_done(c, "name", name);
	return 0;
}

int trust_read_json(struct cli *c, const char *path, json_t **o)
{
	json_error_t e;
	char *text;
	size_t n;
	int r = fs_read(path, JSON_FILE_MAX, &text, &n, &c->err);

	if (r)
		return r;
	*o = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
	free(text);
	if (json_is_object(*o))
		return 0;
	vmc_fail(&c->err, VMC_EINVAL, "'%s' is not JSON as this program writes it (line %d)", path, *o ? 1 : e.line);
	json_decref(*o);
	return VMC_EINVAL;
}

int trust_write(struct cli *c, const char *text)
{
	const char *path = cli_value(c, OPT_OUT);

	if (path)
		return newfile_write(path, text, &c->err);
	puts(text);
	return 0;
}
