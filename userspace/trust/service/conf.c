// SPDX-License-Identifier: GPL-2.0-or-later
/* trust.conf. */
#include "conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "../../lib/inifile.h"
#include "../../lib/util.h"
#include "../../net/tcp.h"
#include "../state/state.h"

#define LISTEN	"0.0.0.0"

static int set_name(const struct inifile_entry *e, struct trust_conf *c, struct vmc_error *err)
{
	if (!vmc_name_ok(e->value, sizeof(c->name) - 1))
		return vmc_fail(err, VMC_EINVAL, "name is '%s', it must be 1 to 63 of A-Z a-z 0-9 . _ -, not beginning with a dot or dash",
				e->value);
	c->named = true;
	return inifile_text(e, c->name, sizeof(c->name), err);
}

static int set_listen(const struct inifile_entry *e, char out[256], struct vmc_error *err)
{
	char host[256];
	uint16_t port = 0;
	int rc = net_split(e->value, host, sizeof(host), &port, err);

	return rc ? rc : inifile_text(e, out, 256, err);
}

static int set_level(const struct inifile_entry *e, struct trust_conf *c, struct vmc_error *err)
{
	unsigned long long v;
	int rc = inifile_uint(e, LOG_EMERG, LOG_DEBUG, &v, err);

	if (!rc)
		c->log_level = (int)v;
	return rc;
}

static int set_heap(const struct inifile_entry *e, struct trust_conf *c, struct vmc_error *err)
{
	unsigned long long v;
	int rc = inifile_uint(e, 64, 262144, &v, err);

	if (!rc && (v & (v - 1)))
		rc = vmc_fail(err, VMC_EINVAL, "secure_heap is %llu, it must be a power of two", v);
	if (!rc)
		c->secure_heap = (unsigned int)v;
	return rc;
}

static int set_folder(const struct inifile_entry *e, struct trust_conf *c, struct vmc_error *err)
{
	if (*e->value && *e->value != '/')
		return vmc_fail(err, VMC_EINVAL, "%s is '%s', it must be an absolute path", e->name, e->value);
	return inifile_text(e, c->metrics_folder, sizeof(c->metrics_folder), err);
}

static int set_interval(const struct inifile_entry *e, struct trust_conf *c, struct vmc_error *err)
{
	unsigned long long v;
	int rc = inifile_uint(e, 10, 3600, &v, err);

	if (!rc)
		c->metrics_interval = (unsigned int)v;
	return rc;
}

/* A name below the folder of the state. */
static int set_below(const struct inifile_entry *e, char out[128], struct vmc_error *err)
{
	if (*e->value == '/' || *e->value == '.' || strstr(e->value, "/."))
		return vmc_fail(err, VMC_EINVAL, "%s is '%s', it must be the name of a file below '%s', such as etcd/%s.pem", e->name,
				e->value, trust_dir(), e->name);
	return inifile_text(e, out, 128, err);
}

static int set_backend(const struct inifile_entry *e, struct trust_conf *c, struct vmc_error *err)
{
	c->etcd = !strcmp(e->value, "etcd");
	if (c->etcd || !strcmp(e->value, "file"))
		return 0;
	return vmc_fail(err, VMC_EINVAL, "backend is '%.40s', it must be file or etcd", e->value);
}

static int set_state(const struct inifile_entry *e, struct trust_conf *c, struct vmc_error *err)
{
	unsigned long long v = c->etcd_interval;
	int rc;

	if (!strcmp(e->name, "backend"))
		return set_backend(e, c, err);
	if (!strcmp(e->name, "endpoints"))
		return inifile_text(e, c->etcd_endpoints, sizeof(c->etcd_endpoints), err);
	if (!strcmp(e->name, "prefix"))
		return inifile_text(e, c->etcd_prefix, sizeof(c->etcd_prefix), err);
	if (!strcmp(e->name, "ca"))
		return set_below(e, c->etcd_ca, err);
	if (!strcmp(e->name, "cert"))
		return set_below(e, c->etcd_cert, err);
	if (!strcmp(e->name, "key"))
		return set_below(e, c->etcd_key, err);
	if (strcmp(e->name, "interval"))
		return inifile_unknown(e, err);
	rc = inifile_uint(e, 1, 300, &v, err);
	c->etcd_interval = (unsigned int)v;
	return rc;
}

static int handle(const struct inifile_entry *e, void *data, struct vmc_error *err)
{
	struct trust_conf *c = data;
	char key[64];

	snprintf(key, sizeof(key), "%s.%s", e->section, e->name);
	if (!strcmp(key, "authority.name"))
		return set_name(e, c, err);
	if (!strcmp(key, "attest.listen"))
		return set_listen(e, c->attest_listen, err);
	if (!strcmp(key, "kmx.listen"))
		return set_listen(e, c->kmx_listen, err);
	if (!strcmp(key, "service.log_level"))
		return set_level(e, c, err);
	if (!strcmp(key, "service.secure_heap"))
		return set_heap(e, c, err);
	if (!strcmp(e->section, "state"))
		return set_state(e, c, err);
	if (!strcmp(key, "metrics.folder"))
		return set_folder(e, c, err);
	if (!strcmp(key, "metrics.interval"))
		return set_interval(e, c, err);
	return inifile_unknown(e, err);
}

int trust_conf_path(const char *path, char out[512], struct vmc_error *err)
{
	const char *dir = getenv("VMCRYPT_TRUST_CONFIG_DIR");
	int n;

	if (path)
		n = snprintf(out, 512, "%s", path);
	else
		n = snprintf(out, 512, "%s/trust.conf", dir && *dir ? dir : TRUST_CONFIG_DIR);
	return n < 512 ? 0 : vmc_fail(err, VMC_EINVAL, "the path '%.100s...' is too long", out);
}

int trust_conf_load(struct trust_conf *c, const char *path, struct vmc_error *err)
{
	char from[512];
	int rc = trust_conf_path(path, from, err);

	if (rc)
		return rc;
	*c = (struct trust_conf){ .attest_listen = LISTEN, .kmx_listen = LISTEN, .log_level = LOG_INFO,
				  .secure_heap = 4096, .metrics_interval = 60, .etcd_prefix = "/vmcrypt-trust",
				  .etcd_interval = 5 };
	if (gethostname(c->name, sizeof(c->name) - 1) || !vmc_name_ok(c->name, sizeof(c->name) - 1))
		snprintf(c->name, sizeof(c->name), "authority");
	rc = inifile_parse(from, handle, c, err);
	if (!rc && c->etcd && !*c->etcd_endpoints) {
		rc = vmc_fail(err, VMC_EINVAL, "'%s': [state] backend is etcd, and no endpoints are named", from);
		vmc_hint(err, "endpoints = https://HOST:2379, and others of its cluster, with commas between them");
	}
	return rc == VMC_ENOENT && !path ? 0 : rc;
}

int trust_conf_check(const char *path, struct vmc_error *err)
{
	struct trust_conf c;

	return trust_conf_load(&c, path, err);
}
