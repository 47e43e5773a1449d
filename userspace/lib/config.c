// SPDX-License-Identifier: GPL-2.0-or-later
/* vmcrypt.conf: defaults, then the file, then conf.d, then the environment. */
#include "config.h"

#include <errno.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "inifile.h"
#include "util.h"

#define DEFAULT_CONFIG_DIR	"/etc/vmcrypt"
#define HOME_MIN		(16ull << 20)
#define HOME_MAX		(1ull << 40)
#define HOME_UNIT		4096
#define LEASE_MAX		31536000	/* a year */
#define PCR_MAX			23
#define NV_MIN			0x1800000	/* the owner's own: TCG registry of reserved handles */
#define NV_MAX			0x1bffffe

static const struct vmc_config defaults = {
	.config_dir		= DEFAULT_CONFIG_DIR,
	.state_dir		= "/var/lib/vmcrypt",
	.runtime_dir		= "/run/vmcrypt",
	.workers		= 8,
	.secure_heap		= 1u << 20,
	.log_level		= LOG_INFO,
	.connect_timeout_ms	= 3000,
	.request_timeout_ms	= 10000,
	.tls_min		= "1.2",
	.cert_warn_days		= 30,
	.home_size		= 64ull << 20,
	.health_interval	= 300,
	.health_retry		= 15,
	.metrics_interval	= 30,
	.hook_timeout		= 10,
	.migration_data_port	= 5699,
	.tpm_tcti		= "device:/dev/tpmrm0",
	.tpm_pcrs		= 1u << 7,
	.tpm_bank		= "sha256",
	.tpm_nv_index		= 0x1b0c2e0,
};

/* Absolute, and without a closing slash so that paths can be put together. */
static int check_dir(const char *name, const char *path, struct vmc_error *err)
{
	size_t n = strlen(path);

	if (path[0] != '/' || (n > 1 && path[n - 1] == '/'))
		return vmc_fail(err, VMC_EINVAL, "%s is '%s', it must be an absolute path without a closing slash",
				name, path);
	return 0;
}

static int set_dir(const struct inifile_entry *e, char dir[256],
		   struct vmc_error *err)
{
	int rc = check_dir(e->name, e->value, err);

	return rc ? rc : inifile_text(e, dir, 256, err);
}

static int set_uint(const struct inifile_entry *e, unsigned int min,
		    unsigned int max, unsigned int *out, struct vmc_error *err)
{
	unsigned long long v;
	int rc = inifile_uint(e, min, max, &v, err);

	if (!rc)
		*out = (unsigned int)v;
	return rc;
}

static int set_log_level(const struct inifile_entry *e, int *level,
			 struct vmc_error *err)
{
	static const char *const names[] = {
		"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
	};

	for (int i = 0; i < (int)ARRAY_SIZE(names); i++) {
		char digit[2] = { (char)('0' + i), '\0' };

		if (!strcmp(e->value, names[i]) || !strcmp(e->value, digit)) {
			*level = i;
			return 0;
		}
	}
	return vmc_fail(err, VMC_EINVAL, "%s is '%s', it must be 0 to 7, or emerg, alert, crit, err, warning, notice, info, debug",
			e->name, e->value);
}

static int set_heap(const struct inifile_entry *e, size_t *out, struct vmc_error *err)
{
	uint64_t v;

	if (vmc_size_parse(e->value, &v) || v < (64u << 10) || v > (256u << 20) ||
	    (v & (v - 1)))
		return vmc_fail(err, VMC_EINVAL, "%s is '%s', it must be a power of two from 64K to 256M",
				e->name, e->value);
	*out = (size_t)v;
	return 0;
}

static int set_home_size(const struct inifile_entry *e, unsigned long long *out,
			 struct vmc_error *err)
{
	uint64_t v;

	if (vmc_size_parse(e->value, &v) || v < HOME_MIN || v > HOME_MAX ||
	    v % HOME_UNIT)
		return vmc_fail(err, VMC_EINVAL, "%s is '%s', it must be a multiple of 4096 from 16M to 1T",
				e->name, e->value);
	*out = v;
	return 0;
}

