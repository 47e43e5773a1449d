// SPDX-License-Identifier: GPL-2.0-or-later
/* What the bus objects show, and how changes become signals. */
#include "model.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/log.h"
#include "../lib/util.h"

#define STALE_MAX	32	/* VMs looked at one by one; more, and the whole list is read */

struct model {
	struct api *api;
	struct vm_object **vms;			/* sorted by UUID */
	size_t n_vms;
	struct provider_object **providers;	/* sorted by name */
	size_t n_providers;
	pthread_mutex_t looking;		/* held from looking to posting: keeps the order */
	/* what is stale, until a worker looks */
	struct pool_task task;
	bool task_busy, stale_all;
	char stale[STALE_MAX][VMC_UUID_STR];
	unsigned int n_stale;
	/* the task's own copy */
	bool look_all;
	char look[STALE_MAX][VMC_UUID_STR];
	unsigned int n_look;
};

/* ---- objects ---------------------------------------------------------- */

static char *copy_member(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return strdup(s ? s : "");
}

static void strv_free(char **v)
{
	if (!v)
		return;
	for (size_t i = 0; v[i]; i++)
		free(v[i]);
	free(v);
}

static void disk_free(struct disk_object *d)
{
	if (!d)
		return;
	free(d->self.key);
	free(d->path);
	free(d->name);
	free(d->image);
	free(d->kek);
	free(d->device);
	free(d->dm_flags);
	free(d);
}

static void vm_free(struct vm_object *v)
{
	if (!v)
		return;
	for (size_t i = 0; i < v->n_disks; i++)
		disk_free(v->disks[i]);
	free(v->disks);
	free(v->self.key);
	free(v->path);
	free(v->name);
	free(v->bundle);
	free(v->power);
	free(v->key_state);
	free(v->provider);
	free(v->crypto_state);
	free(v->shows_as);
	free(v->cause);
	free(v);
}

static void provider_free(struct provider_object *p)
{
	if (!p)
		return;
	free(p->self.key);
	free(p->path);
	free(p->name);
	free(p->kind);
	free(p->state);
	strv_free(p->servers);
	free(p);
}

void model_vm_path(const char *uuid, char path[64])
{
	size_t n = (size_t)snprintf(path, 64, API_PATH "/vm/%s", uuid);

	for (size_t i = 0; i < n && i < 64; i++)
		if (path[i] == '-')
			path[i] = '_';
}

static struct disk_object *disk_from_json(struct api *a, const char *uuid, const json_t *o)
{
	struct disk_object *d = calloc(1, sizeof(*d));
	char vm_path[64], prefix[80];

	if (!d)
		return NULL;
	d->self.api = a;
	d->self.key = strdup(uuid);
	d->name = copy_member(o, "name");
	d->image = copy_member(o, "path");
	d->kek = copy_member(o, "key");
	d->device = copy_member(o, "device");
	d->dm_flags = copy_member(o, "dm_flags");
	d->open = json_is_true(json_object_get(o, "open"));
	d->generation = (uint64_t)json_integer_value(json_object_get(o, "generation"));
	model_vm_path(uuid, vm_path);
	snprintf(prefix, sizeof(prefix), "%s/disk", vm_path);
	if (!d->self.key || !d->name || !d->image || !d->kek || !d->device || !d->dm_flags ||
	    sd_bus_path_encode(prefix, d->name, &d->path) < 0) {
		disk_free(d);
		return NULL;
	}
	return d;
}

static int disk_compare(const void *a, const void *b)
{
	return strcmp((*(struct disk_object *const *)a)->path,
		      (*(struct disk_object *const *)b)->path);
}

static struct vm_object *vm_from_json(struct api *a, const json_t *o)
{
	const char *uuid = json_string_value(json_object_get(o, "id"));
	const json_t *disks = json_object_get(o, "disks"), *disk;
	struct vm_object *v;
	char path[64];
	size_t i;

