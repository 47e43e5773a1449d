// SPDX-License-Identifier: GPL-2.0-or-later
/* Volumes that two providers open. See wrap.h. */
#include "wrap.h"

#include <string.h>

static void get_used(const struct bundle_volume *v, struct key_wrap *w)
{
	memcpy(w->kek_id, v->kek_id, sizeof(w->kek_id));
	memcpy(w->kcv, v->kcv, sizeof(w->kcv));
	memcpy(w->wrapped, v->wrapped, sizeof(w->wrapped));
}

void wrap_set_first(struct bundle_volume *v, const struct key_wrap *first)
{
	memcpy(v->kek_id, first->kek_id, sizeof(v->kek_id));
	memcpy(v->kcv, first->kcv, sizeof(v->kcv));
	memcpy(v->wrapped, first->wrapped, sizeof(v->wrapped));
}

bool wrap_uses(const struct bundle_volume *v, const char *kek_id)
{
	return !strcmp(v->kek_id, kek_id) || (wrap_is_double(v) && !strcmp(v->second.kek_id, kek_id));
}

bool wrap_is_on(const char *kek_id, const char *provider)
{
	size_t n = strlen(provider);

	return !strncmp(kek_id, provider, n) && kek_id[n] == '/';
}

bool wrap_on(const struct bundle_volume *v, const char *provider)
{
	return wrap_is_on(v->kek_id, provider) || wrap_is_on(v->second.kek_id, provider);
}

void wrap_in_order(const struct bundle_volume *v, struct key_wrap *first, struct key_wrap *second)
{
	get_used(v, v->swapped ? second : first);
	*(v->swapped ? first : second) = v->second;
}

void wrap_set(struct bundle_volume *v, const struct key_wrap *first, const struct key_wrap *second)
{
	wrap_set_first(v, first);
	v->swapped = false;
	if (second)
		v->second = *second;
	else
		memset(&v->second, 0, sizeof(v->second));
}

void wrap_swap(struct bundle_volume *v)
{
	struct key_wrap used;

	if (!wrap_is_double(v))
		return;
	get_used(v, &used);
	wrap_set_first(v, &v->second);
	v->second = used;
	v->swapped = !v->swapped;
}
