// SPDX-License-Identifier: GPL-2.0-or-later
/* provider.conf of a native provider. See conf.h. */
#include "conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/inifile.h"

/* What was read, beside what it says. */
struct reading {
	struct native_conf *c;
	bool key_id, check, kdk;
};

static int bad_value(const struct inifile_entry *e, struct vmc_error *err)
{
	return vmc_fail(err, VMC_EINVAL, "'%.60s' is no value for %s", e->value, e->name);
}

static int set_kdk(const struct inifile_entry *e, struct reading *r, struct vmc_error *err)
{
	if (strcmp(e->value, "tpm") && strcmp(e->value, "file"))
		return bad_value(e, err);
	r->c->tpm = !strcmp(e->value, "tpm");
	r->kdk = true;
	return 0;
}

static int on_entry(const struct inifile_entry *e, void *data, struct vmc_error *err)
{
	struct reading *r = data;
	size_t n;

	if (!strcmp(e->section, "provider") && !strcmp(e->name, "kind"))
		return strcmp(e->value, "native") ? bad_value(e, err) : 0;
	if (strcmp(e->section, "native"))
		return inifile_unknown(e, err);
	if (!strcmp(e->name, "key_id")) {
		r->key_id = true;
		return vmc_uuid_parse(e->value, &r->c->key_id) ? bad_value(e, err) : 0;
	}
	if (!strcmp(e->name, "check")) {
		r->check = true;
		return vmc_hex_decode(e->value, r->c->check, KDK_CHECK_LEN, &n) || n != KDK_CHECK_LEN ?
		       bad_value(e, err) : 0;
	}
	if (!strcmp(e->name, "kdk"))
		return set_kdk(e, r, err);
	if (!strcmp(e->name, "created"))
		return inifile_text(e, r->c->created, sizeof(r->c->created), err);
	if (!strcmp(e->name, "backed_up"))
		return inifile_text(e, r->c->backed_up, sizeof(r->c->backed_up), err);
	return inifile_unknown(e, err);
}

int native_conf_load(struct native_conf *c, const char *path, struct vmc_error *err)
{
	struct reading r = { .c = c };
	int rc;

	memset(c, 0, sizeof(*c));
	rc = inifile_parse(path, on_entry, &r, err);
	if (!rc && (!r.key_id || !r.check || !r.kdk))
		rc = vmc_fail(err, VMC_EINVAL, "%s: key_id, check or kdk is missing", path);
	return rc;
}

char *native_conf_text(const struct native_conf *c)
{
	char uuid[VMC_UUID_STR], check[2 * KDK_CHECK_LEN + 1], *text = NULL;
	int n;

	vmc_uuid_format(&c->key_id, uuid);
	vmc_hex_encode(c->check, KDK_CHECK_LEN, check);
	n = asprintf(&text, "# A native key provider of vmcrypt.\n[provider]\nkind = native\n\n[native]\n"
		     "key_id = %s\ncheck = %s\nkdk = %s\ncreated = %s\n%s%s%s", uuid, check,
		     c->tpm ? "tpm" : "file", c->created, c->backed_up[0] ? "backed_up = " : "",
		     c->backed_up, c->backed_up[0] ? "\n" : "");
	return n < 0 ? NULL : text;
}
