// SPDX-License-Identifier: GPL-2.0-or-later
#include "bundle.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "../keys/provider.h"
#include "../kernel/dm.h"
#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "../lib/message.h"
#include "wrap.h"

#define FORMAT_NAME "vmcrypt-bundle"

bool bundle_volume_name_ok(const char *name)
{
	return vmc_name_ok(name, VMK_VOLUME_MAX);
}

static bool printable(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

/* Neither empty, nor a way out of the folder, nor anything to normalise. */
static bool path_ok(const char *s)
{
	size_t n = strlen(s);
	const char *p = s;

	if (!n || n >= BUNDLE_PATH_MAX || !printable(s) || s[n - 1] == '/')
		return false;
	if (*p == '/')
		p++;
	while (p) {
		size_t c = strcspn(p, "/");

		if (!c || (c == 1 && p[0] == '.') || (c == 2 && !strncmp(p, "..", 2)))
			return false;
		p = p[c] ? p + c + 1 : NULL;
	}
	return true;
}

/* "provider/key-id", with a provider's name that could be one and a key id */
static bool kek_id_ok(const char *s)
{
	const char *slash = strchr(s, '/');
	char name[PROVIDER_NAME_MAX + 1];
	size_t n;

	if (!slash || !slash[1] || strlen(s) > VMK_KEK_ID_MAX || !printable(s))
		return false;
	n = (size_t)(slash - s);
	if (n > PROVIDER_NAME_MAX || strlen(slash + 1) > PROVIDER_KEY_ID_MAX)
		return false;
	memcpy(name, s, n);
	name[n] = '\0';
	return vmc_name_ok(name, PROVIDER_NAME_MAX);
}

static int bad(struct vmc_error *err, const char *what)
{
	return vmc_fail(err, VMC_EINVAL, "bundle: %s", message_say(what));
}

static int get_string(const json_t *o, const char *key, char *out, size_t size, struct vmc_error *err)
{
	const json_t *j = json_object_get(o, key);
	size_t n;

	if (!json_is_string(j))
		return vmc_fail(err, VMC_EINVAL, "bundle: \"%s\" is missing or no string", key);
	n = json_string_length(j);
	if (n >= size || strlen(json_string_value(j)) != n)
		return vmc_fail(err, VMC_EINVAL, "bundle: \"%s\" is too long", key);
	memcpy(out, json_string_value(j), n + 1);
	return 0;
}

static int get_u64(const json_t *o, const char *key, uint64_t *out, struct vmc_error *err)
{
	const json_t *j = json_object_get(o, key);

	if (!json_is_integer(j) || json_integer_value(j) < 1)
		return vmc_fail(err, VMC_EINVAL, "bundle: \"%s\" is no number from 1", key);
	*out = (uint64_t)json_integer_value(j);
	return 0;
}

static int get_hex(const json_t *o, const char *key, uint8_t *out, size_t n, struct vmc_error *err)
{
	char text[2 * VMK_MAC_LEN + 1];
	size_t got;
	int r;

	r = get_string(o, key, text, sizeof(text), err);
	if (r)
		return r;
	if (vmc_hex_decode(text, out, n, &got) || got != n)
		return vmc_fail(err, VMC_EINVAL, "bundle: \"%s\" is not %zu bytes in hex", key, n);
	return 0;
}

static int get_wrapped(const json_t *o, uint8_t out[VMK_WRAPPED_LEN], struct vmc_error *err)
{
	char text[VMK_WRAPPED_LEN * 2];
	size_t got;
	int r;

	r = get_string(o, "wrapped", text, sizeof(text), err);
	if (r)
		return r;
	if (vmc_base64_decode(text, out, VMK_WRAPPED_LEN, &got) || got != VMK_WRAPPED_LEN)
		return vmc_fail(err, VMC_EINVAL, "bundle: \"wrapped\" is not %d bytes in base64",
				VMK_WRAPPED_LEN);
	return 0;
}

/* Only the form that vmc_uuid_format() gives, so that one text has one meaning. */
static int get_uuid(const json_t *o, const char *key, vmc_uuid *u, struct vmc_error *err)
{
	char text[VMC_UUID_STR], again[VMC_UUID_STR];
	int r;

	r = get_string(o, key, text, sizeof(text), err);
	if (r)
		return r;
	if (vmc_uuid_parse(text, u))
		return vmc_fail(err, VMC_EINVAL, "bundle: \"%s\" is no UUID", key);
	vmc_uuid_format(u, again);
	if (strcmp(text, again))
		return vmc_fail(err, VMC_EINVAL, "bundle: \"%s\" is not written in lower case", key);
	return 0;
}

static bool only_keys(const json_t *o, const char *const *keys, size_t n)
{
	const char *key;
	json_t *value;
	size_t i;

	json_object_foreach((json_t *)o, key, value) {
		for (i = 0; i < n && strcmp(key, keys[i]); i++)
			;
		if (i == n)
			return false;
	}
	return true;
}

static int parse_flags(const json_t *o, uint32_t *flags, struct vmc_error *err)
{
	char csv[256];
	int r;

	r = get_string(o, "dm_flags", csv, sizeof(csv), err);
	return r ? r : dm_flags_parse(csv, flags, err);
}

static int parse_wrap(const json_t *o, struct key_wrap *w, struct vmc_error *err)
{
	int r = get_string(o, "kek", w->kek_id, sizeof(w->kek_id), err);

	if (!r && !kek_id_ok(w->kek_id))
		r = bad(err, N_("a volume's key is not of the form provider/key-id"));
	if (!r)
		r = get_hex(o, "kcv", w->kcv, VMK_KCV_LEN, err);
	return r ? r : get_wrapped(o, w->wrapped, err);
}

static int parse_second(const json_t *o, struct bundle_volume *v, struct vmc_error *err)
{
	static const char *const keys[] = { "kek", "kcv", "wrapped" };
	const json_t *second = json_object_get(o, "second");
	int r;

	if (!second)
		return 0;
	if (!json_is_object(second) || !only_keys(second, keys, ARRAY_SIZE(keys)))
		return bad(err, N_("a volume's second key has unknown fields"));
	r = parse_wrap(second, &v->second, err);
	if (!r && !strcmp(v->second.kek_id, v->kek_id))
		r = bad(err, N_("a volume's second key is its first one"));
	return r;
}

int bundle_volume_parse(const json_t *o, struct bundle_volume *v, struct vmc_error *err)
{
	static const char *const keys[] = {
		"name", "path", "luks_uuid", "kek", "kcv", "wrapped", "generation", "dm_flags", "second",
	};
	struct key_wrap first = { .kek_id = "" };
	vmc_uuid uuid;
	int r;

	if (!json_is_object(o) || !only_keys(o, keys, ARRAY_SIZE(keys)))
		return bad(err, N_("a volume has unknown fields"));
	r = get_string(o, "name", v->name, sizeof(v->name), err);
	if (!r && !bundle_volume_name_ok(v->name))
		r = bad(err, N_("a volume's name has characters that are not allowed"));
	if (!r)
		r = get_string(o, "path", v->path, sizeof(v->path), err);
	if (!r && !path_ok(v->path))
		r = bad(err, N_("a volume's path is not plain"));
	if (!r)
		r = get_uuid(o, "luks_uuid", &uuid, err);
	if (!r)
		vmc_uuid_format(&uuid, v->luks_uuid);
	if (!r)
		r = parse_wrap(o, &first, err);
	if (!r) {
		memset(&v->second, 0, sizeof(v->second));
		v->swapped = false;
		wrap_set_first(v, &first);
		r = parse_second(o, v, err);
	}
	if (!r)
		r = get_u64(o, "generation", &v->generation, err);
	return r ? r : parse_flags(o, &v->flags, err);
}

static int parse_volumes(const json_t *a, struct bundle *b, struct vmc_error *err)
{
	size_t i, n = json_array_size(a);
	int r;

	if (!json_is_array(a) || !n || n > BUNDLE_VOLUMES_MAX)
		return vmc_fail(err, VMC_EINVAL, "bundle: \"volumes\" is no list of 1 to %d",
				BUNDLE_VOLUMES_MAX);
	b->v = calloc(n, sizeof(*b->v));
	if (!b->v)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	for (i = 0; i < n; i++) {
		r = bundle_volume_parse(json_array_get(a, i), &b->v[i], err);
		if (r)
			return r;
		if (bundle_find(b, b->v[i].name))
			return vmc_fail(err, VMC_EINVAL, "bundle: volume '%s' is there twice",
					b->v[i].name);
		b->n++;
	}
	if (bundle_is_datastore(b))
		return b->n == 1 ? 0 : bad(err, N_("a datastore has one volume, and no others"));
	if (strcmp(b->v[0].name, VOLUME_HOME))
		return bad(err, "the first volume is not \"" VOLUME_HOME "\"");
	return 0;
}

static int parse_version(const json_t *o, struct vmc_error *err)
{
	const json_t *version = json_object_get(o, "version");
	const json_t *format = json_object_get(o, "format");

	if (!json_is_string(format) || strcmp(json_string_value(format), FORMAT_NAME))
		return bad(err, "this is no " FORMAT_NAME " file");
	if (!json_is_integer(version) || json_integer_value(version) < BUNDLE_VERSION ||
	    json_integer_value(version) > BUNDLE_VERSION_2) {
		vmc_fail(err, VMC_ENOTSUP, "bundle: format version is not %d or %d", BUNDLE_VERSION,
			 BUNDLE_VERSION_2);
		vmc_hint(err, "Use the release of vmcrypt that wrote it, or a newer one");
		return VMC_ENOTSUP;
	}
	return 0;
}

/* Who knows one wrap only must not read a bundle with two: he would write it back with one. */
static int version_of(const struct bundle *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->v[i].second.kek_id[0])
			return BUNDLE_VERSION_2;
	return BUNDLE_VERSION;
}

