// SPDX-License-Identifier: GPL-2.0-or-later
#include "bus.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
#include "wait.h"

#define ERROR_PREFIX	"org.vmcrypt1.Error."

int bus_fail(struct cli *c, int r, const char *what)
{
	return vmc_fail_errno(&c->err, -r, "cannot %s", _(what));
}

static int no_daemon(struct cli *c)
{
	vmc_fail(&c->err, VMC_EIO, "vmcryptd is not running");
	vmc_hint(&c->err,
		 "systemctl start vmcryptd; if it does not stay up, 'journalctl -u vmcryptd' says why");
	return VMC_EIO;
}

static int not_allowed(struct cli *c, const char *message)
{
	vmc_fail(&c->err, VMC_EPERM, "not allowed: %s", message);
	vmc_hint(&c->err,
		 "run it as root, or let polkit allow it: 'pkaction | grep org.vmcrypt1' lists the actions");
	return VMC_EPERM;
}

static int daemon_gone(struct cli *c)
{
	vmc_fail(&c->err, VMC_EIO, "vmcryptd stopped before it answered");
	vmc_hint(&c->err,
		 "systemctl start vmcryptd, which finishes or rolls back what was half done; 'vmcrypt job list' shows what is left");
	return VMC_EIO;
}

/* Our own errors: the text, and the hint behind "\nHint: ". */
static int own_error(struct cli *c, const char *name, const char *message)
{
	const char *hint = strstr(message, "\nHint: ");
	int code = vmc_code_from_name(name);

	if (!hint)
		return vmc_fail(&c->err, code, "%s", message);
	vmc_fail(&c->err, code, "%.*s", (int)(hint - message), message);
	vmc_hint(&c->err, "%s", hint + strlen("\nHint: "));
	return code;
}

static int no_object(struct cli *c, const char *message)
{
	c->no_object = true;
	return vmc_fail(&c->err, VMC_ENOENT, "vmcryptd knows no such object: %s", message);
}

int bus_error(struct cli *c, const sd_bus_error *e)
{
	const char *name = e->name ? e->name : "", *text = e->message ? e->message : name;

	c->no_object = false;
	if (!strncmp(name, ERROR_PREFIX, strlen(ERROR_PREFIX)))
		return own_error(c, name + strlen(ERROR_PREFIX), text);
	if (sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
	    sd_bus_error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER) ||
	    !strncmp(name, "org.freedesktop.DBus.Error.Spawn.", 33) ||
	    !strncmp(name, "org.freedesktop.systemd1.", 25))
		return no_daemon(c);
	if (sd_bus_error_has_name(e, SD_BUS_ERROR_ACCESS_DENIED) ||
	    sd_bus_error_has_name(e, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED))
		return not_allowed(c, text);
	if (sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY) ||
	    sd_bus_error_has_name(e, SD_BUS_ERROR_DISCONNECTED))
		return daemon_gone(c);
	if (sd_bus_error_has_name(e, SD_BUS_ERROR_TIMEOUT))
		return vmc_fail(&c->err, VMC_ETIMEDOUT, "vmcryptd did not answer in time");
	if (sd_bus_error_has_name(e, SD_BUS_ERROR_UNKNOWN_OBJECT))
		return no_object(c, text);
	if (sd_bus_error_has_name(e, SD_BUS_ERROR_UNKNOWN_METHOD) ||
	    sd_bus_error_has_name(e, SD_BUS_ERROR_UNKNOWN_INTERFACE)) {
		vmc_fail(&c->err, VMC_ENOTSUP, "vmcryptd does not know this call: %s", text);
		vmc_hint(&c->err, "it is of another version; 'systemctl restart vmcryptd' after an upgrade");
		return VMC_ENOTSUP;
	}
	if (sd_bus_error_has_name(e, SD_BUS_ERROR_INVALID_ARGS))
		return vmc_fail(&c->err, VMC_EINVAL, "%s", text);
	return vmc_fail(&c->err, VMC_EINTERNAL, "%s (%s)", text, name);
}

static int connect_address(sd_bus **bus, const char *address)
{
	int r = sd_bus_new(bus);

	if (r >= 0)
		r = sd_bus_set_address(*bus, address);
	if (r >= 0)
		r = sd_bus_set_bus_client(*bus, 1);
	if (r >= 0)
		r = sd_bus_start(*bus);
	if (r < 0)
		*bus = sd_bus_unref(*bus);
	return r;
}

