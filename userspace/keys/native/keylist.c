// SPDX-License-Identifier: GPL-2.0-or-later
/* keys.json of a native provider. See keylist.h. */
#include "keylist.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/fs.h"

#define VERSION 1

static bool id_ok(const char *id)
{
	return strlen(id) == NATIVE_ID_LEN && strspn(id, "0123456789abcdef") == 32 && id[32] == '-' &&
	       strspn(id + 33, "0123456789abcdef") == 16;
}

/* Text of @o's member @key, copied to @out of @size bytes; absent gives "". */
static bool text(const json_t *o, const char *key, char *out, size_t size)
{
	const json_t *v = json_object_get(o, key);

	out[0] = '\0';
	if (!v)
		return true;
	if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v) ||
	    json_string_length(v) >= size)
		return false;
	memcpy(out, json_string_value(v), json_string_length(v) + 1);
	for (const char *p = out; *p; p++)
		if (*p < ' ' || *p > '~')
			return false;
	return true;
}

static bool known_members(const json_t *o)
{
	static const char *const members[] = { "id", "label", "created", "destroyed" };
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		n += !!json_object_get(o, members[i]);
	return n == json_object_size(o);
}

static int parse_key(const json_t *o, struct native_key *k, size_t i, struct vmc_error *err)
{
	if (json_is_object(o) && known_members(o) && text(o, "id", k->id, sizeof(k->id)) && id_ok(k->id) &&
	    text(o, "label", k->label, sizeof(k->label)) &&
	    text(o, "created", k->created, sizeof(k->created)) &&
	    text(o, "destroyed", k->destroyed, sizeof(k->destroyed)))
		return 0;
	return vmc_fail(err, VMC_EINVAL, "key %zu of the list is not as it must be", i + 1);
}

static int parse_keys(const json_t *keys, struct keylist *l, struct vmc_error *err)
{
	size_t i, n = json_array_size(keys);
	const json_t *o;
	int rc;

	if (!json_is_array(keys) || n > KEYLIST_KEYS_MAX)
		return vmc_fail(err, VMC_EINVAL, "the list has no array 'keys' of at most %d", KEYLIST_KEYS_MAX);
	l->k = calloc(n ? n : 1, sizeof(*l->k));
	if (!l->k)
		return vmc_fail(err, VMC_ENOMEM, "no memory for %zu keys", n);
	l->room = n;
	json_array_foreach(keys, i, o) {
		rc = parse_key(o, &l->k[i], i, err);
		if (rc)
			return rc;
		if (i && strcmp(l->k[i - 1].id, l->k[i].id) >= 0)
			return vmc_fail(err, VMC_EINVAL, "key %zu of the list is out of order", i + 1);
		l->n++;
	}
	return 0;
}

int keylist_parse(const char *data, size_t len, struct keylist *l, struct vmc_error *err)
{
	json_error_t je;
	json_t *o;
	int rc;

	memset(l, 0, sizeof(*l));
	if (len > KEYLIST_SIZE_MAX)
		return vmc_fail(err, VMC_EINVAL, "a list of keys has at most %u bytes", KEYLIST_SIZE_MAX);
	o = json_loadb(data, len, JSON_REJECT_DUPLICATES, &je);
	if (!o)
		return vmc_fail(err, VMC_EINVAL, "the list of keys is not JSON: %s at byte %d", je.text,
				je.position);
	if (json_object_size(o) != 2 || json_integer_value(json_object_get(o, "version")) != VERSION)
		rc = vmc_fail(err, VMC_EINVAL, "the list of keys is not of version %d", VERSION);
	else
		rc = parse_keys(json_object_get(o, "keys"), l, err);
	json_decref(o);
	if (rc)
		keylist_clear(l);
	return rc;
}

static json_t *key_json(const struct native_key *k)
{
	json_t *o = json_pack("{s:s, s:s, s:s}", "id", k->id, "label", k->label, "created", k->created);

	if (o && k->destroyed[0])
		json_object_set_new(o, "destroyed", json_string(k->destroyed));
	return o;
}

char *keylist_format(const struct keylist *l)
{
	json_t *keys = json_array(), *o;
	char *data = NULL;
	int bad = 0;

	for (size_t i = 0; i < l->n; i++)
		bad |= json_array_append_new(keys, key_json(&l->k[i]));
	o = json_pack("{s:i, s:o}", "version", VERSION, "keys", keys);
	if (o && !bad)
		data = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return data;
}

void keylist_clear(struct keylist *l)
{
	free(l->k);
	memset(l, 0, sizeof(*l));
}

static int by_id(const void *id, const void *k)
{
	return strcmp(id, ((const struct native_key *)k)->id);
}

struct native_key *keylist_find(const struct keylist *l, const char *id)
{
	return l->n ? bsearch(id, l->k, l->n, sizeof(*l->k), by_id) : NULL;
}

static int grow(struct keylist *l, struct vmc_error *err)
{
	size_t room = l->room ? 2 * l->room : 64;
	struct native_key *more;

	if (l->n < l->room)
		return 0;
	if (l->n >= KEYLIST_KEYS_MAX)
		return vmc_fail(err, VMC_ENOSPC, "a native provider gives out at most %d keys on one host",
				KEYLIST_KEYS_MAX);
	more = realloc(l->k, room * sizeof(*more));
	if (!more)
		return vmc_fail(err, VMC_ENOMEM, "no memory for %zu keys", room);
	l->k = more;
	l->room = room;
	return 0;
}

int keylist_add(struct keylist *l, const char *id, const char *label, struct vmc_error *err)
{
	struct native_key *k;
	size_t i = 0;
	int rc;

	if (keylist_find(l, id))
		return vmc_fail(err, VMC_EEXIST, "key '%s' is in the list already", id);
	rc = grow(l, err);
	if (rc)
		return rc;
	while (i < l->n && strcmp(l->k[i].id, id) < 0)
		i++;
	memmove(&l->k[i + 1], &l->k[i], (l->n - i) * sizeof(*l->k));
	l->n++;
	k = &l->k[i];
	memset(k, 0, sizeof(*k));
	snprintf(k->id, sizeof(k->id), "%s", id);
	snprintf(k->label, sizeof(k->label), "%s", label ? label : "");
	for (char *p = k->label; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	vmc_time_format(vmc_time(), k->created);
	return 0;
}

int keylist_read(const char *dir, struct keylist *l, struct vmc_error *err)
{
	char path[PATH_MAX], *data;
	size_t len;
	int rc;

	memset(l, 0, sizeof(*l));
	snprintf(path, sizeof(path), "%s/%s", dir, KEYLIST_FILE);
	rc = fs_read(path, KEYLIST_SIZE_MAX, &data, &len, err);
	if (!rc) {
		rc = keylist_parse(data, len, l, err);
		free(data);
		if (rc)
			vmc_prefix(err, "%s: ", path);
	}
	if (rc)
		vmc_hint(err, "it says which keys were destroyed, so nothing is derived without it: put '%s' back from a copy of this host's files",
			 path);
	return rc;
}

int keylist_write(const char *dir, const struct keylist *l, struct vmc_error *err)
{
	char path[PATH_MAX], *data = keylist_format(l);
	int rc;

	if (!data)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a list of %zu keys", l->n);
	snprintf(path, sizeof(path), "%s/%s", dir, KEYLIST_FILE);
	rc = fs_replace(path, data, strlen(data), 0600, err);
	free(data);
	return rc;
}