static int set_tls_min(const struct inifile_entry *e, char out[8], struct vmc_error *err)
{
	if (strcmp(e->value, "1.2") && strcmp(e->value, "1.3"))
		return vmc_fail(err, VMC_EINVAL, "%s is '%s', it must be 1.2 or 1.3",
				e->name, e->value);
	return inifile_text(e, out, 8, err);
}

/* "7" or "0+2+7". */
static int set_pcrs(const struct inifile_entry *e, unsigned int *mask, struct vmc_error *err)
{
	const char *at = e->value;
	unsigned int out = 0;

	for (;;) {
		unsigned int n = 0, digits = 0;

		for (; *at >= '0' && *at <= '9' && digits < 3; at++, digits++)
			n = n * 10 + (unsigned int)(*at - '0');
		if (!digits || n > PCR_MAX || (*at && *at != '+'))
			return vmc_fail(err, VMC_EINVAL, "%s is '%s', it must be numbers of PCRs from 0 to %d with + between them",
					e->name, e->value, PCR_MAX);
		out |= 1u << n;
		if (!*at++)
			break;
	}
	*mask = out;
	return 0;
}

static int set_bank(const struct inifile_entry *e, char out[8], struct vmc_error *err)
{
	static const char *const banks[] = { "sha1", "sha256", "sha384", "sha512" };

	for (size_t i = 0; i < ARRAY_SIZE(banks); i++)
		if (!strcmp(e->value, banks[i]))
			return inifile_text(e, out, 8, err);
	return vmc_fail(err, VMC_EINVAL, "%s is '%s', it must be sha1, sha256, sha384 or sha512",
			e->name, e->value);
}

static int set_file(const struct inifile_entry *e, char out[256], struct vmc_error *err)
{
	if (*e->value && *e->value != '/')
		return vmc_fail(err, VMC_EINVAL, "%s is '%s', it must be an absolute path", e->name, e->value);
	return inifile_text(e, out, 256, err);
}

static int set_nv_index(const struct inifile_entry *e, unsigned int *out, struct vmc_error *err)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(e->value, &end, 0);
	if (errno || end == e->value || *end || v < NV_MIN || v > NV_MAX)
		return vmc_fail(err, VMC_EINVAL, "%s is '%s', it must be from 0x%x to 0x%x",
				e->name, e->value, NV_MIN, NV_MAX);
	*out = (unsigned int)v;
	return 0;
}

static int in_cache(const struct inifile_entry *e, struct vmc_config *c, struct vmc_error *err)
{
	if (!strcmp(e->name, "lease"))
		return set_uint(e, 0, LEASE_MAX, &c->lease, err);
	return inifile_unknown(e, err);
}

static int in_tpm(const struct inifile_entry *e, struct vmc_config *c, struct vmc_error *err)
{
	if (!strcmp(e->name, "tcti"))
		return inifile_text(e, c->tpm_tcti, sizeof(c->tpm_tcti), err);
	if (!strcmp(e->name, "pcrs"))
		return set_pcrs(e, &c->tpm_pcrs, err);
	if (!strcmp(e->name, "bank"))
		return set_bank(e, c->tpm_bank, err);
	if (!strcmp(e->name, "public_key"))
		return set_file(e, c->tpm_public_key, err);
	if (!strcmp(e->name, "signature"))
		return set_file(e, c->tpm_signature, err);
	if (!strcmp(e->name, "nv_index"))
		return set_nv_index(e, &c->tpm_nv_index, err);
	return inifile_unknown(e, err);
}

static int in_paths(const struct inifile_entry *e, struct vmc_config *c,
		    struct vmc_error *err)
{
	if (!strcmp(e->name, "config_dir"))
		return set_dir(e, c->config_dir, err);
	if (!strcmp(e->name, "state_dir"))
		return set_dir(e, c->state_dir, err);
	if (!strcmp(e->name, "runtime_dir"))
		return set_dir(e, c->runtime_dir, err);
	return inifile_unknown(e, err);
}

