// SPDX-License-Identifier: GPL-2.0-or-later
/* Key providers without servers, for the tests of the daemon. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../keys/provider.h"
#include "../keys/trusted/trusted.h"

#define MAX 8

struct providers {
	int unused;
};

static char names[MAX][PROVIDER_NAME_MAX + 1], the_default[PROVIDER_NAME_MAX + 1];
static int n_names;

int providers_open(struct providers **ps, const struct vmc_config *cfg, struct vmc_error *err)
{
	(void)cfg, (void)err;
	*ps = calloc(1, sizeof(**ps));
	return 0;
}

void providers_close(struct providers *ps)
{
	free(ps);
}

static int find(const char *name, struct vmc_error *err)
{
	for (int i = 0; i < n_names; i++)
		if (!strcmp(names[i], name))
			return i;
	vmc_fail(err, VMC_ENOENT, "there is no key provider '%s'", name);
	return -1;
}

static int test(struct provider *p, json_t **report, struct vmc_error *err)
{
	(void)err;
	*report = json_pack("{s:b, s:s}", "reachable", 1, "name", p->name);
	return 0;
}

int providers_get(struct providers *ps, const char *name, struct provider **ret, struct vmc_error *err)
{
	static const struct provider_ops ops = { .kind = "kmip", .test = test };
	static struct provider p = { .ops = &ops };
	int i = find(name, err);

	(void)ps;
	if (i < 0)
		return VMC_ENOENT;
	memcpy(p.name, names[i], sizeof(p.name));
	*ret = &p;
	return 0;
}

void provider_put(struct provider *p)
{
	(void)p;
}

int providers_list(struct providers *ps, json_t **list, struct vmc_error *err)
{
	(void)ps, (void)err;
	*list = json_array();
	for (int i = 0; i < n_names; i++)
		json_array_append_new(*list, json_pack("{s:s, s:s, s:b, s:[s, {s:s, s:i}]}", "name", names[i],
			"kind", "kmip", "default", !strcmp(names[i], the_default), "servers", "a.example:5696",
			"host", "b.example", "port", 5697));
	return 0;
}

int providers_set_default(struct providers *ps, const char *name, struct vmc_error *err)
{
	(void)ps;
	if (find(name, err) < 0)
		return VMC_ENOENT;
	snprintf(the_default, sizeof(the_default), "%s", name);
	return 0;
}

int providers_remove(struct providers *ps, const char *name, struct vmc_error *err)
{
	int i = find(name, err);

	(void)ps;
	if (i < 0)
		return VMC_ENOENT;
	memmove(names[i], names[i + 1], sizeof(names[0]) * (size_t)(n_names - i - 1));
	n_names--;
	return 0;
}

int providers_add_kmip(struct providers *ps, const char *name, const json_t *options, struct vmc_error *err)
{
	(void)ps, (void)options;
	if (n_names == MAX || find(name, NULL) >= 0)
		return vmc_fail(err, VMC_EEXIST, "there is a key provider '%s' already", name);
	snprintf(names[n_names++], sizeof(names[0]), "%s", name);
	return 0;
}

int providers_add_native(struct providers *ps, const char *name, const json_t *options, struct vmc_error *err)
{
	return providers_add_kmip(ps, name, options, err);
}

int providers_add_trusted(struct providers *ps, const char *name, const json_t *options, struct vmc_error *err)
{
	if (!json_is_string(json_object_get(options, "services_info")))
		return vmc_fail(err, VMC_EINVAL, "the services-info file is missing");
	return providers_add_kmip(ps, name, options, err);
}

static enum agent_how last_how;

/* A provider called "trusted" is one. */
int trusted_status(struct provider *p, json_t **status, struct vmc_error *err)
{
	if (strcmp(p->name, "trusted"))
		return vmc_fail(err, VMC_ENOTSUP, "key provider '%s' attests nobody", p->name);
	*status = json_pack("{s:s, s:s, s:i}", "provider", p->name, "state", "attested", "how", (int)last_how);
	return 0;
}

int trusted_attest(struct provider *p, enum agent_how how, struct vmc_error *err)
{
	(void)err;
	last_how = how;
	return strcmp(p->name, "trusted") ? vmc_fail(err, VMC_ENOTSUP, "key provider '%s' attests nobody", p->name) : 0;
}

/* Writes the password, so that a test sees that both files arrived, and which is which. */
int providers_export(struct providers *ps, const char *name, const char *password, int fd, struct vmc_error *err)
{
	(void)ps;
	if (find(name, err) < 0)
		return VMC_ENOENT;
	return write(fd, password, strlen(password)) < 0 ? VMC_EIO : 0;
}

int providers_import(struct providers *ps, const void *backup, size_t len, const char *password,
		     const json_t *options, json_t **result, struct vmc_error *err)
{
	const char *key_id = json_string_value(json_object_get(options, "key_id"));

	if (strcmp(password, "a password"))
		return vmc_fail(err, VMC_EAUTH, "the password is wrong");
	*result = json_pack("{s:s%, s:s, s:b}", "name", backup, (int)len, "key_id", key_id ? key_id : "", "restored",
			    json_is_true(json_object_get(options, "insecure_no_tpm")));
	return *result ? providers_add_kmip(ps, json_string_value(json_object_get(*result, "name")), NULL, err) :
			 vmc_fail(err, VMC_ENOMEM, "out of memory");
}

/* Tells what it was given, so that a test sees that it arrived. */
int providers_trust(struct providers *ps, const char *name, const char *verb, const json_t *args,
		    json_t **result, struct vmc_error *err)
{
	const char *key = json_string_value(json_object_get(args, "key_pem"));

	(void)ps;
	if (find(name, err) < 0)
		return VMC_ENOENT;
	*result = json_pack("{s:s, s:i}", "verb", verb, "key_bytes", key ? (int)strlen(key) : 0);
	return 0;
}
