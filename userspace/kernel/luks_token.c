// SPDX-License-Identifier: GPL-2.0-or-later
/* The "vmcrypt" token of a LUKS2 header, to JSON and back. Pure. */
#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/message.h"
#include "luks.h"

#define TOKEN_TYPE	"vmcrypt"
#define TOKEN_VERSION	1	/* one wrap */
#define TOKEN_VERSION_2	2	/* two of them: "second" is there */
#define TOKEN_JSON_MAX	4096

static const char *const members[] = {
	"type", "keyslots", "version", "vm", "volume", "kek", "wrapped", "kcv", "generation", "second",
};

static const char *const second_members[] = { "kek", "wrapped", "kcv" };

static int bad(struct vmc_error *err, const char *what)
{
	vmc_fail(err, VMC_EINVAL, "the vmcrypt token has no valid %s", message_say(what));
	vmc_hint(err, "restore the volume's header from a backup, or write the token anew from the VM's bundle by registering it");
	return VMC_EINVAL;
}

static const char *text(const json_t *j, const char *name, size_t max)
{
	const json_t *v = json_object_get(j, name);
	size_t n = json_string_length(v);

	/* a NUL inside would hide the rest */
	if (!json_is_string(v) || !n || n > max || strlen(json_string_value(v)) != n)
		return NULL;
	return json_string_value(v);
}

/* "provider/key-id", each at least one printable character that is neither blank nor colon. */
static bool kek_id_ok(const char *id)
{
	const char *slash = strchr(id, '/');

	if (!slash || slash == id || !slash[1])
		return false;
	for (; *id; id++)
		if (*id <= ' ' || *id > '~' || *id == ':')
			return false;
	return true;
}

static int only_members(const json_t *j, const char *const *names, size_t n, struct vmc_error *err)
{
	const char *name;
	json_t *v;

	json_object_foreach((json_t *)j, name, v) {
		bool known = false;

		for (size_t i = 0; i < n; i++)
			known |= !strcmp(name, names[i]);
		if (!known)
			return vmc_fail(err, VMC_EINVAL, "the vmcrypt token has an unknown member '%.64s'", name);
	}
	return 0;
}

static int check_members(const json_t *j, struct vmc_error *err)
{
	const json_t *version = json_object_get(j, "version");
	json_int_t want = json_object_get(j, "second") ? TOKEN_VERSION_2 : TOKEN_VERSION;
	json_t *v;
	int rc;

	if (!json_is_integer(version))
		return bad(err, "version");
	if (json_integer_value(version) > TOKEN_VERSION_2 || json_integer_value(version) < TOKEN_VERSION) {
		vmc_fail(err, VMC_ENOTSUP, "the vmcrypt token has version %lld, this program knows versions %d and %d",
			 (long long)json_integer_value(version), TOKEN_VERSION, TOKEN_VERSION_2);
		vmc_hint(err, "install the vmcrypt that wrote it, or a later one");
		return VMC_ENOTSUP;
	}
	if (json_integer_value(version) != want)
		return bad(err, N_("version: it does not go with the number of its keys"));
	rc = only_members(j, members, ARRAY_SIZE(members), err);
	if (rc)
		return rc;
	v = json_object_get(j, "keyslots");
	if (!json_is_array(v) || json_array_size(v))
		return bad(err, N_("list of keyslots (it must be empty)"));
	return 0;
}

/* The DEK under one KEK, as the token itself and its "second" have it. */
static int parse_wrap(const json_t *j, struct key_wrap *w, struct vmc_error *err)
{
	const char *kek = text(j, "kek", VMK_KEK_ID_MAX);
	const char *wrapped = text(j, "wrapped", vmc_base64_len(VMK_WRAPPED_LEN) - 1);
	const char *kcv = text(j, "kcv", 2 * VMK_KCV_LEN);
	size_t n;

	if (!kek || !kek_id_ok(kek))
		return bad(err, "KEK id");
	if (!wrapped || vmc_base64_decode(wrapped, w->wrapped, sizeof(w->wrapped), &n) ||
	    n != sizeof(w->wrapped))
		return bad(err, N_("wrapped key"));
	if (!kcv || vmc_hex_decode(kcv, w->kcv, sizeof(w->kcv), &n) || n != sizeof(w->kcv))
		return bad(err, N_("key check value"));
	memcpy(w->kek_id, kek, strlen(kek) + 1);
	return 0;
}

