// SPDX-License-Identifier: GPL-2.0-or-later
/* What a host says of itself to another. See hello.h. */
#include "hello.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/message.h"
#include "../lib/util.h"
#include "../lib/version.h"

void hello_here(struct vmk *k, const struct vmc_error *no_module, const char *host, struct hello *h)
{
	struct vmc_error why = VMC_ERROR_INIT;
	struct vmk_info i;

	memset(h, 0, sizeof(*h));
	snprintf(h->version, sizeof(h->version), "%s", VMC_VERSION);
	snprintf(h->host, sizeof(h->host), "%s", host);
	h->protocol = MIGRATION_PROTOCOL;
	h->time = vmc_time();
	if (k && !vmk_info(k, &i, &why) && i.record_max) {
		snprintf(h->module, sizeof(h->module), "%s", i.module_version);
		h->module_protocol = i.protocol_version;
		return;
	}
	if (k && !why.code)
		vmc_fail(&why, VMC_ENOTSUP, "the kernel module vmcrypt knows no channels");
	message_english(k ? why.text : no_module->text, h->cannot, sizeof(h->cannot));
	if (!h->cannot[0])
		strcpy(h->cannot, "the kernel module vmcrypt is not loaded");
}

json_t *hello_json(const struct hello *h)
{
	return json_pack("{s:s, s:s, s:I, s:s, s:s, s:I, s:I}", "version", h->version, "host", h->host, "protocol",
			 (json_int_t)h->protocol, "module", h->module, "cannot", h->cannot, "module_protocol",
			 (json_int_t)h->module_protocol, "time", (json_int_t)h->time);
}

static int text(const json_t *o, const char *key, char *out, size_t n, struct vmc_error *err)
{
	const char *s = json_string_value(json_object_get(o, key));

	if (!s || strlen(s) >= n)
		return vmc_fail(err, VMC_EPROTO, "a hello with no good '%s'", key);
	memcpy(out, s, strlen(s) + 1);
	return 0;
}

static int number(const json_t *o, const char *key, json_int_t max, json_int_t *out, struct vmc_error *err)
{
	const json_t *v = json_object_get(o, key);

	*out = json_integer_value(v);
	if (!json_is_integer(v) || *out < 0 || *out > max)
		return vmc_fail(err, VMC_EPROTO, "a hello with no good '%s'", key);
	return 0;
}

int hello_parse(const json_t *o, struct hello *h, struct vmc_error *err)
{
	json_int_t protocol = 0, module_protocol = 0, at = 0;
	int rc;

	memset(h, 0, sizeof(*h));
	rc = text(o, "version", h->version, sizeof(h->version), err);
	if (!rc)
		rc = text(o, "host", h->host, sizeof(h->host), err);
	if (!rc)
		rc = text(o, "module", h->module, sizeof(h->module), err);
	if (!rc)
		rc = text(o, "cannot", h->cannot, sizeof(h->cannot), err);
	if (!rc)
		rc = number(o, "protocol", UINT32_MAX, &protocol, err);
	if (!rc)
		rc = number(o, "module_protocol", UINT32_MAX, &module_protocol, err);
	if (!rc)
		rc = number(o, "time", INT64_MAX, &at, err);
	h->protocol = (uint32_t)protocol;
	h->module_protocol = (uint32_t)module_protocol;
	h->time = at;
	return rc;
}

int hello_match(const struct hello *here, const struct hello *there, const char *name, struct vmc_error *err)
{
	int64_t apart = there->time > here->time ? there->time - here->time : here->time - there->time;

	if (here->protocol != there->protocol) {
		vmc_fail(err, VMC_ENOTSUP, "host '%s' has vmcrypt %s and this host %s, which do not migrate to each other", name,
			 there->version, here->version);
		vmc_hint(err, "install the same version on both");
		return VMC_ENOTSUP;
	}
	if (here->module[0] && there->module[0] && here->module_protocol != there->module_protocol) {
		vmc_fail(err, VMC_ENOTSUP, "host '%s' has the kernel module vmcrypt %s and this host %s, which do not agree on keys",
			 name, there->module, here->module);
		vmc_hint(err, "install the same version on both and load the module anew");
		return VMC_ENOTSUP;
	}
	if (apart > MIGRATION_CLOCK_S) {
		vmc_fail(err, VMC_ESTATE, "the clocks of host '%s' and of this host are %lld s apart", name, (long long)apart);
		vmc_hint(err, "set both by NTP: timedatectl set-ntp true");
		return VMC_ESTATE;
	}
	return 0;
}