	if (!uuid || strlen(uuid) != VMC_UUID_STR - 1)
		return NULL;
	v = calloc(1, sizeof(*v));
	if (!v)
		return NULL;
	model_vm_path(uuid, path);
	v->self.api = a;
	v->self.key = strdup(uuid);
	v->path = strdup(path);
	v->name = copy_member(o, "name");
	v->bundle = copy_member(o, "bundle");
	v->power = copy_member(o, "power");
	v->key_state = copy_member(o, "key_state");
	v->provider = copy_member(o, "provider");
	v->crypto_state = copy_member(o, "crypto_state");
	v->shows_as = copy_member(o, "shows_as");
	v->cause = copy_member(o, "cause");
	v->alarms = (uint32_t)json_integer_value(json_object_get(o, "alarms"));
	v->autostart = json_is_true(json_object_get(o, "autostart"));
	v->disks = calloc(json_array_size(disks) + 1, sizeof(v->disks[0]));
	if (!v->self.key || !v->path || !v->name || !v->bundle || !v->power || !v->key_state ||
	    !v->provider || !v->crypto_state || !v->shows_as || !v->cause || !v->disks)
		goto fail;
	json_array_foreach(disks, i, disk) {
		v->disks[v->n_disks] = disk_from_json(a, uuid, disk);
		if (!v->disks[v->n_disks])
			goto fail;
		v->n_disks++;
	}
	qsort(v->disks, v->n_disks, sizeof(v->disks[0]), disk_compare);
	return v;
fail:
	vm_free(v);
	return NULL;
}

/* A server is listed as "host:port", or as an object that has both. */
static char *server_name(const json_t *s)
{
	const char *host = json_string_value(json_object_get(s, "host"));
	char *name;

	if (json_is_string(s))
		return strdup(json_string_value(s));
	if (asprintf(&name, strchr(host ? host : "", ':') ? "[%s]:%lld" : "%s:%lld", host ? host : "",
		     (long long)json_integer_value(json_object_get(s, "port"))) < 0)
		return NULL;
	return name;
}

static struct provider_object *provider_from_json(struct api *a, const json_t *o)
{
	const json_t *servers = json_object_get(o, "servers"), *server;
	struct provider_object *p = calloc(1, sizeof(*p));
	size_t i;

	if (!p)
		return NULL;
	p->self.api = a;
	p->name = copy_member(o, "name");
	p->self.key = copy_member(o, "name");
	p->kind = copy_member(o, "kind");
	p->state = copy_member(o, "state");
	p->is_default = json_is_true(json_object_get(o, "default"));
	p->servers = calloc(json_array_size(servers) + 1, sizeof(p->servers[0]));
	if (!p->name || !p->self.key || !p->kind || !p->state || !p->servers)
		goto fail;
	json_array_foreach(servers, i, server) {
		p->servers[i] = server_name(server);
		if (!p->servers[i])
			goto fail;
	}
	if (!p->name[0] || sd_bus_path_encode(API_PATH "/provider", p->name, &p->path) < 0)
		goto fail;
	return p;
fail:
	provider_free(p);
	return NULL;
}

/* ---- finding ---------------------------------------------------------- */

static int vm_compare(const void *a, const void *b)
{
	return strcmp((*(struct vm_object *const *)a)->self.key,
		      (*(struct vm_object *const *)b)->self.key);
}

static int vm_key_compare(const void *key, const void *v)
{
	return strcmp(key, (*(struct vm_object *const *)v)->self.key);
}

static int provider_compare(const void *a, const void *b)
{
	return strcmp((*(struct provider_object *const *)a)->name,
		      (*(struct provider_object *const *)b)->name);
}

static struct vm_object **vm_slot(struct model *m, const char *uuid)
{
	if (!m->n_vms)
		return NULL;
	return bsearch(uuid, m->vms, m->n_vms, sizeof(m->vms[0]), vm_key_compare);
}

struct vm_object *model_find_vm(struct model *m, const char *uuid)
{
	struct vm_object **slot = vm_slot(m, uuid);

	return slot ? *slot : NULL;
}

/* The UUID is the 36 characters after the prefix; *@rest is what follows. */
static struct vm_object *vm_of_path(struct model *m, const char *path, const char **rest)
{
	static const char prefix[] = API_PATH "/vm/";
	char uuid[VMC_UUID_STR];

