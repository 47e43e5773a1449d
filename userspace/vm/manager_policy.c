// SPDX-License-Identifier: GPL-2.0-or-later
/* The policies of migrations: of VMs that are registered, and of those that are not. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "vm_priv.h"

/* One VM, or what was said instead of one. */
struct target {
	char vm[64], name[64];		/* the inventory's key; for texts */
	bool encrypted, known;
	bool has_row;
	enum migration_encryption was;
	struct vmc_error err;
};

struct targets {
	struct target *t;
	size_t n, room;
	struct inv_policy *rows;
	size_t n_rows;
};

static struct target *add(struct targets *x, const char *vm, const char *name)
{
	struct target *t;

	for (size_t i = 0; i < x->n; i++)
		if (!strcmp(x->t[i].vm, vm))
			return &x->t[i];
	if (x->n == x->room) {
		t = realloc(x->t, (x->room + 64) * sizeof(*t));
		if (!t)
			return NULL;
		x->t = t;
		x->room += 64;
	}
	t = memset(&x->t[x->n++], 0, sizeof(*t));
	snprintf(t->vm, sizeof(t->vm), "%s", vm);
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->was = MIGRATION_DEFAULT;
	return t;
}

static const struct inv_policy *find_row(const struct targets *x, const char *vm, const char *name)
{
	for (size_t i = 0; *vm && i < x->n_rows; i++)
		if (!strcmp(x->rows[i].vm, vm))
			return &x->rows[i];
	for (size_t i = 0; *name && i < x->n_rows; i++)
		if (!strcmp(x->rows[i].vm, name))
			return &x->rows[i];
	return NULL;
}

/* Registered VMs whose name matches; NULL: all. */
static int add_registered(struct vmm *m, struct targets *x, const char *pattern, size_t *found)
{
	struct target *t;
	int r = 0;

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < m->n && !r; i++) {
		const struct vm *vm = m->vms[i];

		if (vm_is_store(vm) || (pattern && fnmatch(pattern, vm->row.name, 0)))
			continue;
		t = add(x, vm->id, vm->row.name);
		if (t) {
			t->encrypted = t->known = true;
			t->was = MIGRATION_REQUIRED;
			(*found)++;
		} else {
			r = VMC_ENOMEM;
		}
	}
	pthread_mutex_unlock(&m->lock);
	return r;
}

static int add_rows(struct targets *x, const char *pattern, size_t *found)
{
	for (size_t i = 0; i < x->n_rows; i++) {
		const struct inv_policy *row = &x->rows[i];

		if (pattern && fnmatch(pattern, row->name, 0))
			continue;
		if (!add(x, row->vm, row->name))
			return VMC_ENOMEM;
		(*found)++;
	}
	return 0;
}

static int add_many(struct vmm *m, struct targets *x, const char *pattern)
{
	size_t found = 0;
	struct target *t;
	int r;

	r = add_registered(m, x, pattern, &found);
	if (!r)
		r = add_rows(x, pattern, &found);
	if (r || found || !pattern)
		return r;
	t = add(x, pattern, pattern);
	if (!t)
		return VMC_ENOMEM;
	vmc_fail(&t->err, VMC_ENOENT, "no VM that is known here is called '%s'", pattern);
	vmc_hint(&t->err, "'vmcrypt vm policies' lists those that a pattern is compared with; others are to be named whole");
	return 0;
}

static bool name_ok(const char *name)
{
	size_t n = strlen(name);

	for (const char *s = name; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f || *s == '/')
			return false;
	return n && n < sizeof(((struct inv_policy *)0)->name);
}

static int add_one(struct vmm *m, struct targets *x, const char *ref)
{
	struct vmc_error err = VMC_ERROR_INIT;
	char id[VMC_UUID_STR];
	struct target *t;
	int r;

	r = vmm_resolve(m, ref, id, &err);
	t = add(x, r ? ref : id, ref);
	if (!t)
		return VMC_ENOMEM;
	if (!r) {
		t->encrypted = t->known = true;
		t->was = MIGRATION_REQUIRED;
	} else if (r != VMC_ENOENT) {
		t->err = err;
	} else if (!name_ok(ref)) {
		vmc_fail(&t->err, VMC_EINVAL, "'%.80s' is no name of a VM", ref);
	}
	return 0;
}

static int gather(struct vmm *m, struct targets *x, const struct vmm_policy_set *s, struct vmc_error *err)
{
	int r;

	r = inventory_policies(m->inv, &x->rows, &x->n_rows, err);
	if (r)
		return r;
	if (!s->n)
		r = add_many(m, x, NULL);
	for (size_t i = 0; i < s->n && !r; i++)
		r = strpbrk(s->vms[i], "*?[") ? add_many(m, x, s->vms[i]) : add_one(m, x, s->vms[i]);
	return r ? vmc_fail(err, r, "out of memory") : 0;
}

static int refuse_encrypted(const struct target *t, struct vmc_error *err)
{
	vmc_fail(err, VMC_EREFUSED, "VM '%s' is encrypted, so its migrations are always encrypted", t->name);
	vmc_hint(err, "the policy of an encrypted VM is 'required'");
	return VMC_EREFUSED;
}

static int refuse_on(const struct target *t, const struct vmm_policy_set *s, struct vmc_error *err)
{
	vmc_fail(err, VMC_ESTATE, "VM '%s' is on, and its policy is changed when it is off", t->name);
	if (s->policy > t->was)
		vmc_hint(err, "--live makes it stricter at once");
	else
		vmc_hint(err, "power it off first: while it is on, --live makes it stricter but not laxer");
	return VMC_ESTATE;
}

