// SPDX-License-Identifier: GPL-2.0-or-later
/* provider.conf of a KMIP provider. See conf.h. */
#include "conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/inifile.h"
#include "../../lib/util.h"
#include "../../net/tcp.h"

#define DEFAULT_BATCH		32
#define DEFAULT_CONNECTIONS	4
#define DEFAULT_MAX_REPLY	(1u << 20)

void kmip_conf_defaults(struct kmip_conf *c, const struct vmc_config *cfg)
{
	memset(c, 0, sizeof(*c));
	c->tls13 = !strcmp(cfg->tls_min, "1.3");
	c->connect_timeout_ms = cfg->connect_timeout_ms;
	c->request_timeout_ms = cfg->request_timeout_ms;
	c->batch = DEFAULT_BATCH;
	c->connections = DEFAULT_CONNECTIONS;
	c->max_reply = DEFAULT_MAX_REPLY;
}

static int add_server(struct kmip_conf *c, const char *s, struct vmc_error *err)
{
	unsigned int n = c->n_servers;
	int rc;

	if (n == KMIP_SERVERS_MAX)
		return vmc_fail(err, VMC_EINVAL, "a provider has at most %d servers", KMIP_SERVERS_MAX);
	c->servers[n].port = KMIP_PORT;
	rc = net_split(s, c->servers[n].host, sizeof(c->servers[n].host), &c->servers[n].port, err);
	if (rc)
		return rc;
	for (unsigned int i = 0; i < n; i++)
		if (c->servers[i].port == c->servers[n].port &&
		    !strcasecmp(c->servers[i].host, c->servers[n].host))
			return vmc_fail(err, VMC_EINVAL, "server '%s' is named twice", s);
	c->n_servers++;
	return 0;
}

/* Text that goes into a file of lines: nothing that would end one or start a comment. */
static int set_text(const char *name, const char *v, char *out, size_t max, struct vmc_error *err)
{
	size_t n = strlen(v);

	if (n >= max || n > 128)
		return vmc_fail(err, VMC_EINVAL, "%s is longer than %zu bytes", name,
				max - 1 < 128 ? max - 1 : 128);
	for (const char *p = v; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f || *p == ';' || *p == '#')
			return vmc_fail(err, VMC_EINVAL, "%s has a character that cannot be in it", name);
	if (n && (v[0] == ' ' || v[n - 1] == ' '))
		return vmc_fail(err, VMC_EINVAL, "%s begins or ends with a space", name);
	memcpy(out, v, n + 1);
	return 0;
}

static int set_tls(struct kmip_conf *c, const char *v, struct vmc_error *err)
{
	if (strcmp(v, "1.2") && strcmp(v, "1.3"))
		return vmc_fail(err, VMC_EINVAL, "tls_min is '%.20s', it must be 1.2 or 1.3", v);
	c->tls13 = !strcmp(v, "1.3");
	return 0;
}

static int set_protocol(struct kmip_conf *c, const char *v, struct vmc_error *err)
{
	if (!strcmp(v, "auto"))
		c->version = (struct kmip_version){ 0, 0 };
	else if (kmip_version_parse(v, &c->version))
		return vmc_fail(err, VMC_EINVAL,
				"protocol is '%.20s', it must be auto, 1.1, 1.2, 1.3, 1.4, 2.0 or 2.1", v);
	return 0;
}

/* The settings that are numbers. */
static const struct number {
	const char *name;
	unsigned int min, max;
	size_t offset;
	bool is_size;
} numbers[] = {
	{ "connect_timeout_ms", 100, 600000, offsetof(struct kmip_conf, connect_timeout_ms), false },
	{ "request_timeout_ms", 100, 600000, offsetof(struct kmip_conf, request_timeout_ms), false },
	{ "batch", 1, KMIP_BATCH_MAX / 2, offsetof(struct kmip_conf, batch), false },
	{ "connections", 1, 32, offsetof(struct kmip_conf, connections), false },
	{ "max_reply", 4096, 64u << 20, offsetof(struct kmip_conf, max_reply), true },
};

static const struct number *find_number(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (!strcmp(numbers[i].name, name))
			return &numbers[i];
	return NULL;
}

static unsigned long long get_number(const struct kmip_conf *c, const struct number *n)
{
	const char *at = (const char *)c + n->offset;

	return n->is_size ? *(const size_t *)at : *(const unsigned int *)at;
}

static void set_number(struct kmip_conf *c, const struct number *n, unsigned long long v)
{
	char *at = (char *)c + n->offset;

	if (n->is_size)
		*(size_t *)at = v;
	else
		*(unsigned int *)at = v;
}

/* The settings that are text; VMC_ENOENT when there is none of that name. */
static int set_named(struct kmip_conf *c, const char *name, const char *v, struct vmc_error *err)
{
	if (!strcmp(name, "username"))
		return set_text(name, v, c->username, sizeof(c->username), err);
	if (!strcmp(name, "server_name"))
		return set_text(name, v, c->server_name, sizeof(c->server_name), err);
	if (!strcmp(name, "operation_policy"))
		return set_text(name, v, c->operation_policy, sizeof(c->operation_policy), err);
	if (!strcmp(name, "installation"))
		return set_text(name, v, c->installation, sizeof(c->installation), err);
	if (!strcmp(name, "tls_min"))
		return set_tls(c, v, err);
	if (!strcmp(name, "protocol"))
		return set_protocol(c, v, err);
	return VMC_ENOENT;
}

