// SPDX-License-Identifier: GPL-2.0-or-later
/* Alarms run what the administrator wants run. */
#include "hooks.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../api/event_api.h"
#include "../lib/events.h"
#include "../lib/log.h"
#include "../lib/util.h"
#include "hook_run.h"

#define WAITING_MAX	256	/* alarms that wait for a hook */
#define PROGRAMS_MAX	32	/* in the folder */
#define ENV_MAX		24

struct hooks {
	struct api *api;
	struct pool *pool;
	int cancel;
	char dir[256];
	unsigned int timeout;
};

struct run {
	struct pool_task task;	/* first */
	struct hooks *hooks;
	char dir[256];
	unsigned int timeout;
	char *state, *alarm;
};

/* ---- the environment -------------------------------------------------- */

struct env {
	char *v[ENV_MAX + 1];
	size_t n;
};

static void env_add(struct env *e, const char *name, const char *value)
{
	char *text;

	if (e->n == ENV_MAX || asprintf(&text, "%s=%s", name, value ? value : "") < 0)
		return;
	e->v[e->n++] = text;
	e->v[e->n] = NULL;
}

static void env_clear(struct env *e)
{
	while (e->n)
		free(e->v[--e->n]);
}

/* Ids with a space between them; a key is a string, or an object with an id. */
static void env_add_keys(struct env *e, const json_t *keys)
{
	char *text = NULL;
	const json_t *key;
	size_t len, i;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return;
	json_array_foreach(keys, i, key) {
		const char *id = json_string_value(json_is_string(key) ? key : json_object_get(key, "id"));

		fprintf(f, "%s%s", i ? " " : "", id ? id : "?");
	}
	if (!fclose(f))
		env_add(e, "VMCRYPT_ALARM_KEYS", text);
	free(text);
}

static void env_of(struct env *e, const char *state, const json_t *alarm)
{
	static const char *const members[][2] = {
		{ "ID", "id" }, { "TYPE", "type" }, { "SEVERITY", "severity" }, { "CAUSE", "cause" },
		{ "TEXT", "text" }, { "REMEDY", "remedy" }, { "RAISED", "raised" }, { "CLEARED", "cleared" },
		{ "ACKNOWLEDGED", "acknowledged" }, { "ACKNOWLEDGED_BY", "acknowledged_by" },
	};
	const json_t *entity = json_object_get(alarm, "entity");
	char name[64];

	e->n = 0;
	env_add(e, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	env_add(e, "LC_ALL", "C.UTF-8");
	env_add(e, "HOME", "/");
	env_add(e, "VMCRYPT_ALARM_STATE", state);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const json_t *v = json_object_get(alarm, members[i][1]);
		char *text = json_is_string(v) || !v || json_is_null(v) ? NULL : json_dumps(v, JSON_ENCODE_ANY);

		snprintf(name, sizeof(name), "VMCRYPT_ALARM_%s", members[i][0]);
		env_add(e, name, text ? text : json_string_value(v));
		free(text);
	}
	env_add(e, "VMCRYPT_ALARM_ENTITY_KIND", json_string_value(json_object_get(entity, "kind")));
	env_add(e, "VMCRYPT_ALARM_ENTITY_ID", json_string_value(json_object_get(entity, "id")));
	env_add(e, "VMCRYPT_ALARM_ENTITY_NAME", json_string_value(json_object_get(entity, "name")));
	env_add_keys(e, json_object_get(alarm, "keys"));
}

/* ---- running, in the worker ------------------------------------------- */

static void tell_failure(struct run *r, const json_t *alarm, const char *path, const struct vmc_error *err)
{
	const json_t *entity = json_object_get(alarm, "entity");
	const char *kind = json_string_value(json_object_get(entity, "kind"));
	const char *id = json_string_value(json_object_get(entity, "id"));
	json_t *d = json_pack("{s:s, s:O?, s:s, s:s}", "hook", path, "alarm", json_object_get(alarm, "id"),
			      "state", r->state, "hint", err->hint);
	bool vm = kind && id && !strcmp(kind, "vm") && strlen(id) == VMC_UUID_STR - 1;

	event_tell(r->hooks->api, "hook-failed", VMC_MSG_HOOK_FAILED, vm ? id : NULL, d, "%s", err->text);
	json_decref(d);
}

static void run_program(struct run *r, const json_t *alarm, struct env *env, const char *path)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct hook_run h = {
		.path = path, .env = env->v, .input = r->alarm, .deadline_ms = r->timeout * 1000,
		.cancel_fd = r->hooks->cancel,
	};

	if (hook_check(path, &err) || hook_run(&h, &err))
		tell_failure(r, alarm, path, &err);
}