	if (strncmp(path, prefix, sizeof(prefix) - 1))
		return NULL;
	path += sizeof(prefix) - 1;
	if (strnlen(path, VMC_UUID_STR - 1) < VMC_UUID_STR - 1)
		return NULL;
	memcpy(uuid, path, VMC_UUID_STR - 1);
	uuid[VMC_UUID_STR - 1] = '\0';
	for (char *c = uuid; *c; c++)
		if (*c == '_')
			*c = '-';
	*rest = path + VMC_UUID_STR - 1;
	return model_find_vm(m, uuid);
}

struct vm_object *model_find_vm_path(struct model *m, const char *path)
{
	const char *rest;
	struct vm_object *v = vm_of_path(m, path, &rest);

	return v && !*rest ? v : NULL;
}

struct disk_object *model_find_disk_path(struct model *m, const char *path)
{
	const char *rest;
	struct vm_object *v = vm_of_path(m, path, &rest);

	for (size_t i = 0; v && *rest && i < v->n_disks; i++)
		if (!strcmp(v->disks[i]->path, path))
			return v->disks[i];
	return NULL;
}

struct provider_object *model_find_provider(struct model *m, const char *name)
{
	for (size_t i = 0; i < m->n_providers; i++)
		if (!strcmp(m->providers[i]->name, name))
			return m->providers[i];
	return NULL;
}

struct provider_object *model_find_provider_path(struct model *m, const char *path)
{
	for (size_t i = 0; i < m->n_providers; i++)
		if (!strcmp(m->providers[i]->path, path))
			return m->providers[i];
	return NULL;
}

const char *model_default_provider(struct model *m)
{
	for (size_t i = 0; i < m->n_providers; i++)
		if (m->providers[i]->is_default)
			return m->providers[i]->name;
	return "";
}

size_t model_count_vms(const struct model *m)
{
	return m->n_vms;
}

size_t model_count_providers(const struct model *m)
{
	return m->n_providers;
}

int model_vm_paths(struct model *m, char ***ret)
{
	size_t n = 0, at = 0;
	char **paths;

	for (size_t i = 0; i < m->n_vms; i++)
		n += 1 + m->vms[i]->n_disks;
	paths = calloc(n + 1, sizeof(*paths));
	if (!paths)
		return -1;
	for (size_t i = 0; i < m->n_vms; i++) {
		paths[at++] = strdup(m->vms[i]->path);
		for (size_t j = 0; j < m->vms[i]->n_disks; j++)
			paths[at++] = strdup(m->vms[i]->disks[j]->path);
	}
	*ret = paths;
	return 0;
}

int model_provider_paths(struct model *m, char ***ret)
{
	char **paths = calloc(m->n_providers + 1, sizeof(*paths));

	if (!paths)
		return -1;
	for (size_t i = 0; i < m->n_providers; i++)
		paths[i] = strdup(m->providers[i]->path);
	*ret = paths;
	return 0;
}

/* ---- comparing and emitting ------------------------------------------- */

struct changes {
	char *names[12];
	size_t n;
};

static void note(struct changes *c, bool changed, const char *name)
{
	if (changed)
		c->names[c->n++] = (char *)name;
}

static void emit_changes(struct model *m, const char *path, const char *interface,
			 struct changes *c)
{
	if (c->n)
		sd_bus_emit_properties_changed_strv(m->api->bus, path, interface, c->names);
}

/* sd-bus asks the objects by path: they must be in the model by now. */
static void emit_added(struct model *m, const char *path, const char *interface)
{
	sd_bus_emit_interfaces_added(m->api->bus, path, interface, NULL);
}

static void emit_removed(struct model *m, const char *path, const char *interface)
{
	sd_bus_emit_interfaces_removed(m->api->bus, path, interface, NULL);
}

static void disk_emit_diff(struct model *m, const struct disk_object *old,
			   const struct disk_object *new)
{
	struct changes c = { 0 };

	note(&c, strcmp(old->image, new->image), "Path");
	note(&c, strcmp(old->kek, new->kek), "Key");
	note(&c, old->open != new->open, "Open");
	note(&c, strcmp(old->device, new->device), "Device");
	note(&c, strcmp(old->dm_flags, new->dm_flags), "DmFlags");
	note(&c, old->generation != new->generation, "Generation");
	emit_changes(m, new->path, "org.vmcrypt1.Disk", &c);
}