static int parse_object(const json_t *o, struct bundle *b, struct vmc_error *err)
{
	static const char *const keys[] = {
		"format", "version", "id", "name", "migration", "serial", "volumes", "mac",
	};
	int r;

	if (!json_is_object(o))
		return bad(err, N_("not a JSON object"));
	r = parse_version(o, err);
	if (!r && !only_keys(o, keys, ARRAY_SIZE(keys)))
		r = bad(err, N_("unknown fields"));
	if (!r)
		r = get_uuid(o, "id", &b->id, err);
	if (!r)
		r = get_string(o, "name", b->name, sizeof(b->name), err);
	if (!r && !vmc_name_ok(b->name, BUNDLE_NAME_MAX))
		r = bad(err, N_("the VM's name has characters that are not allowed"));
	if (!r)
		r = get_string(o, "migration", b->migration, sizeof(b->migration), err);
	if (!r && strcmp(b->migration, "required"))
		r = bad(err, N_("\"migration\" is not \"required\", which an encrypted VM must have"));
	if (!r)
		r = get_u64(o, "serial", &b->serial, err);
	if (!r)
		r = parse_volumes(json_object_get(o, "volumes"), b, err);
	if (!r && json_integer_value(json_object_get(o, "version")) != version_of(b))
		r = bad(err, N_("the version does not go with the number of the keys"));
	if (!r)
		r = get_hex(o, "mac", b->mac, VMK_MAC_LEN, err);
	b->has_mac = !r;
	return r;
}