static int parse_second(const json_t *j, struct luks_token *t, struct vmc_error *err)
{
	const json_t *second = json_object_get(j, "second");
	int rc;

	if (!second)
		return 0;
	if (!json_is_object(second))
		return bad(err, N_("second key"));
	rc = only_members(second, second_members, ARRAY_SIZE(second_members), err);
	if (!rc)
		rc = parse_wrap(second, &t->second, err);
	if (!rc && !strcmp(t->second.kek_id, t->kek_id))
		rc = bad(err, N_("second key: it is the first one"));
	return rc;
}

static int parse_names(const json_t *j, struct luks_token *t, struct vmc_error *err)
{
	const char *vm = text(j, "vm", VMC_UUID_STR - 1);
	const char *volume = text(j, "volume", VMK_VOLUME_MAX);

	if (!vm || vmc_uuid_parse(vm, &t->vm))
		return bad(err, "VM id");
	if (!volume || !vmc_name_ok(volume, VMK_VOLUME_MAX))
		return bad(err, N_("volume name"));
	memcpy(t->volume, volume, strlen(volume) + 1);
	return 0;
}

static int parse_values(const json_t *j, struct luks_token *t, struct vmc_error *err)
{
	const json_t *generation = json_object_get(j, "generation");
	struct key_wrap first = { .kek_id = "" };
	int rc = parse_wrap(j, &first, err);

	if (rc)
		return rc;
	memcpy(t->kek_id, first.kek_id, sizeof(t->kek_id));
	memcpy(t->wrapped, first.wrapped, sizeof(t->wrapped));
	memcpy(t->kcv, first.kcv, sizeof(t->kcv));
	if (!json_is_integer(generation) || json_integer_value(generation) < 0)
		return bad(err, "generation");
	t->generation = (uint64_t)json_integer_value(generation);
	return parse_second(j, t, err);
}

int luks_token_parse(const char *json, struct luks_token *out, struct vmc_error *err)
{
	struct luks_token t = { 0 };
	const char *type;
	json_t *j;
	int rc;

	if (strnlen(json, TOKEN_JSON_MAX + 1) > TOKEN_JSON_MAX)
		return vmc_fail(err, VMC_EINVAL, "the vmcrypt token is longer than %d bytes", TOKEN_JSON_MAX);
	j = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(j)) {
		json_decref(j);
		return bad(err, "JSON");
	}
	type = text(j, "type", sizeof(TOKEN_TYPE) - 1);
	if (!type || strcmp(type, TOKEN_TYPE))
		rc = bad(err, "type");
	else
		rc = check_members(j, err);
	if (!rc)
		rc = parse_names(j, &t, err);
	if (!rc)
		rc = parse_values(j, &t, err);
	json_decref(j);
	if (!rc)
		*out = t;
	return rc;
}

static json_t *wrap_json(const char *kek_id, const uint8_t wrapped[VMK_WRAPPED_LEN],
			 const uint8_t kcv[VMK_KCV_LEN])
{
	char kcv_text[2 * VMK_KCV_LEN + 1], wrapped_text[(VMK_WRAPPED_LEN + 2) / 3 * 4 + 1];

	vmc_base64_encode(wrapped, VMK_WRAPPED_LEN, wrapped_text);
	vmc_hex_encode(kcv, VMK_KCV_LEN, kcv_text);
	return json_pack("{s:s, s:s, s:s}", "kek", kek_id, "wrapped", wrapped_text, "kcv", kcv_text);
}

char *luks_token_format(const struct luks_token *t)
{
	bool two = t->second.kek_id[0];
	char vm[VMC_UUID_STR], *text_out;
	json_t *j, *first = wrap_json(t->kek_id, t->wrapped, t->kcv);
	int failed;

	vmc_uuid_format(&t->vm, vm);
	j = json_pack("{s:s, s:[], s:i, s:s, s:s}", "type", TOKEN_TYPE, "keyslots", "version",
		      two ? TOKEN_VERSION_2 : TOKEN_VERSION, "vm", vm, "volume", t->volume);
	failed = json_object_update(j, first) |
		 json_object_set_new(j, "generation", json_integer((json_int_t)t->generation));
	if (two)
		failed |= json_object_set_new(j, "second", wrap_json(t->second.kek_id, t->second.wrapped,
								     t->second.kcv));
	text_out = failed ? NULL : json_dumps(j, JSON_COMPACT);
	json_decref(first);
	json_decref(j);
	return text_out;
}