const char *bus_locale(void)
{
	const char *locale = setlocale(LC_MESSAGES, NULL);

	if (!locale || !strcmp(locale, "C") || !strncmp(locale, "C.", 2) || !strcmp(locale, "POSIX"))
		return NULL;
	return locale;
}

/* The daemon speaks our language. No answer is awaited: one that cannot speaks English. */
static void say_language(struct cli *c)
{
	const char *locale = bus_locale();
	sd_bus_message *m = NULL;

	if (!locale)
		return;
	if (sd_bus_message_new_method_call(c->bus, &m, BUS_NAME, BUS_ROOT, IFACE_MANAGER, "SetHints") >= 0 &&
	    sd_bus_message_append(m, "a{ss}", 1, "locale", locale) >= 0 &&
	    sd_bus_message_set_expect_reply(m, 0) >= 0)
		sd_bus_send(c->bus, m, NULL);
	sd_bus_message_unref(m);
}

int bus_connect(struct cli *c)
{
	const char *which = getenv("VMCRYPT_BUS");
	const char *unique;
	int r;

	if (c->bus)
		return 0;
	if (!which || !*which)
		r = sd_bus_open_system(&c->bus);
	else if (!strcmp(which, "session"))
		r = sd_bus_open_user(&c->bus);
	else
		r = connect_address(&c->bus, which);
	/* the answer to Hello tells whether anybody listens at all */
	if (r >= 0)
		r = sd_bus_get_unique_name(c->bus, &unique);
	if (r < 0) {
		bus_close(c);
		if (which && *which)
			vmc_fail_errno(&c->err, -r, "cannot connect to the bus '%s'", which);
		else
			vmc_fail_errno(&c->err, -r, "cannot connect to the system bus");
		c->err.code = r == -EACCES || r == -EPERM ? VMC_EPERM : VMC_EIO;
		if (which && *which)
			vmc_hint(&c->err, "VMCRYPT_BUS must be 'session' or the address of a bus; unset it for the system bus");
		else
			vmc_hint(&c->err, "systemctl start dbus vmcryptd");
		return c->err.code;
	}
	/* a person may be asked for a password; what is not a terminal has nobody to ask */
	sd_bus_set_allow_interactive_authorization(c->bus, !c->json);
	if (!c->foreign)
		say_language(c);
	return 0;
}

void bus_close(struct cli *c)
{
	c->bus = sd_bus_flush_close_unref(c->bus);
}

int bus_message(struct cli *c, sd_bus_message **m, const char *path, const char *iface,
		const char *member)
{
	int r = bus_connect(c);

	*m = NULL;
	if (r)
		return r;
	r = sd_bus_message_new_method_call(c->bus, m, BUS_NAME, path, iface, member);
	return r < 0 ? bus_fail(c, r, "make a D-Bus message") : 0;
}

int bus_call(struct cli *c, sd_bus_message *m, sd_bus_message **reply)
{
	sd_bus_message *answer = NULL;
	int r = wait_call(c, m, &answer);

	sd_bus_message_unref(m);
	if (!r && reply)
		*reply = sd_bus_message_ref(answer);
	sd_bus_message_unref(answer);
	return r;
}

int bus_send(struct cli *c, sd_bus_message *m, int built, sd_bus_message **reply)
{
	if (built >= 0)
		return bus_call(c, m, reply);
	sd_bus_message_unref(m);
	return bus_fail(c, built, "put the arguments into a D-Bus message");
}

static int call_va(struct cli *c, sd_bus_message **reply, const char *path, const char *iface,
		   const char *member, const char *types, va_list ap)
{
	sd_bus_message *m;
	int r = bus_message(c, &m, path, iface, member);

	if (r)
		return r;
	return bus_send(c, m, *types ? sd_bus_message_appendv(m, types, ap) : 0, reply);
}

int bus_method(struct cli *c, const char *path, const char *iface, const char *member,
	       const char *types, ...)
{
	va_list ap;
	int r;

	va_start(ap, types);
	r = call_va(c, NULL, path, iface, member, types, ap);
	va_end(ap);
	return r;
}

static int read_string(struct cli *c, sd_bus_message *reply, const char **s)
{
	int r = sd_bus_message_read_basic(reply, 's', s);

	if (r > 0)
		return 0;
	return vmc_fail(&c->err, VMC_EPROTO, "vmcryptd's answer is not the text it should be");
}

