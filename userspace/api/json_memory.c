// SPDX-License-Identifier: GPL-2.0-or-later
/* JSON memory that is wiped when it is freed. */
#include "json_memory.h"

#include <jansson.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void wipe_free(void *p)
{
	if (!p)
		return;
	explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

void json_memory_init(void)
{
	json_set_alloc_funcs(malloc, wipe_free);
}
