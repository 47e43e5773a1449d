// SPDX-License-Identifier: GPL-2.0-or-later
/* Which host attested last as what: so that no image is removed that a host still needs. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/fs.h"
#include "../../lib/log.h"
#include "../../lib/util.h"
#include "admin_priv.h"

#define FILE_NAME	"attested.json"
#define FILE_MAX	(8u << 20)
#define HOSTS_MAX	16384u
#define QUICK_MAX	64u	/* hosts that are named */

struct attested {
	char path[PATH_MAX];
	pthread_mutex_t lock;
	json_t *hosts;		/* EK: [host, image, quick_boot, time] */
	uint64_t written;	/* ms */
};

/* One that cannot be read costs memories, no rights: begin anew. */
static json_t *load(const char *path)
{
	struct vmc_error err = VMC_ERROR_INIT;
	char *text;
	json_t *o;
	size_t n;
	int rc = fs_read(path, FILE_MAX, &text, &n, &err);

	if (rc) {
		if (rc != VMC_ENOENT)
			log_warn("%s", err.text);
		return json_object();
	}
	o = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	if (json_is_object(o) && json_object_size(o) <= HOSTS_MAX)
		return o;
	log_warn("'%s' is not what it was written as; who attested when is learned anew", path);
	json_decref(o);
	return json_object();
}

int attested_open(struct attested **ret, const char *dir, struct vmc_error *err)
{
	struct attested *t = calloc(1, sizeof(*t));

	if (t) {
		snprintf(t->path, sizeof(t->path), "%s/" FILE_NAME, dir);
		pthread_mutex_init(&t->lock, NULL);
		t->hosts = load(t->path);
	}
	if (!t || !t->hosts) {
		free(t);
		return vmc_fail(err, VMC_ENOMEM, "no memory for the hosts that attested");
	}
	*ret = t;
	return 0;
}

static void save(struct attested *t)
{
	struct vmc_error err = VMC_ERROR_INIT;
	char *text = json_dumps(t->hosts, JSON_COMPACT);

	t->written = vmc_now_ms();
	if (!text || fs_replace(t->path, text, strlen(text), 0600, &err))
		log_warn("it is not kept which hosts attested: %s", text ? err.text : "no memory");
	free(text);
}

void attested_close(struct attested *t)
{
	if (!t)
		return;
	if (t->written)
		save(t);
	json_decref(t->hosts);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void attested_note(struct attested *t, const char *ek, const char *host, const char *image, bool quick_boot)
{
	json_t *e = json_pack("[s, s, b, I]", host, image, (int)quick_boot, (json_int_t)vmc_time());

	if (!e)
		return;
	pthread_mutex_lock(&t->lock);
	if (json_object_size(t->hosts) >= HOSTS_MAX && !json_object_get(t->hosts, ek))
		json_object_del(t->hosts, json_object_iter_key(json_object_iter(t->hosts)));
	json_object_set_new(t->hosts, ek, e);
	if (!t->written || vmc_now_ms() - t->written >= TRUST_ATTESTED_SECONDS * 1000ull)
		save(t);
	pthread_mutex_unlock(&t->lock);
}

static void count(json_t *images, const json_t *e)
{
	const char *host, *id;
	json_t *o, *quick;
	json_int_t when;
	int q;

	if (json_unpack((json_t *)e, "[s, s, b, I]", &host, &id, &q, &when))
		return;
	o = json_object_get(images, id);
	if (!o) {
		o = json_pack("{s:i, s:s, s:i, s:[]}", "last", 0, "host", "", "hosts", 0, "quick_boot");
		if (json_object_set_new(images, id, o))
			return;
	}
	json_object_set_new(o, "hosts", json_integer(json_integer_value(json_object_get(o, "hosts")) + 1));
	if (when >= json_integer_value(json_object_get(o, "last"))) {
		json_object_set_new(o, "last", json_integer(when));
		json_object_set_new(o, "host", json_string(host));
	}
	quick = json_object_get(o, "quick_boot");
	if (q && json_array_size(quick) < QUICK_MAX)
		json_array_append_new(quick, json_string(host));
}

json_t *attested_images(struct attested *t)
{
	json_t *images = json_object(), *e;
	const char *ek;

	pthread_mutex_lock(&t->lock);
	json_object_foreach(t->hosts, ek, e)
		count(images, e);
	pthread_mutex_unlock(&t->lock);
	return images;
}
