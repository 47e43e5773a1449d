/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A volume's DEK may be wrapped twice, by KEKs of two providers: either opens
 * it. kek_id, kcv and wrapped of a struct bundle_volume are those in use. That
 * is the first, unless its key cannot be had and the second's can: then they
 * change places, in memory only.
 */
#ifndef VMC_VM_WRAP_H
#define VMC_VM_WRAP_H

#include "bundle.h"

static inline bool wrap_is_double(const struct bundle_volume *v)
{
	return v->second.kek_id[0];
}

/* Is the volume wrapped under @kek_id, first or second? */
bool wrap_uses(const struct bundle_volume *v, const char *kek_id);
/* Is @kek_id a key of @provider? */
bool wrap_is_on(const char *kek_id, const char *provider);
/* Is either of its keys of @provider? */
bool wrap_on(const struct bundle_volume *v, const char *provider);

/* As the files have them; @second->kek_id "" when there is none. */
void wrap_in_order(const struct bundle_volume *v, struct key_wrap *first, struct key_wrap *second);
/* Both, or with @second NULL the one; in order, not swapped. */
void wrap_set(struct bundle_volume *v, const struct key_wrap *first, const struct key_wrap *second);
void wrap_set_first(struct bundle_volume *v, const struct key_wrap *first);	/* the second stays */
/* Use the other one. */
void wrap_swap(struct bundle_volume *v);

#endif