static const struct disk_object *disk_in(const struct vm_object *v, const char *path)
{
	for (size_t i = 0; v && i < v->n_disks; i++)
		if (!strcmp(v->disks[i]->path, path))
			return v->disks[i];
	return NULL;
}

static void disks_emit_diff(struct model *m, const struct vm_object *old,
			    const struct vm_object *new)
{
	const struct disk_object *was;

	for (size_t i = 0; old && i < old->n_disks; i++)
		if (!disk_in(new, old->disks[i]->path))
			emit_removed(m, old->disks[i]->path, "org.vmcrypt1.Disk");
	for (size_t i = 0; new && i < new->n_disks; i++) {
		was = disk_in(old, new->disks[i]->path);
		if (was)
			disk_emit_diff(m, was, new->disks[i]);
		else
			emit_added(m, new->disks[i]->path, "org.vmcrypt1.Disk");
	}
}

/* @old or @new may be NULL: it came, or went. The model has @new by now. */
static void vm_emit_diff(struct model *m, const struct vm_object *old, const struct vm_object *new)
{
	struct changes c = { 0 };

	if (!old) {
		emit_added(m, new->path, "org.vmcrypt1.VM");
	} else if (new) {
		note(&c, strcmp(old->name, new->name), "Name");
		note(&c, strcmp(old->bundle, new->bundle), "Bundle");
		note(&c, strcmp(old->power, new->power), "Power");
		note(&c, strcmp(old->key_state, new->key_state), "KeyState");
		note(&c, strcmp(old->provider, new->provider), "Provider");
		note(&c, strcmp(old->crypto_state, new->crypto_state), "CryptoState");
		note(&c, strcmp(old->shows_as, new->shows_as), "ShowsAs");
		note(&c, strcmp(old->cause, new->cause), "Cause");
		note(&c, old->alarms != new->alarms, "Alarms");
		note(&c, old->autostart != new->autostart, "Autostart");
		emit_changes(m, new->path, "org.vmcrypt1.VM", &c);
	}
	disks_emit_diff(m, old, new);
	if (!new)
		emit_removed(m, old->path, "org.vmcrypt1.VM");
}

static bool same_strv(char **a, char **b)
{
	for (; *a && *b; a++, b++)
		if (strcmp(*a, *b))
			return false;
	return *a == *b;
}

static void provider_emit_diff(struct model *m, const struct provider_object *old,
			       const struct provider_object *new)
{
	struct changes c = { 0 };

	if (!old) {
		emit_added(m, new->path, "org.vmcrypt1.Provider");
	} else if (!new) {
		emit_removed(m, old->path, "org.vmcrypt1.Provider");
	} else {
		note(&c, strcmp(old->kind, new->kind), "Kind");
		note(&c, strcmp(old->state, new->state), "State");
		note(&c, old->is_default != new->is_default, "Default");
		note(&c, !same_strv(old->servers, new->servers), "Servers");
		emit_changes(m, new->path, "org.vmcrypt1.Provider", &c);
	}
}

/* ---- taking in what a worker saw -------------------------------------- */

static int vm_insert(struct model *m, struct vm_object *v)
{
	struct vm_object **more = realloc(m->vms, (m->n_vms + 1) * sizeof(*more));

	if (!more)
		return -1;
	m->vms = more;
	m->vms[m->n_vms++] = v;
	qsort(m->vms, m->n_vms, sizeof(m->vms[0]), vm_compare);
	return 0;
}

static void vm_take_out(struct model *m, struct vm_object **slot)
{
	size_t after = m->n_vms - (size_t)(slot - m->vms) - 1;

	memmove(slot, slot + 1, after * sizeof(*slot));
	m->n_vms--;
}

/* @new is NULL when there is no such VM any more. */
static void set_vm(struct model *m, const char *uuid, struct vm_object *new)
{
	struct vm_object **slot = vm_slot(m, uuid), *old = slot ? *slot : NULL;

	if (!old && !new)
		return;
	if (old && new) {
		*slot = new;
	} else if (old) {
		vm_take_out(m, slot);
	} else if (vm_insert(m, new)) {
		vm_free(new);
		return;
	}
	vm_emit_diff(m, old, new);
	vm_free(old);
}

