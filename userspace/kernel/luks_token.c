// SPDX-License-Identifier: GPL-2.0-or-later
/* The "vmcrypt" token of a LUKS2 header, to JSON and back. Pure. */
#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/message.h"
#include "luks.h"

#define TOKEN_TYPE	"vmcrypt"
#define TOKEN_VERSION	1
#define TOKEN_JSON_MAX	4096

static const char *const members[] = {
	"type", "keyslots", "version", "vm", "volume", "kek", "wrapped", "kcv", "generation",
};

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

static int check_members(const json_t *j, struct vmc_error *err)
{
	const json_t *version = json_object_get(j, "version");
	const char *name;
	json_t *v;

	if (!json_is_integer(version))
		return bad(err, "version");
	if (json_integer_value(version) != TOKEN_VERSION) {
		vmc_fail(err, VMC_ENOTSUP, "the vmcrypt token has version %lld, this program knows version %d",
			 (long long)json_integer_value(version), TOKEN_VERSION);
		vmc_hint(err, "install the vmcrypt that wrote it, or a later one");
		return VMC_ENOTSUP;
	}
	json_object_foreach((json_t *)j, name, v) {
		bool known = false;

		for (size_t i = 0; i < ARRAY_SIZE(members); i++)
			known |= !strcmp(name, members[i]);
		if (!known)
			return vmc_fail(err, VMC_EINVAL, "the vmcrypt token has an unknown member '%.64s'", name);
	}
	v = json_object_get(j, "keyslots");
	if (!json_is_array(v) || json_array_size(v))
		return bad(err, N_("list of keyslots (it must be empty)"));
	return 0;
}

static int parse_names(const json_t *j, struct luks_token *t, struct vmc_error *err)
{
	const char *vm = text(j, "vm", VMC_UUID_STR - 1);
	const char *volume = text(j, "volume", VMK_VOLUME_MAX);
	const char *kek = text(j, "kek", VMK_KEK_ID_MAX);

	if (!vm || vmc_uuid_parse(vm, &t->vm))
		return bad(err, "VM id");
	if (!volume || !vmc_name_ok(volume, VMK_VOLUME_MAX))
		return bad(err, N_("volume name"));
	if (!kek || !kek_id_ok(kek))
		return bad(err, "KEK id");
	memcpy(t->volume, volume, strlen(volume) + 1);
	memcpy(t->kek_id, kek, strlen(kek) + 1);
	return 0;
}

static int parse_values(const json_t *j, struct luks_token *t, struct vmc_error *err)
{
	const char *wrapped = text(j, "wrapped", vmc_base64_len(VMK_WRAPPED_LEN) - 1);
	const char *kcv = text(j, "kcv", 2 * VMK_KCV_LEN);
	const json_t *generation = json_object_get(j, "generation");
	size_t n;

	if (!wrapped || vmc_base64_decode(wrapped, t->wrapped, sizeof(t->wrapped), &n) ||
	    n != sizeof(t->wrapped))
		return bad(err, N_("wrapped key"));
	if (!kcv || vmc_hex_decode(kcv, t->kcv, sizeof(t->kcv), &n) || n != sizeof(t->kcv))
		return bad(err, N_("key check value"));
	if (!json_is_integer(generation) || json_integer_value(generation) < 0)
		return bad(err, "generation");
	t->generation = (uint64_t)json_integer_value(generation);
	return 0;
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

char *luks_token_format(const struct luks_token *t)
{
	char vm[VMC_UUID_STR], kcv[2 * VMK_KCV_LEN + 1];
	char wrapped[(VMK_WRAPPED_LEN + 2) / 3 * 4 + 1];
	char *text_out;
	json_t *j;

	vmc_uuid_format(&t->vm, vm);
	vmc_base64_encode(t->wrapped, sizeof(t->wrapped), wrapped);
	vmc_hex_encode(t->kcv, sizeof(t->kcv), kcv);
	j = json_pack("{s:s, s:[], s:i, s:s, s:s, s:s, s:s, s:s, s:I}",
		      "type", TOKEN_TYPE, "keyslots", "version", TOKEN_VERSION,
		      "vm", vm, "volume", t->volume, "kek", t->kek_id,
		      "wrapped", wrapped, "kcv", kcv,
		      "generation", (json_int_t)t->generation);
	text_out = j ? json_dumps(j, JSON_COMPACT) : NULL;
	json_decref(j);
	return text_out;
}