int bundle_parse(const char *data, size_t len, struct bundle *b, struct vmc_error *err)
{
	json_error_t je;
	json_t *o;
	int r;

	memset(b, 0, sizeof(*b));
	if (len > BUNDLE_SIZE_MAX)
		return vmc_fail(err, VMC_EINVAL, "bundle: more than %d bytes", BUNDLE_SIZE_MAX);
	o = json_loadb(data, len, JSON_REJECT_DUPLICATES, &je);
	if (!o)
		return vmc_fail(err, VMC_EINVAL, "bundle: line %d: %s", je.line, je.text);
	r = parse_object(o, b, err);
	json_decref(o);
	if (r)
		bundle_clear(b);
	return r;
}

static json_t *wrap_json(const struct key_wrap *w)
{
	char kcv[2 * VMK_KCV_LEN + 1], wrapped[VMK_WRAPPED_LEN * 2];

	vmc_hex_encode(w->kcv, VMK_KCV_LEN, kcv);
	vmc_base64_encode(w->wrapped, VMK_WRAPPED_LEN, wrapped);
	return json_pack("{s:s, s:s, s:s}", "kek", w->kek_id, "kcv", kcv, "wrapped", wrapped);
}

json_t *bundle_volume_json(const struct bundle_volume *v)
{
	struct key_wrap first, second;
	json_t *o, *keys;
	char csv[256];
	int failed;

	wrap_in_order(v, &first, &second);
	keys = wrap_json(&first);
	dm_flags_format(v->flags, csv, sizeof(csv));
	o = json_pack("{s:s, s:s, s:s, s:I, s:s}", "name", v->name, "path", v->path, "luks_uuid", v->luks_uuid,
		      "generation", (json_int_t)v->generation, "dm_flags", csv);
	failed = json_object_update(o, keys);
	if (second.kek_id[0])
		failed |= json_object_set_new(o, "second", wrap_json(&second));
	json_decref(keys);
	if (!failed)
		return o;
	json_decref(o);
	return NULL;
}

