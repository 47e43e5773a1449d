// SPDX-License-Identifier: GPL-2.0-or-later
/* The keys that a VM lacks. See missing.h. */
#include "missing.h"

#include <string.h>

#include "../lib/message.h"

#define WORDS_MAX	3	/* keys that a sentence names */

/* The entry of @id in @list, made when missing. Borrowed. */
static json_t *entry(json_t *list, const char *id, const char *state)
{
	json_t *o;
	size_t i;

	json_array_foreach(list, i, o)
		if (!strcmp(json_string_value(json_object_get(o, "id")), id))
			return o;
	o = json_pack("{s:s, s:s, s:[]}", "id", id, "state", state, "volumes");
	return json_array_append_new(list, o) ? NULL : o;
}

static const char *state_of(const struct kek_need *need, int code)
{
	if (code == VMC_EAUTH && need && !need->code)
		return "Another Key";
	return provider_key_state_name(need ? need->state : PKS_UNKNOWN);
}

static int add(json_t *list, const struct key_set *s, const struct bundle_volume *v)
{
	const struct kek_need *need = keys_find(s, v->kek_id);
	struct vmc_error why = VMC_ERROR_INIT;
	char text[MESSAGE_MAX];
	json_t *o;
	int r;

	if (!need)	/* not asked for: only some keys were needed */
		return 0;
	r = keys_check(s, v, &why);
	if (!r)
		return 0;
	o = entry(list, v->kek_id, state_of(need, r));
	if (!o)
		return VMC_ENOMEM;
	json_object_set_new(o, "error", json_string(message_english(why.text, text, sizeof(text))));
	if (why.hint[0])
		json_object_set_new(o, "hint", json_string(message_english(why.hint, text, sizeof(text))));
	return json_array_append_new(json_object_get(o, "volumes"), json_string(v->name)) ? VMC_ENOMEM : 0;
}

json_t *missing_keys(const struct key_set *s, const struct bundle *b)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; list && i < b->n; i++) {
		if (!add(list, s, &b->v[i]))
			continue;
		json_decref(list);
		list = NULL;
	}
	return list;
}

json_t *missing_all(const struct bundle *b)
{
	json_t *list = json_array(), *o;
	size_t i;

	for (i = 0; list && i < b->n; i++) {
		o = entry(list, b->v[i].kek_id, provider_key_state_name(PKS_UNKNOWN));
		json_array_append_new(json_object_get(o, "volumes"), json_string(b->v[i].name));
	}
	return list;
}

const char *missing_first(const json_t *keys)
{
	return json_string_value(json_object_get(json_array_get(keys, 0), "id"));
}

void missing_provider(const json_t *keys, char out[PROVIDER_NAME_MAX + 1])
{
	char key[PROVIDER_KEY_ID_MAX + 1];
	const char *id = missing_first(keys);

	if (!id || kek_id_split(id, out, key, NULL))
		out[0] = '\0';
}

void missing_words(const json_t *keys, char *out, size_t n)
{
	char provider[PROVIDER_NAME_MAX + 1], key[PROVIDER_KEY_ID_MAX + 1];
	size_t i, used = 0, count = json_array_size(keys);
	json_t *o;

	out[0] = '\0';
	json_array_foreach(keys, i, o) {
		const char *id = json_string_value(json_object_get(o, "id"));
		const char *state = json_string_value(json_object_get(o, "state"));

		if (used + 1 >= n)
			return;
		if (i == WORDS_MAX && count > WORDS_MAX + 1) {
			snprintf(out + used, n - used, ", +%zu", count - i);
			return;
		}
		if (!id || kek_id_split(id, provider, key, NULL))
			continue;
		snprintf(out + used, n - used, "%s%s (%s)", used ? ", " : "", key, state ? state : "");
		used += strlen(out + used);
	}
}

void missing_remedy(bool store, enum vm_cause cause, const char *name, const json_t *keys, char *out, size_t n)
{
	char provider[PROVIDER_NAME_MAX + 1], words[512], hint[MESSAGE_MAX];
	const char *said = json_string_value(json_object_get(json_array_get(keys, 0), "hint"));
	size_t used = 0;

	if (cause == VM_CAUSE_HOST_TPM && said)
		used = (size_t)snprintf(out, n, "%s. ", message_unpack(said, hint, sizeof(hint)));
	if (used >= n)
		return;
	missing_provider(keys, provider);
	missing_words(keys, words, sizeof(words));
	(store ? store_cause_remedy_for : vm_cause_remedy_for)
		(cause, name, provider[0] ? provider : NULL, words[0] ? words : NULL, out + used, n - used);
}