/* Who it is and how it stands, from whoever runs it. */
static int identify(struct target *t, const struct targets *x, const struct vmm_policy_set *s, bool *on,
		    struct vmc_error *err)
{
	struct vmm_guest g = { 0 };
	const struct inv_policy *row;
	int r = s->guest(t->vm, &g, err);

	if (r)
		return r;
	*on = g.on;
	t->known = g.known;
	if (g.known && g.id[0])
		snprintf(t->vm, sizeof(t->vm), "%s", g.id);
	if (g.known && g.name[0])
		snprintf(t->name, sizeof(t->name), "%s", g.name);
	row = find_row(x, t->vm, t->name);
	t->has_row = row;
	if (!row)
		return 0;
	t->was = row->migration;
	if (!g.known)
		snprintf(t->name, sizeof(t->name), "%s", row->name);
	return 0;
}

/* By its UUID from now on, where that is known; what was kept by its name goes. */
static int write_row(struct vmm *m, const struct target *t, enum migration_encryption policy, struct vmc_error *err)
{
	struct inv_policy row = { .migration = policy };
	int r;

	memcpy(row.vm, t->vm, sizeof(row.vm));
	memcpy(row.name, t->name, sizeof(row.name));
	r = inventory_begin(m->inv, err);
	if (r)
		return r;
	if (strcmp(t->vm, t->name))
		r = inventory_policy_del(m->inv, t->name, err);
	if (!r)
		r = policy == MIGRATION_DEFAULT ? inventory_policy_del(m->inv, t->vm, err) :
			inventory_policy_put(m->inv, &row, err);
	if (!r)
		return inventory_commit(m->inv, err);
	inventory_rollback(m->inv);
	return r;
}

static int set_one(struct vmm *m, struct target *t, const struct targets *x, const struct vmm_policy_set *s,
		   struct vmc_error *err)
{
	bool on = false;
	int r;

	if (t->err.code)
		return t->err.code;
	if (t->encrypted)
		return s->policy == MIGRATION_REQUIRED ? 0 : refuse_encrypted(t, err);
	r = identify(t, x, s, &on, err);
	if (r || s->policy == t->was)
		return r;
	if (on && !(s->live && s->policy > t->was))
		return refuse_on(t, s, err);
	r = write_row(m, t, s->policy, err);
	if (r)
		return r;
	vmm_emit(m, VMM_EV_POLICY_CHANGED, VMC_MSG_POLICY_CHANGED, NULL,
		 json_pack("{s:s, s:s, s:s, s:s}", "vm", t->vm, "name", t->name, "was", migration_encryption_name(t->was),
			   "migration", migration_encryption_name(s->policy)),
		 "The encryption of migrations of VM '%s' is '%s' from now on; it was '%s'", t->name,
		 migration_encryption_name(s->policy), migration_encryption_name(t->was));
	return 0;
}

static json_t *result(const struct target *t)
{
	json_t *o = json_pack("{s:s, s:s, s:b, s:b, s:s}", "vm", t->vm, "name", t->name, "ok", !t->err.code, "known",
			      t->known, "was", migration_encryption_name(t->was));

	if (o && t->err.code)
		json_set_error(o, &t->err);
	return o;
}

int vmm_set_policy(struct vmm *m, const struct vmm_policy_set *s, json_t **out, struct vmc_error *err)
{
	json_t *results = json_array();
	struct targets x = { 0 };
	int r;

	r = gather(m, &x, s, err);
	for (size_t i = 0; i < x.n && !r; i++) {
		set_one(m, &x.t[i], &x, s, &x.t[i].err);
		json_array_append_new(results, result(&x.t[i]));
	}
	free(x.t);
	free(x.rows);
	if (r) {
		json_decref(results);
		return r;
	}
	*out = json_pack("{s:o}", "results", results);
	return *out ? 0 : vmc_fail(err, VMC_ENOMEM, "out of memory");
}

int vmm_get_policy(struct vmm *m, const char *id, const char *name, enum migration_encryption *policy,
		   bool *encrypted, struct vmc_error *err)
{
	const struct inv_policy *row;
	struct targets x = { 0 };
	char there[VMC_UUID_STR];
	int r;

	*encrypted = (*id && !vmm_resolve(m, id, there, NULL)) || (!*id && *name && !vmm_resolve(m, name, there, NULL));
	*policy = MIGRATION_REQUIRED;
	if (*encrypted)
		return 0;
	r = inventory_policies(m->inv, &x.rows, &x.n_rows, err);
	if (r)
		return r;
	row = find_row(&x, id, name);
	*policy = row ? row->migration : MIGRATION_DEFAULT;
	free(x.rows);
	return 0;
}

json_t *vmm_policies(struct vmm *m, struct vmc_error *err)
{
	json_t *list = json_array();
	struct targets x = { 0 };
	int r;

	r = inventory_policies(m->inv, &x.rows, &x.n_rows, err);
	if (!r && add_many(m, &x, NULL))
		r = vmc_fail(err, VMC_ENOMEM, "out of memory");
	for (size_t i = 0; i < x.n && !r; i++) {
		const struct inv_policy *row = find_row(&x, x.t[i].vm, "");
		enum migration_encryption p = x.t[i].encrypted ? MIGRATION_REQUIRED : row->migration;

		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:b}", "vm", x.t[i].vm, "name", x.t[i].name, "migration",
						      migration_encryption_name(p), "encrypted", x.t[i].encrypted));
	}
	free(x.t);
	free(x.rows);
	if (!r)
		return list;
	json_decref(list);
	return NULL;
}