static json_t *bundle_json(const struct bundle *b)
{
	json_t *volumes = json_array();
	char id[VMC_UUID_STR];
	size_t i;

	for (i = 0; i < b->n; i++)
		if (json_array_append_new(volumes, bundle_volume_json(&b->v[i]))) {
			json_decref(volumes);
			return NULL;
		}
	vmc_uuid_format(&b->id, id);
	return json_pack("{s:s, s:i, s:s, s:s, s:s, s:I, s:o}", "format", FORMAT_NAME,
			 "version", version_of(b), "id", id, "name", b->name,
			 "migration", b->migration, "serial", (json_int_t)b->serial,
			 "volumes", volumes);
}

int bundle_digest(const struct bundle *b, uint8_t digest[BUNDLE_DIGEST_LEN], struct vmc_error *err)
{
	json_t *o = bundle_json(b);
	char *text = o ? json_dumps(o, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
	int ok;

	json_decref(o);
	if (!text)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	ok = EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL);
	free(text);
	return ok ? 0 : vmc_fail(err, VMC_EINTERNAL, "cannot compute SHA-256");
}

char *bundle_format(const struct bundle *b)
{
	char mac[2 * VMK_MAC_LEN + 1], *text = NULL, *out = NULL;
	json_t *o = bundle_json(b);
	size_t n;

	vmc_hex_encode(b->mac, VMK_MAC_LEN, mac);
	if (o && !json_object_set_new(o, "mac", json_string(mac)))
		text = json_dumps(o, JSON_INDENT(2));
	json_decref(o);
	if (!text)
		return NULL;
	n = strlen(text);
	out = realloc(text, n + 2);
	if (!out) {
		free(text);
		return NULL;
	}
	memcpy(out + n, "\n", 2);
	return out;
}

void bundle_clear(struct bundle *b)
{
	free(b->v);
	memset(b, 0, sizeof(*b));
}

int bundle_copy(const struct bundle *b, struct bundle *out, struct vmc_error *err)
{
	*out = *b;
	out->v = calloc(b->n ? b->n : 1, sizeof(*b->v));
	if (!out->v) {
		memset(out, 0, sizeof(*out));
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	}
	if (b->n)	/* none: it could not be read yet */
		memcpy(out->v, b->v, b->n * sizeof(*b->v));
	return 0;
}

bool bundle_is_named(const char *name)
{
	size_t n = strlen(name), end = strlen(BUNDLE_SUFFIX);

	return n > end && !strcmp(name + n - end, BUNDLE_SUFFIX);
}

bool bundle_is_datastore(const struct bundle *b)
{
	return b->n && !strcmp(b->v[0].name, VOLUME_DATASTORE);
}

struct bundle_volume *bundle_find(const struct bundle *b, const char *volume)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		if (!strcmp(b->v[i].name, volume))
			return &b->v[i];
	return NULL;
}

int bundle_add(struct bundle *b, const struct bundle_volume *v, struct vmc_error *err)
{
	struct bundle_volume *more;

	if (!bundle_volume_name_ok(v->name) || !path_ok(v->path))
		return vmc_fail(err, VMC_EINVAL, "volume '%s' at '%s' has a name or path that is not allowed",
				v->name, v->path);
	if (bundle_find(b, v->name))
		return vmc_fail(err, VMC_EEXIST, "VM '%s' already has a volume '%s'", b->name, v->name);
	if (b->n == BUNDLE_VOLUMES_MAX)
		return vmc_fail(err, VMC_EINVAL, "VM '%s' has %d volumes, which is the most it can have",
				b->name, BUNDLE_VOLUMES_MAX);
	more = realloc(b->v, (b->n + 1) * sizeof(*more));
	if (!more)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	more[b->n] = *v;
	b->v = more;
	b->n++;
	return 0;
}