static void set_all_vms(struct model *m, const json_t *list)
{
	struct vm_object **old = m->vms, **was;
	size_t n_old = m->n_vms, i;
	const json_t *o;

	m->vms = calloc(json_array_size(list) + 1, sizeof(m->vms[0]));
	if (!m->vms) {
		m->vms = old;
		return;
	}
	m->n_vms = 0;
	json_array_foreach(list, i, o) {
		m->vms[m->n_vms] = vm_from_json(m->api, o);
		if (m->vms[m->n_vms])
			m->n_vms++;
	}
	qsort(m->vms, m->n_vms, sizeof(m->vms[0]), vm_compare);
	for (i = 0; i < n_old; i++)
		if (!model_find_vm(m, old[i]->self.key))
			vm_emit_diff(m, old[i], NULL);
	for (i = 0; i < m->n_vms; i++) {
		was = n_old ? bsearch(m->vms[i]->self.key, old, n_old, sizeof(old[0]),
				      vm_key_compare) : NULL;
		vm_emit_diff(m, was ? *was : NULL, m->vms[i]);
	}
	for (i = 0; i < n_old; i++)
		vm_free(old[i]);
	free(old);
}

static void set_providers(struct model *m, const json_t *list)
{
	struct provider_object **old = m->providers, *p;
	size_t n_old = m->n_providers, i, j;
	char *was_default = strdup(model_default_provider(m));
	const json_t *o;

	m->providers = calloc(json_array_size(list) + 1, sizeof(m->providers[0]));
	if (!m->providers || !was_default) {
		free(m->providers);
		free(was_default);
		m->providers = old;
		return;
	}
	m->n_providers = 0;
	json_array_foreach(list, i, o) {
		m->providers[m->n_providers] = provider_from_json(m->api, o);
		if (m->providers[m->n_providers])
			m->n_providers++;
	}
	qsort(m->providers, m->n_providers, sizeof(m->providers[0]), provider_compare);
	for (i = 0; i < n_old; i++)
		if (!model_find_provider(m, old[i]->name))
			provider_emit_diff(m, old[i], NULL);
	for (i = 0; i < m->n_providers; i++) {
		p = NULL;
		for (j = 0; j < n_old && !p; j++)
			if (!strcmp(old[j]->name, m->providers[i]->name))
				p = old[j];
		provider_emit_diff(m, p, m->providers[i]);
	}
	if (strcmp(was_default, model_default_provider(m)))
		sd_bus_emit_properties_changed(m->api->bus, API_PATH, "org.vmcrypt1.Manager",
					       "DefaultProvider", NULL);
	for (i = 0; i < n_old; i++)
		provider_free(old[i]);
	free(old);
	free(was_default);
}

/* ---- looking, in a worker --------------------------------------------- */

enum sight_kind { SIGHT_VM, SIGHT_ALL, SIGHT_PROVIDERS };

struct sight {
	struct mail mail;
	struct model *model;
	enum sight_kind kind;
	char vm[VMC_UUID_STR];
	json_t *json;		/* NULL, of one VM: it is gone */
};

static void take_in(struct mail *mail)
{
	struct sight *s = (struct sight *)mail;
	struct vm_object *v = NULL;

	if (s->kind == SIGHT_VM && s->json)
		v = vm_from_json(s->model->api, s->json);
	if (s->kind == SIGHT_ALL)
		set_all_vms(s->model, s->json);
	else if (s->kind == SIGHT_PROVIDERS)
		set_providers(s->model, s->json);
	else if (v || !s->json)
		set_vm(s->model, s->vm, v);
	json_decref(s->json);
	free(s);
}

