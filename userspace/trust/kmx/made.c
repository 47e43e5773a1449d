// SPDX-License-Identifier: GPL-2.0-or-later
/* The last key of each provider. See made.h. */
#include "made.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/fs.h"
#include "../../lib/log.h"

struct made {
	char dir[PATH_MAX - PROVIDER_NAME_MAX - 2];
	pthread_mutex_t lock;		/* the files */
};

struct made *made_new(const char *dir)
{
	struct made *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	snprintf(m->dir, sizeof(m->dir), "%s", dir);
	pthread_mutex_init(&m->lock, NULL);
	return m;
}

void made_free(struct made *m)
{
	if (!m)
		return;
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static void path_of(const struct made *m, const char *provider, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s", m->dir, provider);
}

void made_set(struct made *m, const char *provider, const char *id)
{
	struct vmc_error err = VMC_ERROR_INIT;
	char path[PATH_MAX];
	int rc;

	path_of(m, provider, path);
	pthread_mutex_lock(&m->lock);
	rc = fs_mkdirs(m->dir, 0700, &err);
	if (!rc)
		rc = fs_replace(path, id, strlen(id), 0600, &err);
	pthread_mutex_unlock(&m->lock);
	if (rc)
		log_warn("which key of key provider '%s' is the last is not kept: %s", provider, err.text);
}

/* Under the lock. */
static bool load(struct made *m, const char *provider, char id[PROVIDER_KEY_ID_MAX + 1])
{
	char path[PATH_MAX], *text;
	size_t n;

	path_of(m, provider, path);
	if (fs_read(path, PROVIDER_KEY_ID_MAX, &text, &n, NULL))
		return false;
	snprintf(id, PROVIDER_KEY_ID_MAX + 1, "%s", text);
	free(text);
	return *id;
}

bool made_get(struct made *m, const char *provider, char id[PROVIDER_KEY_ID_MAX + 1])
{
	bool known;

	pthread_mutex_lock(&m->lock);
	known = load(m, provider, id);
	pthread_mutex_unlock(&m->lock);
	return known;
}

void made_forget(struct made *m, const char *provider, const char *id)
{
	char have[PROVIDER_KEY_ID_MAX + 1], path[PATH_MAX];
	struct vmc_error err = VMC_ERROR_INIT;
	int rc = 0;

	path_of(m, provider, path);
	pthread_mutex_lock(&m->lock);
	if (load(m, provider, have) && !strcmp(have, id))
		rc = fs_unlink(path, &err);
	pthread_mutex_unlock(&m->lock);
	if (rc)
		log_warn("a key of key provider '%s' that is gone is not forgotten: %s", provider, err.text);
}
