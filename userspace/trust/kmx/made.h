/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Of each key provider the key that this authority had made last. Hosts know it under a name that every authority must
 * be able to use; by it one authority finds out whether it gets the keys that another one made. On disk, in a file for
 * each provider. From any thread.
 */
#ifndef VMC_TRUST_MADE_H
#define VMC_TRUST_MADE_H

#include <stdbool.h>

#include "../../keys/provider.h"

struct made;

struct made *made_new(const char *dir);		/* @dir: made when there is something to keep. NULL: no memory */
void made_free(struct made *m);			/* NULL is fine */

/* From now on @id it is. What cannot be kept is logged; the key is good all the same. */
void made_set(struct made *m, const char *provider, const char *id);
/* False: none is known. */
bool made_get(struct made *m, const char *provider, char id[PROVIDER_KEY_ID_MAX + 1]);
/* @id is no more; another one stays. */
void made_forget(struct made *m, const char *provider, const char *id);

#endif
