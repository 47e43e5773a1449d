// SPDX-License-Identifier: GPL-2.0-or-later
/* Options of method calls, a{sv}, parsed strictly. */
#include "options.h"

#include <stdio.h>
#include <string.h>

static const struct option_spec *find_spec(const struct option_spec *spec, const char *name)
{
	for (; spec->name; spec++)
		if (!strcmp(spec->name, name))
			return spec;
	return NULL;
}

static const char *type_name(char type)
{
	return type == 's' ? "a string (s)" : type == 't' ? "a number (t)" : "a boolean (b)";
}

static int refuse_unknown(const struct option_spec *spec, const char *name, struct vmc_error *err)
{
	char list[256] = "";
	size_t n = 0;

	for (; spec->name && n < sizeof(list); spec++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", n ? ", " : "", spec->name);
	vmc_fail(err, VMC_EINVAL, "unknown option '%s'", name);
	vmc_hint(err, n ? "this call takes: %s" : "this call takes no options%s", list);
	return VMC_EINVAL;
}

/* @m stands in the variant. */
static int read_value(sd_bus_message *m, const struct option_spec *s, struct call_options *o)
{
	void *at = (char *)o + s->offset;
	int b, r;

	if (s->type != 'b')
		return sd_bus_message_read_basic(m, s->type, at);
	r = sd_bus_message_read_basic(m, 'b', &b);
	if (r >= 0)
		*(bool *)at = b;
	return r;
}

static int read_option(sd_bus_message *m, const struct option_spec *spec, uint32_t *seen,
		       struct call_options *o, struct vmc_error *err)
{
	const struct option_spec *s;
	const char *name, *type;
	int r;

	r = sd_bus_message_read_basic(m, 's', &name);
	if (r < 0)
		return vmc_fail_errno(err, -r, "cannot read the name of an option");
	s = find_spec(spec, name);
	if (!s)
		return refuse_unknown(spec, name, err);
	if (*seen & 1u << (s - spec))
		return vmc_fail(err, VMC_EINVAL, "option '%s' is given twice", name);
	*seen |= 1u << (s - spec);
	r = sd_bus_message_peek_type(m, NULL, &type);
	if (r < 0)
		return vmc_fail_errno(err, -r, "cannot read option '%s'", name);
	if (type[0] != s->type || type[1])
		return vmc_fail(err, VMC_EINVAL, "option '%s' has the type '%s', it takes %s",
				name, type, type_name(s->type));
	r = sd_bus_message_enter_container(m, 'v', type);
	if (r >= 0)
		r = read_value(m, s, o);
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	if (r < 0)
		return vmc_fail_errno(err, -r, "cannot read option '%s'", name);
	return 0;
}

int options_parse(sd_bus_message *m, const struct option_spec *spec, struct call_options *o,
		  struct vmc_error *err)
{
	uint32_t seen = 0;
	int r, rc;

	memset(o, 0, sizeof(*o));
	r = sd_bus_message_enter_container(m, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		rc = read_option(m, spec, &seen, o, err);
		if (rc)
			return rc;
		r = sd_bus_message_exit_container(m);
	}
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	return r < 0 ? vmc_fail_errno(err, -r, "cannot read the options") : 0;
}
