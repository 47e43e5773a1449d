/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory for secrets: OpenSSL's secure heap (locked, guarded, not dumped, wiped). */
#ifndef VMC_LIB_SECMEM_H
#define VMC_LIB_SECMEM_H

#include <stddef.h>

#include "error.h"

/*
 * Set the heap up once per process, before any secret: locks memory, turns
 * core dumps off (RLIMIT_CORE 0, PR_SET_DUMPABLE 0). Fails rather than fall
 * back to ordinary memory.
 */
int secmem_init(size_t bytes, struct vmc_error *err);

void *secmem_alloc(size_t n);		/* zeroed; NULL when the heap is full */
void secmem_free(void *p, size_t n);	/* wipes; NULL is fine */
void secmem_wipe(void *p, size_t n);
int secmem_is_secure(const void *p);	/* for assertions in tests */

#endif