static int conf_check(const struct kmip_conf *c, struct vmc_error *err)
{
	if (!c->n_servers)
		return vmc_fail(err, VMC_EINVAL, "a KMIP provider needs at least one server");
	if (c->operation_policy[0] && c->version.major > 1)
		return vmc_fail(err, VMC_EINVAL,
				"operation_policy exists in KMIP 1.x only, and protocol is %d.%d",
				c->version.major, c->version.minor);
	return 0;
}

/* ---- file ------------------------------------------------------------------- */

static int on_entry(const struct inifile_entry *e, void *data, struct vmc_error *err)
{
	struct kmip_conf *c = data;
	const struct number *n;
	unsigned long long v;
	int rc;

	if (!strcmp(e->section, "provider") && !strcmp(e->name, "kind"))
		return strcmp(e->value, "kmip") ?
		       vmc_fail(err, VMC_ENOTSUP, "kind is '%s', this vmcrypt knows kmip", e->value) : 0;
	if (strcmp(e->section, "kmip"))
		return inifile_unknown(e, err);
	/* server1, server2 ...: the order is that of the file */
	if (!strncmp(e->name, "server", 6) && e->name[6] >= '1' && e->name[6] <= '9' && !e->name[7])
		return add_server(c, e->value, err);
	n = find_number(e->name);
	if (n) {
		rc = inifile_uint(e, n->min, n->max, &v, err);
		if (!rc)
			set_number(c, n, v);
		return rc;
	}
	rc = set_named(c, e->name, e->value, err);
	return rc == VMC_ENOENT ? inifile_unknown(e, err) : rc;
}

int kmip_conf_load(struct kmip_conf *c, const char *path, const struct vmc_config *cfg,
		   struct vmc_error *err)
{
	int rc;

	kmip_conf_defaults(c, cfg);
	rc = inifile_parse(path, on_entry, c, err);
	if (rc)
		return rc;
	rc = conf_check(c, err);
	return rc ? vmc_prefix(err, "%s: ", path) : 0;
}

char *kmip_conf_text(const struct kmip_conf *c, const struct vmc_config *cfg)
{
	struct kmip_conf d;
	char *text = NULL;
	size_t len;
	int bad;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	kmip_conf_defaults(&d, cfg);
	fprintf(f, "# A KMIP key provider of vmcrypt.\n[provider]\nkind = kmip\n\n[kmip]\n");
	for (unsigned int i = 0; i < c->n_servers; i++)
		fprintf(f, strchr(c->servers[i].host, ':') ? "server%u = [%s]:%u\n" :
			"server%u = %s:%u\n", i + 1, c->servers[i].host, c->servers[i].port);
	if (c->installation[0])
		fprintf(f, "installation = %s\n", c->installation);
	if (c->username[0])
		fprintf(f, "username = %s\n", c->username);
	if (c->server_name[0])
		fprintf(f, "server_name = %s\n", c->server_name);
	if (c->operation_policy[0])
		fprintf(f, "operation_policy = %s\n", c->operation_policy);
	if (c->tls13 != d.tls13)
		fprintf(f, "tls_min = %s\n", c->tls13 ? "1.3" : "1.2");
	if (c->version.major)
		fprintf(f, "protocol = %d.%d\n", c->version.major, c->version.minor);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (get_number(c, &numbers[i]) != get_number(&d, &numbers[i]))
			fprintf(f, "%s = %llu\n", numbers[i].name, get_number(c, &numbers[i]));
	bad = ferror(f);
	if (fclose(f) || bad) {
		free(text);
		return NULL;
	}
	return text;
}

/* ---- options ------------------------------------------------------------------ */

static int option(struct kmip_conf *c, const char *name, const json_t *v, struct vmc_error *err)
{
	const struct number *n = find_number(name);
	const json_t *one;
	size_t i;
	int rc;

	if (!strcmp(name, "servers")) {
		if (!json_is_array(v))
			return vmc_fail(err, VMC_EINVAL, "servers is not a list");
		json_array_foreach(v, i, one) {
			if (!json_is_string(one))
				return vmc_fail(err, VMC_EINVAL, "servers is not a list of names");
			rc = add_server(c, json_string_value(one), err);
			if (rc)
				return rc;
		}
		return 0;
	}
	if (n) {
		if (!json_is_integer(v) || json_integer_value(v) < n->min ||
		    json_integer_value(v) > n->max)
			return vmc_fail(err, VMC_EINVAL, "%s must be a number from %u to %u", name,
					n->min, n->max);
		set_number(c, n, json_integer_value(v));
		return 0;
	}
	if (!json_is_string(v) || !strcmp(name, "installation"))
		rc = VMC_ENOENT;
	else
		rc = set_named(c, name, json_string_value(v), err);
	return rc == VMC_ENOENT ? vmc_fail(err, VMC_EINVAL,
					   "a KMIP provider has no option '%.64s' of that kind", name) : rc;
}

int kmip_conf_from_json(struct kmip_conf *c, const json_t *options, const struct vmc_config *cfg,
			struct vmc_error *err)
{
	const char *name;
	json_t *v;
	int rc;

	kmip_conf_defaults(c, cfg);
	if (!json_is_object(options))
		return vmc_fail(err, VMC_EINVAL, "the options of a provider are not an object");
	json_object_foreach((json_t *)options, name, v) {
		rc = option(c, name, v, err);
		if (rc)
			return rc;
	}
	return conf_check(c, err);
}