int bus_reply_json(struct cli *c, sd_bus_message *reply, json_t **out)
{
	json_error_t je;
	const char *s;
	int r = read_string(c, reply, &s);

	if (r)
		return r;
	*out = json_loads(s, JSON_REJECT_DUPLICATES, &je);
	if (*out)
		return 0;
	return vmc_fail(&c->err, VMC_EPROTO, "vmcryptd's answer is not JSON: %s", je.text);
}

int bus_send_json(struct cli *c, sd_bus_message *m, int built, json_t **out)
{
	sd_bus_message *reply = NULL;
	int r = bus_send(c, m, built, &reply);

	if (!r)
		r = bus_reply_json(c, reply, out);
	sd_bus_message_unref(reply);
	return r;
}

int bus_json(struct cli *c, json_t **out, const char *path, const char *iface,
	     const char *member, const char *types, ...)
{
	sd_bus_message *reply = NULL;
	va_list ap;
	int r;

	va_start(ap, types);
	r = call_va(c, &reply, path, iface, member, types, ap);
	va_end(ap);
	if (!r)
		r = bus_reply_json(c, reply, out);
	sd_bus_message_unref(reply);
	return r;
}

int bus_string(struct cli *c, char **out, const char *path, const char *iface,
	       const char *member, const char *types, ...)
{
	sd_bus_message *reply = NULL;
	const char *s;
	va_list ap;
	int r;

	va_start(ap, types);
	r = call_va(c, &reply, path, iface, member, types, ap);
	va_end(ap);
	if (!r)
		r = read_string(c, reply, &s);
	if (!r) {
		*out = strdup(s);
		if (!*out)
			r = vmc_fail(&c->err, VMC_ENOMEM, "out of memory");
	}
	sd_bus_message_unref(reply);
	return r;
}

int bus_vm_path(struct cli *c, const char *vm, char **path)
{
	sd_bus_message *m, *reply = NULL;
	const char *object;
	int r = bus_message(c, &m, BUS_ROOT, IFACE_MANAGER, "GetVM");

	if (r)
		return r;
	r = bus_send(c, m, sd_bus_message_append_basic(m, 's', vm), &reply);
	if (r)
		return r;
	r = sd_bus_message_read_basic(reply, 'o', &object);
	*path = r > 0 ? strdup(object) : NULL;
	sd_bus_message_unref(reply);
	if (*path)
		return 0;
	return vmc_fail(&c->err, VMC_EPROTO, "vmcryptd's answer is not the object it should be");
}

int bus_provider_path(struct cli *c, const char *name, char **path)
{
	int r = sd_bus_path_encode(BUS_ROOT "/provider", name, path);

	return r < 0 ? bus_fail(c, r, "make the path of a provider") : 0;
}

int bus_property(struct cli *c, const char *path, const char *iface, const char *name,
		 char **value)
{
	sd_bus_message *m, *reply = NULL;
	const char *s;
	int r = bus_message(c, &m, path, "org.freedesktop.DBus.Properties", "Get");

	if (r)
		return r;
	r = bus_send(c, m, sd_bus_message_append(m, "ss", iface, name), &reply);
	if (r)
		return r;
	r = sd_bus_message_read(reply, "v", "s", &s);
	*value = r > 0 ? strdup(s) : NULL;
	sd_bus_message_unref(reply);
	if (*value)
		return 0;
	return vmc_fail(&c->err, VMC_EPROTO, "vmcryptd's property %s is not text", name);
}

void options_begin(sd_bus_message *m, int *r)
{
	if (*r >= 0)
		*r = sd_bus_message_open_container(m, 'a', "{sv}");
}

void options_string(sd_bus_message *m, int *r, const char *key, const char *value)
{
	if (*r >= 0 && value)
		*r = sd_bus_message_append(m, "{sv}", key, "s", value);
}

void options_u64(sd_bus_message *m, int *r, const char *key, uint64_t value)
{
	if (*r >= 0 && value)
		*r = sd_bus_message_append(m, "{sv}", key, "t", value);
}

void options_bool(sd_bus_message *m, int *r, const char *key, bool value)
{
	if (*r >= 0 && value)
		*r = sd_bus_message_append(m, "{sv}", key, "b", 1);
}

void options_end(sd_bus_message *m, int *r)
{
	if (*r >= 0)
		*r = sd_bus_message_close_container(m);
}

int append_strings(sd_bus_message *m, const char *const *s, size_t n)
{
	size_t i;
	int r = sd_bus_message_open_container(m, 'a', "s");

	for (i = 0; i < n && r >= 0; i++)
		r = sd_bus_message_append_basic(m, 's', s[i]);
	return r < 0 ? r : sd_bus_message_close_container(m);
}