int bundle_remove(struct bundle *b, const char *volume, struct vmc_error *err)
{
	struct bundle_volume *v = bundle_find(b, volume);
	size_t i;

	if (!v)
		return vmc_fail(err, VMC_ENOENT, "VM '%s' has no disk '%s'", b->name, volume);
	i = (size_t)(v - b->v);
	memmove(v, v + 1, (b->n - i - 1) * sizeof(*v));
	b->n--;
	return 0;
}

int bundle_volume_path(const char *bundle_path, const char *volume_path, char out[PATH_MAX],
		       struct vmc_error *err)
{
	const char *slash = strrchr(bundle_path, '/');
	int dir = slash ? (int)(slash - bundle_path + 1) : 0;
	int n;

	if (volume_path[0] == '/')
		dir = 0;
	n = snprintf(out, PATH_MAX, "%.*s%s", dir, bundle_path, volume_path);
	if (n < 0 || n >= PATH_MAX)
		return vmc_fail(err, VMC_EINVAL, "the path of volume file '%s' is too long", volume_path);
	return 0;
}

int bundle_relative(const char *bundle_path, const char *path, char out[BUNDLE_PATH_MAX],
		    struct vmc_error *err)
{
	const char *slash = strrchr(bundle_path, '/');
	size_t dir = slash ? (size_t)(slash - bundle_path + 1) : 0;

	if (dir && !strncmp(bundle_path, path, dir))
		path += dir;
	if (!path_ok(path)) {
		vmc_fail(err, VMC_EINVAL, "'%s' is not a plain path of at most %d bytes", path,
			 BUNDLE_PATH_MAX - 1);
		vmc_hint(err, "Give the path without '..', '.', double slashes or control characters");
		return VMC_EINVAL;
	}
	memcpy(out, path, strlen(path) + 1);
	return 0;
}

static int compute_mac(const struct bundle *b, struct vmk *k, uint8_t mac[VMK_MAC_LEN],
		       struct vmc_error *err)
{
	const struct bundle_volume *home = &b->v[0];
	uint8_t digest[BUNDLE_DIGEST_LEN];
	int r;

	r = bundle_digest(b, digest, err);
	if (r)
		return r;
	return vmk_dek_mac(k, &b->id, home->name, home->kek_id, home->wrapped, digest,
			   sizeof(digest), mac, err);
}

static void restore_hint(struct vmc_error *err)
{
	vmc_hint(err, "Restore a backup of the file, or rebuild it from the disks with "
		 "'vmcrypt vm register --from-headers'");
}

static int altered(const char *path, struct vmc_error *err)
{
	vmc_fail(err, VMC_EAUTH, "bundle '%s' was altered: it is not what was written with this VM's key",
		 path);
	restore_hint(err);
	return VMC_EAUTH;
}

int bundle_verify(const struct bundle *b, struct vmk *k, const char *path, struct vmc_error *err)
{
	uint8_t mac[VMK_MAC_LEN];
	int r;

	r = compute_mac(b, k, mac, err);
	if (r == VMC_EAUTH)	/* home's own wrapped DEK, name, KEK id or the VM id */
		return altered(path, err);
	if (r)
		return r;
	if (!b->has_mac || CRYPTO_memcmp(mac, b->mac, sizeof(mac)))
		return altered(path, err);
	return 0;
}

int bundle_sign(struct bundle *b, struct vmk *k, struct vmc_error *err)
{
	int r = compute_mac(b, k, b->mac, err);

	b->has_mac = !r;
	return r;
}

int bundle_read(const char *path, struct bundle *b, struct vmc_error *err)
{
	size_t len;
	char *data;
	int r;

	memset(b, 0, sizeof(*b));
	r = fs_read(path, BUNDLE_SIZE_MAX, &data, &len, err);
	if (r)
		return r;
	r = bundle_parse(data, len, b, err);
	free(data);
	if (r == VMC_EINVAL) {	/* we never write such a thing */
		vmc_prefix(err, "bundle '%s' was altered or damaged: ", path);
		restore_hint(err);
		if (err)
			err->code = VMC_EAUTH;
		return VMC_EAUTH;
	}
	if (r)
		vmc_prefix(err, "'%s': ", path);
	return r;
}

int bundle_write(const char *path, const struct bundle *b, struct vmc_error *err)
{
	char *text = bundle_format(b);
	int r;

	if (!text)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	r = fs_replace(path, text, strlen(text), 0600, err);
	free(text);
	return r;
}