static int in_daemon(const struct inifile_entry *e, struct vmc_config *c,
		     struct vmc_error *err)
{
	if (!strcmp(e->name, "workers"))
		return set_uint(e, 1, 64, &c->workers, err);
	if (!strcmp(e->name, "secure_heap"))
		return set_heap(e, &c->secure_heap, err);
	if (!strcmp(e->name, "log_level"))
		return set_log_level(e, &c->log_level, err);
	return inifile_unknown(e, err);
}

static int in_kmip(const struct inifile_entry *e, struct vmc_config *c,
		   struct vmc_error *err)
{
	if (!strcmp(e->name, "connect_timeout_ms"))
		return set_uint(e, 100, 600000, &c->connect_timeout_ms, err);
	if (!strcmp(e->name, "request_timeout_ms"))
		return set_uint(e, 100, 600000, &c->request_timeout_ms, err);
	if (!strcmp(e->name, "tls_min"))
		return set_tls_min(e, c->tls_min, err);
	if (!strcmp(e->name, "cert_warn_days"))
		return set_uint(e, 0, 3650, &c->cert_warn_days, err);
	return inifile_unknown(e, err);
}

static int in_vm(const struct inifile_entry *e, struct vmc_config *c,
		 struct vmc_error *err)
{
	if (!strcmp(e->name, "home_size"))
		return set_home_size(e, &c->home_size, err);
	if (!strcmp(e->name, "dm_flags"))
		return inifile_text(e, c->dm_flags, sizeof(c->dm_flags), err);
	return inifile_unknown(e, err);
}

static int set_bool(const struct inifile_entry *e, bool *out, struct vmc_error *err)
{
	bool yes = !strcmp(e->value, "yes");

	if (!yes && strcmp(e->value, "no"))
		return vmc_fail(err, VMC_EINVAL, "%s is '%s', it must be yes or no", e->name, e->value);
	*out = yes;
	return 0;
}

static int in_audit(const struct inifile_entry *e, struct vmc_config *c,
		    struct vmc_error *err)
{
	if (!strcmp(e->name, "append_only"))
		return set_bool(e, &c->audit_append_only, err);
	return inifile_unknown(e, err);
}

static int in_health(const struct inifile_entry *e, struct vmc_config *c,
		     struct vmc_error *err)
{
	if (!strcmp(e->name, "interval"))
		return set_uint(e, 1, 86400, &c->health_interval, err);
	if (!strcmp(e->name, "retry"))
		return set_uint(e, 1, 86400, &c->health_retry, err);
	return inifile_unknown(e, err);
}

static int in_metrics(const struct inifile_entry *e, struct vmc_config *c,
		      struct vmc_error *err)
{
	if (!strcmp(e->name, "file"))
		return *e->value ? set_dir(e, c->metrics_file, err) :
			inifile_text(e, c->metrics_file, sizeof(c->metrics_file), err);
	if (!strcmp(e->name, "interval"))
		return set_uint(e, 1, 3600, &c->metrics_interval, err);
	return inifile_unknown(e, err);
}

static int in_hooks(const struct inifile_entry *e, struct vmc_config *c,
		    struct vmc_error *err)
{
	if (!strcmp(e->name, "timeout"))
		return set_uint(e, 1, 60, &c->hook_timeout, err);
	return inifile_unknown(e, err);
}

static int in_migration(const struct inifile_entry *e, struct vmc_config *c,
			struct vmc_error *err)
{
	if (!strcmp(e->name, "listen") && !strcmp(e->value, "no")) {
		c->migration_listen[0] = '\0';
		return 0;
	}
	if (!strcmp(e->name, "listen"))
		return inifile_text(e, c->migration_listen, sizeof(c->migration_listen), err);
	if (!strcmp(e->name, "data_port"))
		return set_uint(e, 1, 65535, &c->migration_data_port, err);
	if (!strcmp(e->name, "address"))
		return inifile_text(e, c->migration_address, sizeof(c->migration_address), err);
	return inifile_unknown(e, err);
}