void model_look_vm(struct model *m, struct backend *b, const char *vm)
{
	struct sight *s = calloc(1, sizeof(*s));
	struct vmc_error err = VMC_ERROR_INIT;
	bool seen;

	if (!s)
		return;
	s->mail.deliver = take_in;
	s->model = m;
	s->kind = vm ? SIGHT_VM : SIGHT_ALL;
	if (vm)
		snprintf(s->vm, sizeof(s->vm), "%s", vm);
	pthread_mutex_lock(&m->looking);
	s->json = vm ? vmm_show(b->m, vm, &err) : vmm_list(b->m, &err);
	seen = s->json || (vm && err.code == VMC_ENOENT);
	if (seen)
		mailbox_post(m->api->box, &s->mail);	/* the loop's from here on */
	pthread_mutex_unlock(&m->looking);
	if (seen)
		return;
	log_warn("cannot tell the state of %s: %s", vm ? vm : "the VMs", err.text);
	free(s);
}

void model_look_providers(struct model *m, struct backend *b)
{
	struct sight *s = calloc(1, sizeof(*s));
	struct vmc_error err = VMC_ERROR_INIT;
	int rc;

	if (!s)
		return;
	s->mail.deliver = take_in;
	s->model = m;
	s->kind = SIGHT_PROVIDERS;
	pthread_mutex_lock(&m->looking);
	rc = providers_list(b->ps, &s->json, &err);
	if (!rc)
		mailbox_post(m->api->box, &s->mail);	/* the loop's from here on */
	pthread_mutex_unlock(&m->looking);
	if (!rc)
		return;
	log_warn("cannot list the key providers: %s", err.text);
	free(s);
}

/* ---- what is stale ---------------------------------------------------- */

static void look_at_stale(struct pool_task *t)
{
	struct model *m = (struct model *)((char *)t - offsetof(struct model, task));
	struct backend *b = m->api->backend;	/* stays: the task counts as a user */

	if (m->look_all) {
		model_look_vm(m, b, NULL);
		return;
	}
	for (unsigned int i = 0; i < m->n_look; i++)
		model_look_vm(m, b, m->look[i]);
}

static void start_look(struct model *m);

static void looked(struct pool_task *t, bool ran)
{
	struct model *m = (struct model *)((char *)t - offsetof(struct model, task));
	struct api *a = m->api;

	(void)ran;
	m->task_busy = false;
	a->users--;
	start_look(m);
	if (a->ended)
		a->ended(a, a->hook_data);
}

/* One at a time: what gets stale meanwhile waits for the next. */
static void start_look(struct model *m)
{
	struct vmc_error err = VMC_ERROR_INIT;

	/* While the backend changes nothing is lost: all is read anew after that. */
	if (m->task_busy || (!m->n_stale && !m->stale_all) || !m->api->backend || m->api->hold ||
	    m->api->stopping)
		return;
	m->look_all = m->stale_all;
	m->n_look = m->n_stale;
	memcpy(m->look, m->stale, sizeof(m->look));
	m->task.run = look_at_stale;
	m->task.done = looked;
	if (pool_submit(m->api->pools[POOL_READ], &m->task, &err))
		return;		/* full: the next event, or the next call's end, tries again */
	m->task_busy = true;
	m->api->users++;
	m->stale_all = false;
	m->n_stale = 0;
}

void model_stale(struct model *m, const char *vm)
{
	bool there = !vm || m->stale_all;

	for (unsigned int i = 0; i < m->n_stale && !there; i++)
		there = !strcmp(m->stale[i], vm);
	if (!vm || (!there && m->n_stale == STALE_MAX))
		m->stale_all = true;
	else if (!there)
		snprintf(m->stale[m->n_stale++], VMC_UUID_STR, "%s", vm);
	start_look(m);
}

int model_new(struct model **ret, struct api *a, struct vmc_error *err)
{
	struct model *m = calloc(1, sizeof(*m));

	if (!m)
		return vmc_fail(err, VMC_ENOMEM, "no memory for the bus objects");
	m->api = a;
	pthread_mutex_init(&m->looking, NULL);
	*ret = m;
	return 0;
}

void model_free(struct model *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_vms; i++)
		vm_free(m->vms[i]);
	free(m->vms);
	for (size_t i = 0; i < m->n_providers; i++)
		provider_free(m->providers[i]);
	free(m->providers);
	pthread_mutex_destroy(&m->looking);
	free(m);
}
