// SPDX-License-Identifier: GPL-2.0-or-later
/* Keys are brought to this host only for those who may do that. */
#include "gate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../vm/datastore.h"
#include "auth.h"

#define NAMED_MAX 3	/* keys named in a refusal */

struct missing {
	const char *keys[NAMED_MAX];
	size_t n;
};

static void add_volume(struct missing *m, const json_t *volume)
{
	const char *key = json_string_value(json_object_get(volume, "key"));

	if (!key || json_is_true(json_object_get(volume, "cached")))
		return;
	for (size_t i = 0; i < m->n && i < NAMED_MAX; i++)
		if (!strcmp(m->keys[i], key))
			return;
	if (m->n < NAMED_MAX)
		m->keys[m->n] = key;
	m->n++;
}

char *gate_lacks(const json_t *vm)
{
	const char *state = json_string_value(json_object_get(vm, "crypto_state"));
	struct missing m = { .n = 0 };
	const json_t *disk;
	char *text = NULL;
	size_t len, i;
	FILE *f;

	add_volume(&m, vm);	/* a datastore has the fields of its one volume */
	add_volume(&m, json_object_get(vm, "home"));
	json_array_foreach(json_object_get(vm, "disks"), i, disk)
		add_volume(&m, disk);
	/* One that was locked by hand may have its keys in the cache, for others. */
	if (!m.n && (!state || strcmp(state, "locked")))
		return NULL;
	f = open_memstream(&text, &len);
	if (!f)
		return NULL;
	if (!m.n)
		fputs(_("it is locked"), f);
	for (i = 0; i < m.n && i < NAMED_MAX; i++)
		fprintf(f, "%s'%s'", i ? ", " : _("not on this host: "), m.keys[i]);
	if (m.n > NAMED_MAX)
		fputs(" ...", f);
	if (!fclose(f))
		return text;
	free(text);
	return NULL;
}

/* In a worker. */
static void look(struct pool_task *t)
{
	struct call *c = (struct call *)t;
	struct vmm *m = c->api->backend->m;
	json_t *vm = c->vm[0] ? vmm_show(m, c->vm, &c->err) : vmm_datastore_show(m, c->s[0], &c->err);

	c->lacks = vm ? gate_lacks(vm) : NULL;
	json_decref(vm);
}

static void on_answer(void *data, const struct vmc_error *err)
{
	struct call *c = data;

	if (!err) {
		c->gate = GATE_NONE;
		call_go(c);
		return;
	}
	c->err = *err;
	vmc_prefix(&c->err, c->vm[0] ? N_("VM %s cannot be had with the keys at hand (%s): ") :
		   N_("datastore '%s' cannot be had with the keys at hand (%s): "), c->vm[0] ? c->vm : c->s[0], c->lacks);
	vmc_hint(&c->err, c->vm[0] ?
		 N_("have somebody who may register VMs type 'vmcrypt vm unlock %s', then try again") :
		 N_("have somebody who may register VMs type 'vmcrypt datastore unlock %s', then try again"),
		 c->vm[0] ? c->vm : c->s[0]);
	call_refuse(c);
}

static void looked(struct pool_task *t, bool ran)
{
	struct call *c = (struct call *)t;
	struct api *a = c->api;

	a->long_users -= !!c->job;
	a->users--;
	if (!ran) {
		call_go(c);	/* the daemon stops: it says so */
	} else if (c->err.code) {
		call_refuse(c);
	} else if (c->lacks) {
		auth_ask(a->auth, c->msg, GATE_ACTION, on_answer, c);
	} else {
		c->gate = GATE_SHUT;
		call_go(c);
	}
	if (a->ended)
		a->ended(a, a->hook_data);
}

int gate_look(struct call *c, struct vmc_error *err)
{
	int rc;

	c->task.run = look;
	c->task.done = looked;
	rc = pool_submit(c->api->pools[POOL_READ], &c->task, err);
	if (rc)
		return rc;
	c->api->users++;
	c->api->long_users += !!c->job;
	return 0;
}