static int set_wording(const struct inifile_entry *e, enum vmc_wording *out,
		       struct vmc_error *err)
{
	if (!strcmp(e->value, "classic"))
		*out = VMC_WORDING_CLASSIC;
	else if (!strcmp(e->value, "7.0u2"))
		*out = VMC_WORDING_70U2;
	else
		return vmc_fail(err, VMC_EINVAL, "%s is '%s', it must be classic or 7.0u2",
				e->name, e->value);
	return 0;
}

static int in_states(const struct inifile_entry *e, struct vmc_config *c,
		     struct vmc_error *err)
{
	if (!strcmp(e->name, "wording"))
		return set_wording(e, &c->wording, err);
	return inifile_unknown(e, err);
}

static int on_setting(const struct inifile_entry *e, void *data,
		      struct vmc_error *err)
{
	static const struct {
		const char *section;
		int (*fn)(const struct inifile_entry *e, struct vmc_config *c,
			  struct vmc_error *err);
	} sections[] = {
		{ "paths", in_paths }, { "daemon", in_daemon },
		{ "kmip", in_kmip }, { "vm", in_vm },
		{ "health", in_health }, { "metrics", in_metrics },
		{ "hooks", in_hooks }, { "audit", in_audit },
		{ "states", in_states }, { "migration", in_migration },
		{ "tpm", in_tpm }, { "cache", in_cache },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		if (!strcmp(e->section, sections[i].section))
			return sections[i].fn(e, data, err);
	return inifile_unknown(e, err);
}

/* conf.d beside @path, in the order of the names. */
static int load_drop_ins(struct vmc_config *c, const char *path,
			 struct vmc_error *err)
{
	const char *slash = strrchr(path, '/');
	char pattern[512];
	glob_t found;
	int rc = 0;

	if (snprintf(pattern, sizeof(pattern), "%.*sconf.d/*.conf",
		     slash ? (int)(slash - path + 1) : 0, path) >= (int)sizeof(pattern))
		return vmc_fail(err, VMC_EINVAL, "the path '%.100s' is too long", path);
	switch (glob(pattern, 0, NULL, &found)) {
	case 0:
		break;
	case GLOB_NOMATCH:
		return 0;
	default:
		return vmc_fail(err, VMC_EIO, "cannot list '%s'", pattern);
	}
	for (size_t i = 0; i < found.gl_pathc && !rc; i++)
		rc = inifile_parse(found.gl_pathv[i], on_setting, c, err);
	globfree(&found);
	return rc;
}

static int from_environment(struct vmc_config *c, struct vmc_error *err)
{
	const struct {
		const char *name;
		char *dir;
	} vars[] = {
		{ "VMCRYPT_CONFIG_DIR", c->config_dir },
		{ "VMCRYPT_STATE_DIR", c->state_dir },
		{ "VMCRYPT_RUNTIME_DIR", c->runtime_dir },
	};

	for (size_t i = 0; i < ARRAY_SIZE(vars); i++) {
		const char *value = getenv(vars[i].name);
		int rc;

		if (!value || !*value)
			continue;
		rc = check_dir(vars[i].name, value, err);
		if (rc)
			return rc;
		if (strlen(value) >= sizeof(c->config_dir))
			return vmc_fail(err, VMC_EINVAL, "%s is longer than %zu bytes",
					vars[i].name, sizeof(c->config_dir) - 1);
		memcpy(vars[i].dir, value, strlen(value) + 1);
	}
	return 0;
}

int config_load(struct vmc_config *c, const char *path, struct vmc_error *err)
{
	const char *dir = getenv("VMCRYPT_CONFIG_DIR");
	struct vmc_config out = defaults;
	char standard[512];
	int rc;

	snprintf(standard, sizeof(standard), "%.255s/vmcrypt.conf",
		 dir && *dir ? dir : DEFAULT_CONFIG_DIR);
	rc = inifile_parse(path ? path : standard, on_setting, &out, err);
	if (rc == VMC_ENOENT && !path)	/* a host that is content with the defaults */
		rc = 0;
	if (!rc)
		rc = load_drop_ins(&out, path ? path : standard, err);
	if (!rc)
		rc = from_environment(&out, err);
	if (!rc)
		*c = out;
	return rc;
}