/* As run-parts(8): no backups and no leftovers of packages. */
static int is_program(const struct dirent *d)
{
	return d->d_name[0] && strspn(d->d_name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
	       strlen(d->d_name);
}

static void run_folder(struct run *r, const json_t *alarm, struct env *env, const char *dir)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct dirent **names = NULL;
	char path[640];
	int n = scandir(dir, &names, is_program, alphasort);

	if (n < 0) {
		vmc_fail_errno(&err, errno, "cannot list the hooks in '%s'", dir);
		tell_failure(r, alarm, dir, &err);
		return;
	}
	for (int i = 0; i < n; i++) {
		if (i < PROGRAMS_MAX) {
			snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
			run_program(r, alarm, env, path);
		}
		free(names[i]);
	}
	free(names);
	if (n <= PROGRAMS_MAX)
		return;
	vmc_fail(&err, VMC_EINVAL, "'%s' holds %d hooks, only the first %d were run", dir, n, PROGRAMS_MAX);
	tell_failure(r, alarm, dir, &err);
}

static void run_alarm(struct run *r, const json_t *alarm, const char *path, bool folder)
{
	struct env env;

	env_of(&env, r->state, alarm);
	if (folder)
		run_folder(r, alarm, &env, path);
	else
		run_program(r, alarm, &env, path);
	env_clear(&env);
}

static void run(struct pool_task *t)
{
	struct run *r = (struct run *)t;
	struct vmc_error err = VMC_ERROR_INIT;
	char dir[280], path[320];
	struct stat st;
	json_t *alarm;

	snprintf(dir, sizeof(dir), "%s/hooks", r->dir);
	snprintf(path, sizeof(path), "%s/on-alarm", dir);
	if (stat(path, &st) && (errno == ENOENT || errno == ENOTDIR))
		return;		/* nothing is wanted */
	alarm = json_loads(r->alarm, 0, NULL);
	/* Whoever can write the folders can put there what is run. */
	if (hook_check(dir, &err) || hook_check(path, &err))
		tell_failure(r, alarm, path, &err);
	else
		run_alarm(r, alarm, path, S_ISDIR(st.st_mode));
	json_decref(alarm);
}

/* ---- in the loop ------------------------------------------------------ */

static void run_free(struct run *r)
{
	free(r->state);
	free(r->alarm);
	free(r);
}

static void done(struct pool_task *t, bool ran)
{
	struct run *r = (struct run *)t;
	struct api *a = r->hooks->api;

	(void)ran;
	run_free(r);
	if (a->ended)
		a->ended(a, a->hook_data);
}

void hooks_alarm(struct hooks *h, const char *state, const char *alarm)
{
	struct run *r = calloc(1, sizeof(*r));
	struct vmc_error err = VMC_ERROR_INIT;

	if (!r)
		return;
	r->task.run = run;
	r->task.done = done;
	r->hooks = h;
	memcpy(r->dir, h->dir, sizeof(r->dir));
	r->timeout = h->timeout;
	r->state = strdup(state);
	r->alarm = strdup(alarm);
	if (r->state && r->alarm && !pool_submit(h->pool, &r->task, &err))
		return;
	if (err.code != VMC_ECANCELED)
		log_warn("no hook hears that an alarm was %s: %s", state, err.text);
	run_free(r);
}

void hooks_configure(struct hooks *h, const struct vmc_config *cfg)
{
	snprintf(h->dir, sizeof(h->dir), "%s", cfg->config_dir);
	h->timeout = cfg->hook_timeout;
}

void hooks_stop(struct hooks *h)
{
	eventfd_write(h->cancel, 1);
	pool_close(h->pool);
}

bool hooks_idle(const struct hooks *h)
{
	return pool_idle(h->pool);
}

int hooks_new(struct hooks **ret, struct api *a, struct vmc_error *err)
{
	struct hooks *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return vmc_fail(err, VMC_ENOMEM, "no memory for hooks");
	h->api = a;
	h->cancel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = h->cancel < 0 ? vmc_fail_errno(err, errno, "cannot make an eventfd for hooks") :
	     pool_new(&h->pool, "hook", 1, WAITING_MAX, a->box, err);
	if (rc) {
		hooks_free(h);
		return rc;
	}
	*ret = h;
	return 0;
}

void hooks_free(struct hooks *h)
{
	if (!h)
		return;
	pool_free(h->pool);
	if (h->cancel >= 0)
		close(h->cancel);
	free(h);
}
